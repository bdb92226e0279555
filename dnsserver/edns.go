package dnsserver

import (
	"encoding/binary"
	"encoding/hex"
	"time"

	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/internal/cookie"
)

// edns is what a query says by its OPT record (RFC 6891). Options that are not here are ignored.
type edns struct {
	present bool
	version uint8
	size    uint16 // octets that the client takes over UDP
	do      bool
	co      bool // takes the code NXDOMAIN in compact answers (RFC 9824 section 5.1)

	cookie    []byte // content of the COOKIE option (RFC 7873); nil if there is none; aliases the packet
	nsid      bool   // asks for our identifier (RFC 5001)
	keepalive bool   // asks how long a connection may be idle (RFC 7828)
	padding   bool   // asks for padding (RFC 7830)
	wrong     string // which option has no such length
}

// parse reads an OPT record. It returns false if its options run over its end.
func (e *edns) parse(rr wireRecord) bool {
	*e = edns{present: true, size: rr.class, version: uint8(rr.ttl >> 16), do: rr.ttl&0x8000 != 0, co: rr.ttl&0x4000 != 0}
	if e.version > 0 {
		return true // later versions may have another form
	}
	for data := rr.data; len(data) > 0; {
		if len(data) < optionHead {
			return false
		}
		code, size := binary.BigEndian.Uint16(data), int(binary.BigEndian.Uint16(data[2:]))
		if data = data[optionHead:]; size > len(data) {
			return false
		}
		e.option(code, data[:size:size])
		data = data[size:]
	}
	return true
}

func (e *edns) option(code uint16, data []byte) {
	switch code {
	case dns.EDNS0COOKIE:
		if e.cookie == nil { // the first counts, RFC 7873 section 5.2
			e.cookie = data
		}
	case dns.EDNS0NSID:
		e.nsid = true
	case dns.EDNS0TCPKEEPALIVE:
		e.keepalive = true
		if len(data) != 0 && len(data) != 2 { // RFC 7828 section 3.1
			e.wrong = "edns-tcp-keepalive"
		}
	case dns.EDNS0PADDING:
		e.padding = true
	}
}

// advertised is how long a UDP message we take, in every reply with EDNS: what passes all common networks in one
// piece (DNS flag day 2020).
const advertised = 1232

// opt makes the OPT record of a reply.
func (rep *reply) opt() *dns.OPT {
	opt := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}, Option: rep.options}
	opt.SetUDPSize(advertised)
	if rep.req.edns.do {
		opt.SetDo() // RFC 3225 section 3
	}
	if rep.compact {
		opt.SetCo()
	}
	return opt
}

// addOption adds an option with so many octets of content, if the client speaks EDNS.
func (rep *reply) addOption(o dns.EDNS0, size int) {
	if rep.req.edns.present {
		rep.options = append(rep.options, o)
		rep.size += optionHead + size
	}
}

// explain adds an Extended DNS Error (RFC 8914).
func (rep *reply) explain(code uint16, text string) {
	rep.addOption(&dns.EDNS0_EDE{InfoCode: code, ExtraText: text}, 2+len(text))
}

// addOptions answers the options of the query that want one.
func (r *responder) addOptions(req *request, rep *reply, p path) {
	if req.edns.nsid && r.policy.nsid != "" {
		rep.addOption(&dns.EDNS0_NSID{Code: dns.EDNS0NSID, Nsid: hex.EncodeToString([]byte(r.policy.nsid))}, len(r.policy.nsid))
	}
	if req.edns.keepalive && p.tcp { // over UDP it means nothing, RFC 7828 section 3.2.1
		units := min(p.idle/keepaliveUnit, 1<<16-1)
		rep.addOption(&dns.EDNS0_TCP_KEEPALIVE{Code: dns.EDNS0TCPKEEPALIVE, Timeout: uint16(units)}, 2)
	}
	rep.padding = req.edns.padding && p.tls
}

// keepaliveUnit is the unit of the idle time-out in RFC 7828 section 3.1.
const keepaliveUnit = 100 * time.Millisecond

// checkCookie looks at the client's cookie, and gives it a fresh one. It returns false if the reply is ready because of
// what the cookie was.
func (r *responder) checkCookie(req *request, rep *reply, p path) bool {
	if req.edns.cookie == nil || r.policy.cookies == nil {
		return true
	}
	status := r.policy.cookies.Check(req.edns.cookie, p.client, p.now)
	if status == cookie.Malformed {
		rep.fail(dns.RcodeFormatError, dns.ExtendedErrorCodeOther, "no cookie has such a length") // RFC 7873 section 5.2.2
		return false
	}
	fresh := r.policy.cookies.Make([cookie.ClientSize]byte(req.edns.cookie), p.client, p.now)
	rep.addOption(&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: hex.EncodeToString(fresh[:])}, len(fresh))
	rep.known = rep.known || status == cookie.Good
	switch {
	case status == cookie.Good:
		r.stats.cookiesGood.Add(1)
	case status == cookie.Bad:
		r.stats.cookiesBad.Add(1)
	}
	switch {
	case req.questions == 0 && req.opcode == dns.OpcodeQuery:
		// Asked for a cookie and nothing else: RFC 7873 section 5.4.
		if status == cookie.Bad {
			rep.rcode = dns.RcodeBadCookie
		}
		return false
	case !rep.known && r.policy.requireCookie && !p.tcp:
		// Over TCP the client has shown by the handshake that the address is its own (RFC 7873 section 5.2.3).
		rep.rcode = dns.RcodeBadCookie
		return false
	}
	return true
}

// paddingBlock is what replies over TLS are padded to a multiple of, RFC 8467 section 4.1.
const paddingBlock = 468

// padded returns the reply padded to whole blocks, so that its length says little about it.
func (rep *reply) padded(out, buf []byte) []byte {
	size := (paddingBlock - (len(out)+optionHead)%paddingBlock) % paddingBlock
	if len(out)+optionHead+size > rep.limit {
		return out
	}
	rep.options = append(rep.options, &dns.EDNS0_PADDING{Padding: make([]byte, size)})
	if longer, err := rep.message().PackBuffer(buf); err == nil {
		return longer
	}
	return out
}
