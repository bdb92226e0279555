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
	packet []byte // as it came
	id     uint16
	opcode int
	rd     bool

	questions int
	wireName  []byte // of the first question, uncompressed, in the case in which it came; aliases the packet
	question  dns.Question

	edns   edns
	signed bool // has a TSIG record
	broken bool // does not parse; what parsed before is set
}

// parse reads a message of at least headerSize octets. Of the records behind the question it looks at OPT alone; what
// else there may be is skipped, whatever it holds.
func parse(packet []byte) request {
	flags := binary.BigEndian.Uint16(packet[2:])
	req := request{
		packet:    packet,
		id:        binary.BigEndian.Uint16(packet),
		opcode:    int(flags>>11) & 0xf,
		rd:        flags&0x0100 != 0,
		questions: int(binary.BigEndian.Uint16(packet[4:])),
		broken:    true,
	}
	answers := int(binary.BigEndian.Uint16(packet[6:]))
	authority := int(binary.BigEndian.Uint16(packet[8:]))
	additional := int(binary.BigEndian.Uint16(packet[10:]))
	off := headerSize
	for i := range req.questions {
		next, ok := skipName(packet, off)
		if !ok || next+questionTail > len(packet) {
			return req
		}
		if i == 0 {
			name, _, err := dns.UnpackDomainName(packet, off)
			if err != nil {
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
		rr, ok := readRecord(packet, off)
		if !ok {
			return req
		}
		off = rr.end
		req.signed = req.signed || rr.rrtype == dns.TypeTSIG
		if rr.rrtype != dns.TypeOPT {
			continue
		}
		// One, at the root, in the additional section: RFC 6891 section 6.1.1.
		if req.edns.present || !rr.root || i < answers+authority || !req.edns.parse(rr) {
			return req
		}
	}
	// A query has nothing to say but its question; IXFR alone brings a SOA along (RFC 1995 section 3).
	extra := answers > 0 || authority > 0 && req.question.Qtype != dns.TypeIXFR
	req.broken = off != len(packet) || extra && req.opcode == dns.OpcodeQuery
	return req
}

// wireRecord is a resource record in a packet.
type wireRecord struct {
	root   bool // the owner is the root
	rrtype uint16
	class  uint16
	ttl    uint32
	data   []byte
	end    int // the offset behind it
}

// readRecord reads the record at an offset, without a look into its data.
func readRecord(packet []byte, off int) (rr wireRecord, ok bool) {
	start := off
	for {
		if off >= len(packet) {
			return rr, false
		}
		size := int(packet[off])
		if size&0xc0 == 0xc0 { // a pointer ends the name
			off += pointerSize
			break
		}
		off += 1 + size
		if size > maxLabelWire || off-start > maxNameWire {
			return rr, false
		}
		if size == 0 {
			break
		}
	}
	if off+rrHead > len(packet) {
		return rr, false
	}
	rr.root = off == start+1
	rr.rrtype = binary.BigEndian.Uint16(packet[off:])
	rr.class = binary.BigEndian.Uint16(packet[off+2:])
	rr.ttl = binary.BigEndian.Uint32(packet[off+4:])
	off += rrHead
	rr.end = off + int(binary.BigEndian.Uint16(packet[off-2:]))
	if rr.end > len(packet) {
		return rr, false
	}
	rr.data = packet[off:rr.end]
	return rr, true
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
