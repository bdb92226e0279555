package tsig

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

const (
	headerSize   = 12
	maxName      = 255
	rrFixed      = 10 // type, class, TTL, length
	typeClassTTL = 8
)

// record is a TSIG record, RFC 8945 section 4.2, and where in its message it stood.
type record struct {
	packet []byte // the whole message
	start  int    // of the record

	name, algorithm []byte // wire form, lower case
	time            uint64
	fudge           uint16
	mac             []byte
	originalID      uint16
	code            uint16
	other           []byte
}

// split finds the TSIG record of a message. It returns nil if there is none.
func split(packet []byte) (*record, error) {
	if len(packet) < headerSize {
		return nil, ErrFormat
	}
	count := func(i int) int { return int(binary.BigEndian.Uint16(packet[i:])) }
	off := headerSize
	for range count(4) {
		next, ok := skipName(packet, off)
		if !ok || next+4 > len(packet) {
			return nil, ErrFormat
		}
		off = next + 4
	}
	records := count(6) + count(8) + count(10)
	for i := range records {
		start := off
		next, ok := skipName(packet, off)
		if !ok || next+rrFixed > len(packet) {
			return nil, ErrFormat
		}
		end := next + rrFixed + int(binary.BigEndian.Uint16(packet[next+typeClassTTL:]))
		if end > len(packet) {
			return nil, ErrFormat
		}
		off = end
		if binary.BigEndian.Uint16(packet[next:]) != dns.TypeTSIG {
			continue
		}
		// One, as the last record of all (section 5.1).
		if i != records-1 || count(10) == 0 || end != len(packet) {
			return nil, ErrFormat
		}
		return parseRecord(packet, start, next)
	}
	return nil, nil
}

func parseRecord(packet []byte, start, fixed int) (*record, error) {
	r := &record{packet: packet, start: start}
	var ok bool
	if r.name, _, ok = wireName(packet, start); !ok {
		return nil, ErrFormat
	}
	class, ttl := binary.BigEndian.Uint16(packet[fixed+2:]), binary.BigEndian.Uint32(packet[fixed+4:])
	if class != dns.ClassANY || ttl != 0 {
		return nil, ErrFormat
	}
	var off int
	if r.algorithm, off, ok = wireName(packet, fixed+rrFixed); !ok {
		return nil, ErrFormat
	}
	rest := packet[min(off, len(packet)):]
	if len(rest) < 10 {
		return nil, ErrFormat
	}
	r.time = uint64(binary.BigEndian.Uint16(rest))<<32 | uint64(binary.BigEndian.Uint32(rest[2:]))
	r.fudge = binary.BigEndian.Uint16(rest[6:])
	size := int(binary.BigEndian.Uint16(rest[8:]))
	if rest = rest[10:]; len(rest) < size+6 {
		return nil, ErrFormat
	}
	r.mac, rest = rest[:size:size], rest[size:]
	r.originalID = binary.BigEndian.Uint16(rest)
	r.code = binary.BigEndian.Uint16(rest[2:])
	r.other = rest[6:]
	if int(binary.BigEndian.Uint16(rest[4:])) != len(r.other) {
		return nil, ErrFormat
	}
	return r, nil
}

// plain returns the message without the record.
func (r *record) plain() []byte {
	msg := append([]byte(nil), r.packet[:r.start]...)
	binary.BigEndian.PutUint16(msg[10:], binary.BigEndian.Uint16(msg[10:])-1)
	return msg
}

// body returns the message as it was signed: plain, and with the ID that it had at first (section 4.3.2).
func (r *record) body() []byte {
	msg := r.plain()
	binary.BigEndian.PutUint16(msg, r.originalID)
	return msg
}

// variables returns the fields of the record that a signature covers (section 4.3.3).
func (r *record) variables() []byte {
	b := append([]byte(nil), r.name...)
	b = binary.BigEndian.AppendUint16(b, dns.ClassANY)
	b = binary.BigEndian.AppendUint32(b, 0)
	b = append(b, r.algorithm...)
	b = append(b, r.timers()...)
	b = binary.BigEndian.AppendUint16(b, r.code)
	b = binary.BigEndian.AppendUint16(b, uint16(len(r.other)))
	return append(b, r.other...)
}

// timers returns the fields that are left of those in later messages of an answer (section 5.3.1).
func (r *record) timers() []byte {
	b := binary.BigEndian.AppendUint64(nil, r.time)[2:]
	return binary.BigEndian.AppendUint16(b, r.fudge)
}

// appendTo returns the message with the record at its end.
func (r *record) appendTo(msg []byte) []byte {
	out := append(make([]byte, 0, len(msg)+len(r.name)+len(r.algorithm)+len(r.mac)+len(r.other)+rrFixed+16), msg...)
	binary.BigEndian.PutUint16(out[10:], binary.BigEndian.Uint16(out[10:])+1)
	out = append(out, r.name...)
	out = binary.BigEndian.AppendUint16(out, dns.TypeTSIG)
	out = binary.BigEndian.AppendUint16(out, dns.ClassANY)
	out = binary.BigEndian.AppendUint32(out, 0)
	out = binary.BigEndian.AppendUint16(out, uint16(len(r.algorithm)+16+len(r.mac)+len(r.other)))
	out = append(out, r.algorithm...)
	out = append(out, r.timers()...)
	out = binary.BigEndian.AppendUint16(out, uint16(len(r.mac)))
	out = append(out, r.mac...)
	out = binary.BigEndian.AppendUint16(out, r.originalID)
	out = binary.BigEndian.AppendUint16(out, r.code)
	out = binary.BigEndian.AppendUint16(out, uint16(len(r.other)))
	return append(out, r.other...)
}

// keyName returns the name of the key as text, for people.
func (r *record) keyName() string {
	name, _, err := dns.UnpackDomainName(r.name, 0)
	if err != nil {
		return "?" // it was taken apart before, so this does not happen
	}
	return name
}

// skipName returns the offset after a name, which may end in a pointer.
func skipName(packet []byte, off int) (next int, ok bool) {
	for start := off; off < len(packet) && off-start < maxName; {
		switch size := int(packet[off]); {
		case size == 0:
			return off + 1, true
		case size&0xc0 == 0xc0:
			return off + 2, off+2 <= len(packet)
		case size > 63:
			return 0, false
		default:
			off += 1 + size
		}
	}
	return 0, false
}

// wireName returns the name at an offset without pointers and in lower case, and the offset after it.
func wireName(packet []byte, off int) (name []byte, next int, ok bool) {
	next, ok = skipName(packet, off)
	if !ok {
		return nil, 0, false
	}
	for limit := off; off < len(packet); {
		size := int(packet[off])
		switch {
		case size == 0:
			return append(name, 0), next, len(name) < maxName
		case size&0xc0 == 0xc0:
			if off+2 > len(packet) {
				return nil, 0, false
			}
			// Only backwards, so that it ends.
			to := int(binary.BigEndian.Uint16(packet[off:])) & 0x3fff
			if to >= limit {
				return nil, 0, false
			}
			off, limit = to, to
			continue
		case size > 63 || off+1+size > len(packet) || len(name)+1+size > maxName:
			return nil, 0, false
		}
		name = append(name, byte(size))
		for _, c := range packet[off+1 : off+1+size] {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			name = append(name, c)
		}
		off += 1 + size
	}
	return nil, 0, false
}
