package dnsserver

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

// The fixed sizes of a message, RFC 1035 section 4.1.
const (
	headerSize   = 12
	questionTail = 4   // type and class after the name
	maxNameWire  = 255 // octets of a name
	maxLabelWire = 63
	maxMessage   = 65535
	minUDP       = 512 // what every client takes
)

// request is a query as far as we look at one.
type request struct {
	id     uint16
	opcode int
	rd     bool

	questions int
	wireName  []byte // of the first question, uncompressed, in the case in which it came; aliases the packet
	question  dns.Question

	opt    *dns.OPT
	broken bool // does not parse; what parsed before is set
}

// parse reads a message of at least headerSize octets.
func parse(packet []byte) request {
	flags := binary.BigEndian.Uint16(packet[2:])
	req := request{
		id:        binary.BigEndian.Uint16(packet),
		opcode:    int(flags>>11) & 0xf,
		rd:        flags&0x0100 != 0,
		questions: int(binary.BigEndian.Uint16(packet[4:])),
	}
	answers := int(binary.BigEndian.Uint16(packet[6:]))
	authority := int(binary.BigEndian.Uint16(packet[8:]))
	additional := int(binary.BigEndian.Uint16(packet[10:]))
	off := headerSize
	for i := range req.questions {
		next, ok := skipName(packet, off)
		if !ok || next+questionTail > len(packet) {
			req.broken = true
			return req
		}
		if i == 0 {
			name, _, err := dns.UnpackDomainName(packet, off)
			if err != nil {
				req.broken = true
				return req
			}
			req.wireName = packet[off:next]
			req.question = dns.Question{
				Name:   name,
				Qtype:  binary.BigEndian.Uint16(packet[next:]),
				Qclass: binary.BigEndian.Uint16(packet[next+2:]),
			}
		}
		off = next + questionTail
	}
	for i := range answers + authority + additional {
		if off == len(packet) { // UnpackRR would make up an empty record
			req.broken = true
			return req
		}
		rr, next, err := dns.UnpackRR(packet, off)
		if err != nil {
			req.broken = true
			return req
		}
		off = next
		if opt, ok := rr.(*dns.OPT); ok {
			// One, at the root, in the additional section: RFC 6891 section 6.1.1.
			if req.opt != nil || opt.Hdr.Name != "." || i < answers+authority {
				req.broken = true
				return req
			}
			req.opt = opt
		}
	}
	// A query has nothing to say but its question; IXFR alone brings a SOA along (RFC 1995 section 3).
	extra := answers > 0 || authority > 0 && req.question.Qtype != dns.TypeIXFR
	req.broken = off != len(packet) || extra && req.opcode == dns.OpcodeQuery
	return req
}

// skipName returns the offset after an uncompressed name. A question has nothing before it to point to, so a
// compressed one is malformed.
func skipName(packet []byte, off int) (next int, ok bool) {
	for start := off; off < len(packet); {
		size := int(packet[off])
		off += 1 + size
		switch {
		case size > maxLabelWire || off-start > maxNameWire:
			return 0, false
		case size == 0:
			return off, true
		}
	}
	return 0, false
}
