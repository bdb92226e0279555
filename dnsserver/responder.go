package dnsserver

import (
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/internal/cookie"
	"github.com/seed-645ce708/gossip/dnsserver/internal/rrl"
	"github.com/seed-645ce708/gossip/dnsserver/record"
	"github.com/seed-645ce708/gossip/dnsserver/transfer"
	"github.com/seed-645ce708/gossip/dnsserver/tsig"
	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// path says how and when a query came, and from whom.
type path struct {
	tcp    bool // UDP if not
	tls    bool // TCP with TLS
	client netip.Addr
	now    time.Time      // with the monotonic clock
	id     *identity      // that the message is served with; nil until general has it
	signed *tsig.Exchange // signs the reply; nil if the query was not signed
	// send sends a message before the reply, as transfers over TCP do. It keeps the packet no longer than it runs.
	send func(packet []byte) error
	// udpLimit is the longest reply over UDP to a client that says it takes as much.
	udpLimit int
	// idle is how long a connection may be silent.
	idle time.Duration
}

// policy is what the operator decided about replies, beside the zone. The zero policy has no cookies, no limit, and
// says nothing about the server. It may be shared.
type policy struct {
	cookies       *cookie.Jar  // nil: options are ignored
	requireCookie bool         // who speaks cookies must show a good one over UDP
	limiter       *rrl.Limiter // nil: none
	origin        time.Time    // from which the limiter counts time
	nsid          string       // "": none
	version       string       // "": refused
	identity      *identityRef
	transfers     *transfer.Server // nil: all are refused
	status        func() []string  // nil: none
	notReady      string           // text of the extended error while there is no zone
}

// responder makes replies to queries. Several may share one source; one responder serves one goroutine at a time.
type responder struct {
	source func() *zone.Zone
	policy policy
	stats  *counters
	quick  *quick // tried first; nil: none

	picker picker
	packed []byte // the last reply
}

// respond returns the reply to a packet, or nil if there is to be none. The reply is valid until the next call.
func (r *responder) respond(packet []byte, p path) []byte {
	if p.now.IsZero() {
		p.now = time.Now()
	}
	if r.quick != nil {
		if r.packed == nil {
			r.packed = make([]byte, quickSize)
		}
		if reply, ok := r.quick.respond(r.packed, packet, r.source(), p); ok {
			r.stats.latency.observe(time.Since(p.now))
			return reply
		}
	}
	return r.general(packet, p)
}

// general is respond for whatever there is to be answered.
func (r *responder) general(packet []byte, p path) []byte {
	if len(packet) < headerSize || packet[2]&0x80 != 0 {
		// Too short to say what it replies to; or a response, and to answer those could go on for ever.
		r.stats.silent.Add(1)
		return nil
	}
	req := parse(packet)
	p.id = r.policy.identity.load()
	refused := open(&req, &p)
	if r.transfers(&req, p) {
		return r.transfer(&req, p)
	}
	rep := newReply(&req, p)
	rep.known = p.signed != nil
	if refused == nil {
		r.answer(&req, rep, p)
	} else {
		rep.rcode = dns.RcodeNotAuth
	}
	if !r.limited(rep) {
		return nil
	}
	out := rep.pack(r.packed[:cap(r.packed)])
	if out == nil {
		r.stats.errors.Add(1)
		return nil
	}
	r.packed = out
	out = seal(out, packet, p, refused)
	r.stats.count(&req, rep)
	r.stats.latency.observe(time.Since(p.now))
	return out
}

// answer fills in the reply.
func (r *responder) answer(req *request, rep *reply, p path) {
	switch {
	case req.edns.present && req.edns.version > 0:
		rep.rcode = dns.RcodeBadVers // RFC 6891 section 6.1.3; what else the message says may have another meaning
		return
	case req.broken:
		rep.fail(dns.RcodeFormatError, dns.ExtendedErrorCodeOther, "the message does not parse")
		return
	case req.edns.wrong != "":
		rep.fail(dns.RcodeFormatError, dns.ExtendedErrorCodeOther, "option "+req.edns.wrong+" of a wrong length")
		return
	}
	if !r.checkCookie(req, rep, p) {
		return
	}
	r.addOptions(req, rep, p)
	switch req.opcode {
	case dns.OpcodeQuery:
		r.query(req, rep, p)
	case dns.OpcodeNotify, dns.OpcodeUpdate:
		r.foreign(req, rep)
	default:
		// Also for DSO, as RFC 8490 section 5.1.1 has it.
		rep.fail(dns.RcodeNotImplemented, dns.ExtendedErrorCodeNotSupported, "")
	}
}

// foreign refuses messages by which others would change the zone: members make it, and nobody else.
func (r *responder) foreign(req *request, rep *reply) {
	if req.questions != 1 || req.question.Qtype != dns.TypeSOA && req.opcode == dns.OpcodeUpdate {
		rep.fail(dns.RcodeFormatError, dns.ExtendedErrorCodeOther, "it must name one zone") // RFC 2136 section 3.1.1
		return
	}
	z := r.source()
	if z != nil && (req.question.Qclass != dns.ClassINET || !isZone(z, req.wireName)) {
		rep.fail(dns.RcodeNotAuth, dns.ExtendedErrorCodeNotAuthoritative, "")
		return
	}
	rep.fail(dns.RcodeRefused, dns.ExtendedErrorCodeProhibited, "the zone is made from the members of the cluster alone")
}

// isZone reports whether a name is that of one of our zones.
func isZone(z *zone.Zone, name []byte) bool {
	o := z.Lookup(name, zone.TypeSOA).Outcome
	return o == zone.Success || o == zone.Unready // in which case nobody can tell yet
}

// query answers a question.
func (r *responder) query(req *request, rep *reply, p path) {
	if req.questions != 1 { // RFC 9619
		rep.fail(dns.RcodeFormatError, dns.ExtendedErrorCodeOther, "a query has one question")
		return
	}
	switch req.question.Qclass {
	case dns.ClassINET, dns.ClassANY:
	case dns.ClassCHAOS:
		r.chaos(req, rep)
		return
	default:
		rep.fail(dns.RcodeRefused, dns.ExtendedErrorCodeNotAuthoritative, "of class IN only")
		return
	}
	switch t := req.question.Qtype; {
	case t == dns.TypeAXFR, t == dns.TypeIXFR:
		rep.fail(dns.RcodeRefused, dns.ExtendedErrorCodeProhibited, "")
		return
	case t == dns.TypeMAILA, t == dns.TypeMAILB:
		rep.fail(dns.RcodeNotImplemented, dns.ExtendedErrorCodeNotSupported, "") // RFC 1035 section 3.2.3; obsolete since
		return
	case t == dns.TypeNone, t == dns.TypeOPT, t == dns.TypeNXNAME, t == dns.TypeTSIG, t == dns.TypeTKEY:
		// Not types to ask for: RFC 6895 section 3.1, RFC 9824 section 3.2.
		rep.fail(dns.RcodeFormatError, dns.ExtendedErrorCodeInvalidQueryType, "")
		return
	}
	z := r.source()
	if z == nil {
		// Not NXDOMAIN: what we have not heard of yet may well exist.
		rep.fail(dns.RcodeServerFailure, dns.ExtendedErrorCodeNotReady, r.policy.notReady)
		return
	}
	r.fromZone(z, req, rep, p)
}

func (r *responder) fromZone(z *zone.Zone, req *request, rep *reply, p path) {
	result := lookup(z, req.wireName, req.question.Qtype)
	if result.Outcome == zone.Refused {
		rep.fail(dns.RcodeRefused, dns.ExtendedErrorCodeNotAuthoritative, "")
		return
	}
	// An answer for all classes cannot speak for all of them (RFC 1035 section 6.2).
	rep.authoritative = req.question.Qclass == dns.ClassINET
	if kind := kindOf(result.Outcome); kind != rrl.Error && !r.admit(rep, kind) {
		return
	}
	if s := r.secured(result.Zone, p); s != nil {
		s.answer(result, rep)
		return
	}
	r.unsigned(result, rep)
}

// unsigned answers with what was found.
func (r *responder) unsigned(result zone.Result, rep *reply) {
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
	case zone.Unready:
		rep.authoritative = false
		rep.fail(dns.RcodeServerFailure, dns.ExtendedErrorCodeNotReady, r.policy.notReady)
		return
	case zone.Unsure:
		rep.authoritative = false
		rep.fail(dns.RcodeServerFailure, dns.ExtendedErrorCodeNotReady, unsureText)
		return
	case zone.Dynamic:
		if t := rep.req.question.Qtype; r.policy.status != nil && (t == dns.TypeTXT || t == dns.TypeANY) {
			r.addStatus(rep)
			return
		}
	}
	rep.addSOA(result.Zone)
}

