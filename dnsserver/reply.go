package dnsserver

import (
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/internal/rrl"
	"github.com/seed-645ce708/gossip/dnsserver/record"
	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// reply is a reply in the making. It keeps its own account of the length on the wire, so that it never has to pack
// thousands of records to find out that a few dozen fit.
type reply struct {
	req           *request
	rcode         int
	authoritative bool
	truncated     bool
	stale         bool
	answer        []dns.RR
	authority     []dns.RR
	additional    []dns.RR
	options       []dns.EDNS0 // none if the client does not speak EDNS
	padding       bool
	compact       bool // the CO bit

	limit int  // octets
	size  int  // octets so far; never less than the truth
	tcp   bool // no truncation

	client  netip.Addr
	now     time.Time
	known   bool // the client has shown a good cookie: its address is its own
	counted bool // for the limit of replies
	action  rrl.Action
}

func newReply(req *request, p path) *reply {
	rep := &reply{req: req, tcp: p.tcp, limit: p.limit(req) - p.overhead(), size: headerSize, client: p.client, now: p.now}
	if rep.echoesQuestion() {
		rep.size += len(req.wireName) + questionTail
	}
	if req.edns.present {
		rep.size += optSize
	}
	return rep
}

// limit returns the longest reply to a query, in octets.
func (p *path) limit(req *request) int {
	switch {
	case p.tcp:
		return maxMessage
	case !req.edns.present:
		return minUDP
	}
	// Less than 512 means 512: RFC 6891 section 6.2.3.
	return max(minUDP, min(int(req.edns.size), p.udpLimit))
}

// Sizes on the wire. Owners of answers are the name asked for, hence a pointer of two octets.
const (
	optSize     = 11
	optionHead  = 4
	rrHead      = 10 // type, class, TTL, length
	pointerSize = 2
	// Beyond this a name cannot be pointed to (RFC 1035 section 4.1.4).
	maxPointer = 1 << 14
)

// echoesQuestion: a question that did not parse cannot be repeated, and of several none is the one.
func (rep *reply) echoesQuestion() bool {
	return rep.req.questions == 1 && rep.req.wireName != nil
}

// fail makes it an error, explained if the client speaks EDNS.
func (rep *reply) fail(rcode int, code uint16, text string) {
	rep.rcode = rcode
	rep.explain(code, text)
}

// empty takes back all records.
func (rep *reply) empty() {
	rep.answer, rep.authority, rep.additional = nil, nil, nil
}

func (rep *reply) header(rrtype uint16, ttl uint32) dns.RR_Header {
	return dns.RR_Header{Name: rep.req.question.Name, Rrtype: rrtype, Class: dns.ClassINET, Ttl: ttl}
}

// addSOA makes a negative answer complete: RFC 2308 section 3.
func (rep *reply) addSOA(z *zone.Zone) {
	set := z.SOA()
	// The owner keeps the case of the question, whose end it is, and so can point to it.
	owner := rep.req.question.Name[len(rep.req.question.Name)-len(z.Origin()):]
	rep.authority = []dns.RR{soaRecord(set, dns.RR_Header{Name: owner, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: set.TTL})}
}

func soaRecord(set *zone.RRset, h dns.RR_Header) *dns.SOA {
	s := set.SOA
	return &dns.SOA{
		Hdr: h, Ns: s.Primary, Mbox: s.Mailbox, Serial: s.Serial,
		Refresh: s.Refresh, Retry: s.Retry, Expire: s.Expire, Minttl: s.Minimum,
	}
}

// addAnswer puts the set into the answer section: all of it, or what fits.
func (r *responder) addAnswer(rep *reply, set *zone.RRset) {
	n := set.Len()
	if set.Answers > 0 {
		n = min(n, set.Answers)
	}
	fit := (rep.limit - rep.size) / minRecord(set.Type)
	var hosts []*zone.Host
	for _, i := range r.picker.pick(set, min(n, fit), n) {
		rr, size := rep.record(set, int(i))
		if rep.size+size > rep.limit {
			break
		}
		rep.size += size
		rep.answer = append(rep.answer, rr)
		switch set.Type {
		case zone.TypeSRV:
			hosts = append(hosts, set.SRV[i].Target)
		case zone.TypeNS:
			hosts = append(hosts, set.NS[i])
		}
	}
	if len(rep.answer) < n {
		rep.cut()
		return
	}
	rep.addHosts(hosts)
}

// cut says that a required record is missing. Over TCP there is no larger transport to point to: what fits is a fair sample
// if the order is random. Over UDP nobody may take a part for the whole: RFC 2181 section 9 wants it thrown away, and
// yet HAProxy would serve from it. So who speaks EDNS, and could ask for more, gets no record at all. Who does not may be a
// stub resolver that has no TCP, for whom some addresses are better than none.
func (rep *reply) cut() {
	if rep.tcp {
		return
	}
	rep.truncated = true
	if rep.req.edns.present {
		rep.answer = nil
	}
}

// minRecord returns the least octets that a record of the type takes.
func minRecord(t zone.Type) int {
	switch t {
	case zone.TypeA:
		return pointerSize + rrHead + net.IPv4len
	case zone.TypeAAAA:
		return pointerSize + rrHead + net.IPv6len
	default:
		return pointerSize + rrHead
	}
}

// record makes the i-th record of the set, and says how long it is on the wire at most.
func (rep *reply) record(set *zone.RRset, i int) (dns.RR, int) {
	h := rep.header(uint16(set.Type), set.TTL)
	size := pointerSize + rrHead
	switch set.Type {
	case zone.TypeA:
		return &dns.A{Hdr: h, A: set.Addrs[i].AsSlice()}, size + net.IPv4len
	case zone.TypeAAAA:
		return &dns.AAAA{Hdr: h, AAAA: set.Addrs[i].AsSlice()}, size + net.IPv6len
	case zone.TypeSRV:
		s := set.SRV[i]
		rr := &dns.SRV{Hdr: h, Priority: s.Priority, Weight: s.Weight, Port: s.Port, Target: s.Target.Name}
		return rr, size + 6 + wireLen(s.Target.Name)
	case zone.TypeTXT:
		txt := make([]string, len(set.TXT[i]))
		for j, s := range set.TXT[i] {
			txt[j] = record.Escape(s)
			size += 1 + len(s)
		}
		return &dns.TXT{Hdr: h, Txt: txt}, size
	case zone.TypePTR:
		return &dns.PTR{Hdr: h, Ptr: set.Names[i]}, size + wireLen(set.Names[i])
	case zone.TypeNS:
		return &dns.NS{Hdr: h, Ns: set.NS[i].Name}, size + wireLen(set.NS[i].Name)
	default:
		rr := soaRecord(set, h)
		return rr, size + wireLen(rr.Ns) + wireLen(rr.Mbox) + 5*4
	}
}

// wireLen returns the octets of an uncompressed name that has no escapes, as ours have none.
func wireLen(name string) int { return len(name) + 1 }

// addHosts puts addresses of targets into the additional section while there is room. To leave one out is no
// truncation: who misses it can ask (RFC 2181 section 9).
func (rep *reply) addHosts(hosts []*zone.Host) {
	seen := make(map[*zone.Host]struct{}, len(hosts))
	for _, h := range hosts {
		if _, dup := seen[h]; dup {
			continue
		}
		seen[h] = struct{}{}
		owner := pointerSize // to the target in the answer
		if rep.size > maxPointer {
			owner = wireLen(h.Name)
		}
		for _, set := range []*zone.RRset{h.A, h.AAAA} {
			for i := range set.Addrs {
				rr, size := rep.record(set, i)
				if size += owner - pointerSize; rep.size+size > rep.limit {
					return
				}
				rr.Header().Name = h.Name
				rep.size += size
				rep.additional = append(rep.additional, rr)
			}
		}
	}
}

// pack returns the reply as it goes over the wire, in buf if that is long enough. It returns nil if the reply
// cannot be packed, which would be our mistake.
func (rep *reply) pack(buf []byte) []byte {
	out, err := rep.message().PackBuffer(buf)
	for err == nil && len(out) > rep.limit {
		switch {
		case len(rep.additional) > 0:
			rep.additional = rep.additional[:len(rep.additional)/2]
		case len(rep.answer) > 0:
			rep.answer = rep.answer[:len(rep.answer)-1]
			rep.cut()
		case len(rep.authority) > 0:
			rep.authority = nil
			rep.truncated = !rep.tcp
		case len(rep.options) > 0:
			rep.options = rep.options[:len(rep.options)-1]
		default:
			return nil
		}
		out, err = rep.message().PackBuffer(buf)
	}
	if err != nil {
		return nil
	}
	if rep.padding {
		return rep.padded(out, buf)
	}
	return out
}

func (rep *reply) message() *dns.Msg {
	m := &dns.Msg{
		MsgHdr: dns.MsgHdr{
			Id:               rep.req.id,
			Response:         true,
			Opcode:           rep.req.opcode,
			Authoritative:    rep.authoritative,
			Truncated:        rep.truncated,
			RecursionDesired: rep.req.rd,
			Rcode:            rep.rcode,
		},
		Compress: true,
		Answer:   rep.answer,
		Ns:       rep.authority,
		Extra:    rep.additional,
	}
	if rep.echoesQuestion() {
		m.Question = []dns.Question{rep.req.question}
	}
	if rep.req.edns.present {
		m.Extra = append(m.Extra[:len(m.Extra):len(m.Extra)], rep.opt())
	}
	return m
}
