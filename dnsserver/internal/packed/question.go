package packed

import "encoding/binary"

// The fixed sizes and codes of a message, RFC 1035 section 4.1 and RFC 6891 section 6.1.2.
const (
	headerSize   = 12
	questionTail = 4 // type and class after the name
	optSize      = 11
	extendedCode = 5 // offset of the upper part of the reply's code in an OPT record
	cookieHead   = 4 // code and length of the option
	maxNameWire  = 255
	maxLabelWire = 63

	typeOPT      = 41
	optionCookie = 10
	classIN      = 1
	// Those of RFC 4034 are in a row.
	typeRRSIG, typeDNSKEY, typeCDS, typeCDNSKEY = 46, 48, 59, 60
	// Types from here to 255 are questions about something other than one kind of record (RFC 6895 section 3.1).
	firstMetaType = 128
	lastMetaType  = 255

	flagRD = 0x01 // in the third octet
	flagAA = 0x04
	flagTC = 0x02
	flagQR = 0x80
	doBit  = 0x80 // in the third octet of the TTL of an OPT record
)

// question is a query that is as plain as most are: one question about one type in the class of the internet, no
// record but an OPT with no option, or with a cookie.
type question struct {
	end   int // offset after the question
	qtype uint16
	opt   bool
	do    bool
	size  int // of UDP messages that the client takes; 512 if it did not say
	// cookie is the content of the COOKIE option (RFC 7873), and aliases the packet; nil if there is none.
	cookie []byte
}

// parse reports whether the packet is a plain query. Flags that a query may carry and no answer of ours depends on (RD, AD,
// CD) are let pass, all else is left to who knows it better.
func (q *question) parse(packet []byte) bool {
	if len(packet) < headerSize+1+questionTail || packet[2]&^flagRD != 0 || packet[3]&^0x30 != 0 {
		return false
	}
	// One question, no answer, no authority, and one record more at most.
	counts := binary.BigEndian.Uint64(packet[4:])
	if counts&^1 != 1<<48 {
		return false
	}
	off := headerSize
	for {
		size := int(packet[off])
		if size > maxLabelWire {
			return false
		}
		off += 1 + size
		if off+questionTail > len(packet) {
			return false
		}
		if size == 0 {
			break
		}
	}
	if off-headerSize > maxNameWire {
		return false
	}
	q.qtype = binary.BigEndian.Uint16(packet[off:])
	if binary.BigEndian.Uint16(packet[off+2:]) != classIN {
		return false
	}
	if q.qtype == 0 || q.qtype == typeOPT || q.qtype >= firstMetaType && q.qtype <= lastMetaType {
		return false
	}
	q.end = off + questionTail
	q.opt, q.do, q.size, q.cookie = false, false, minUDP, nil
	if counts&1 == 0 {
		return len(packet) == q.end
	}
	return len(packet) >= q.end+optSize && q.parseOPT(packet[q.end:])
}

// secure tells whether the question is about a type that only zones that are signed have: RRSIG, NSEC, DNSKEY, CDS or
// CDNSKEY.
func (q *question) secure() bool {
	return q.qtype >= typeRRSIG && q.qtype <= typeDNSKEY || q.qtype == typeCDS || q.qtype == typeCDNSKEY
}

// parseOPT reports whether the rest of the packet is an OPT record of version 0 with no option, or with a client's cookie
// alone or beside one that can be of ours.
func (q *question) parseOPT(rr []byte) bool {
	// Owner, type, size, extended code, version, flags, length. The code means nothing in a query.
	if rr[0] != 0 || binary.BigEndian.Uint16(rr[1:]) != typeOPT || rr[6] != 0 || int(binary.BigEndian.Uint16(rr[9:])) != len(rr)-optSize {
		return false
	}
	q.opt = true
	q.do = rr[7]&doBit != 0
	q.size = int(binary.BigEndian.Uint16(rr[3:]))
	option := rr[optSize:]
	switch len(option) {
	case 0:
		return true
	case cookieHead + ClientCookie, cookieHead + CookieSize:
		q.cookie = option[cookieHead:]
		return binary.BigEndian.Uint16(option) == optionCookie && int(binary.BigEndian.Uint16(option[2:])) == len(q.cookie)
	default:
		return false
	}
}

const minUDP = 512 // octets that every client takes
