package dnsserver

import (
	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// path says how a query came, which decides how long its reply may be.
type path struct {
	tcp bool
	// udpLimit is the longest reply over UDP to a client that says it takes as much.
	udpLimit int
}

// responder makes replies to queries. Several may share one source; one responder serves one goroutine at a time.
type responder struct {
	source func() *zone.Zone
	order  Order
	stats  *counters

	packed  []byte  // the last reply
	indexes []int32 // scratch for ordering
}

// respond returns the reply to a packet, or nil if there is to be none. The reply is valid until the next call.
func (r *responder) respond(packet []byte, p path) []byte {
	if len(packet) < headerSize || packet[2]&0x80 != 0 {
		// Too short to say what it replies to; or a response, and to answer those could go on for ever.
		r.stats.silent.Add(1)
		return nil
	}
	req := parse(packet)
	rep := newReply(&req, p)
	r.answer(&req, rep)
	out := rep.pack(r.packed[:cap(r.packed)])
	if out == nil {
		r.stats.errors.Add(1)
		return nil
	}
	r.packed = out
	r.stats.count(&req, rep)
	return out
}

// answer fills in the reply.
func (r *responder) answer(req *request, rep *reply) {
	switch {
	case req.opcode == dns.OpcodeNotify, req.opcode == dns.OpcodeUpdate:
		rep.rcode = dns.RcodeRefused // known, and not for this zone: members make it, and nobody else
		rep.explain(dns.ExtendedErrorCodeProhibited, "")
		return
	case req.opcode != dns.OpcodeQuery:
		rep.rcode = dns.RcodeNotImplemented
		return
	case req.broken, req.questions != 1: // RFC 9619
		rep.rcode = dns.RcodeFormatError
		return
	case req.opt != nil && req.opt.Version() > 0:
		rep.rcode = dns.RcodeBadVers // RFC 6891 section 6.1.3
		return
	}
	switch req.question.Qclass {
	case dns.ClassINET, dns.ClassANY:
	default:
		rep.rcode = dns.RcodeRefused
		rep.explain(dns.ExtendedErrorCodeNotAuthoritative, "")
		return
	}
	switch t := req.question.Qtype; {
	case t == dns.TypeAXFR, t == dns.TypeIXFR:
		rep.rcode = dns.RcodeRefused
		rep.explain(dns.ExtendedErrorCodeProhibited, "")
		return
	case t == dns.TypeMAILA, t == dns.TypeMAILB:
		rep.rcode = dns.RcodeNotImplemented
		return
	case t == dns.TypeOPT, t == dns.TypeTSIG, t == dns.TypeTKEY, t == dns.TypeNone:
		rep.rcode = dns.RcodeFormatError // not types to ask for
		return
	}
	z := r.source()
	if z == nil {
		// Not NXDOMAIN: what we have not heard of yet may well exist.
		rep.rcode = dns.RcodeServerFailure
		rep.explain(dns.ExtendedErrorCodeNotReady, "this agent has not joined its cluster yet")
		return
	}
	r.fromZone(z, req, rep)
}

func (r *responder) fromZone(z *zone.Zone, req *request, rep *reply) {
	result := lookup(z, req.wireName, req.question.Qtype)
	if result.Outcome == zone.Refused {
		rep.rcode = dns.RcodeRefused
		rep.explain(dns.ExtendedErrorCodeNotAuthoritative, "")
		return
	}
	// An answer for all classes cannot speak for all of them (RFC 1035 section 6.2).
	rep.authoritative = req.question.Qclass == dns.ClassINET
	switch result.Outcome {
	case zone.Success:
		if result.Answer.Stale {
			rep.stale = true
			rep.explain(dns.ExtendedErrorCodeStaleAnswer, staleText)
		}
		r.addAnswer(rep, result.Answer)
		return
	case zone.NXDomain:
		rep.rcode = dns.RcodeNameError
	}
	rep.addSOA(z)
}

// staleText goes with answers that are what was known last.
const staleText = "this agent looks cut off from its cluster"

// anyOrder is what a query for ANY gets the first of: one set instead of all, RFC 8482 section 4.1.
var anyOrder = []zone.Type{zone.TypeSOA, zone.TypeA, zone.TypeAAAA, zone.TypeSRV, zone.TypeTXT}

func lookup(z *zone.Zone, name []byte, qtype uint16) zone.Result {
	if qtype != dns.TypeANY {
		return z.Lookup(name, zone.Type(qtype))
	}
	var result zone.Result
	for _, t := range anyOrder {
		if result = z.Lookup(name, t); result.Outcome != zone.NoData {
			break
		}
	}
	return result
}