// staleText goes with answers that are what was known last. The server may be an agent's, which looks cut off, or stand
// alone, with its agent away.
const staleText = "the cluster is out of reach, or looks so; known last"

// unsureText goes with names that are not known while those that are may not be all.
const unsureText = "the cluster is out of reach, or looks so, and the name is not known"

// addStatus answers how the server is: a record for each line, never to be cached.
func (r *responder) addStatus(rep *reply) {
	for _, line := range r.policy.status() {
		line = line[:min(len(line), 255)]
		size := pointerSize + rrHead + 1 + len(line)
		if rep.size+size > rep.limit {
			rep.cut()
			return
		}
		rep.size += size
		rep.answer = append(rep.answer, &dns.TXT{Hdr: rep.header(dns.TypeTXT, 0), Txt: []string{record.Escape(line)}})
	}
}

// anyOrder is what a query for ANY gets the first of: one set instead of all, RFC 8482 section 4.1.
var anyOrder = []zone.Type{zone.TypeSOA, zone.TypeA, zone.TypeAAAA, zone.TypeSRV, zone.TypePTR, zone.TypeTXT}

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

// admit counts a reply of a kind for the limit, and tells whether it is to be filled: records that nobody will see are
// not worth making, or a flood of questions with long answers would cost as much as to answer it.
func (r *responder) admit(rep *reply, kind rrl.Kind) bool {
	rep.counted = true
	if !rep.tcp && !rep.known { // else the address is the client's own
		rep.action = r.policy.limiter.Decide(rep.client, kind, rep.now.Sub(r.policy.origin))
	}
	if rep.action == rrl.Slip {
		rep.truncated = kind != rrl.Error
	}
	return rep.action == rrl.Send
}

// limited makes of the reply what the limit leaves of it. It returns false if that is nothing.
func (r *responder) limited(rep *reply) bool {
	if !rep.counted {
		r.admit(rep, rrl.Error)
	}
	switch rep.action {
	case rrl.Drop:
		r.stats.dropped.Add(1)
		return false
	case rrl.Slip:
		r.stats.slipped.Add(1)
		if r.policy.cookies != nil && rep.req.edns.cookie != nil && rep.rcode != dns.RcodeFormatError {
			// A client that knows cookies need not change to TCP.
			rep.rcode, rep.truncated = dns.RcodeBadCookie, false
		}
	}
	return true
}
