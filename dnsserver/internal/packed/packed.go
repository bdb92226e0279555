// Package packed answers plain questions with records that are kept as they go over the wire. It is a filter before the
// general path of the server: what it is not certain of it leaves alone, and what it answers it answers as the general
// path would, octet for octet but for the order of records where that is random. It is pure: a packet goes in, and
// a reply or none comes out.
//
// The packed form of a record set is made when the set is first asked for, and hangs on the set (zone.RRset.Packed). So
// it is published with the zone, is shared by all generations of the zone in which the set is the same, and costs a
// change of the zone nothing.
package packed

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// maxReply is the longest reply that is made here: all of it can be pointed to (RFC 1035 section 4.1.4).
const maxReply = 1 << 14

// Config says what the general path does with plain questions.
type Config struct {
	// Size is the UDP payload that replies advertise.
	Size int
	// Cookies says that cookies are answered; else they are passed over.
	Cookies bool
}

// Sizes in octets: the client's half of a cookie, and both halves as our server makes them (RFC 9018 section 4).
const (
	ClientCookie = 8
	CookieSize   = 24
)

// Path says how a query came, and how it is answered now.
type Path struct {
	// TCP has no limit but that of a message, and no truncation.
	TCP bool
	// UDPLimit is the longest reply over UDP to a client that says it takes as much.
	UDPLimit int
	// Signed says that who sets the DO bit gets more than the records, and that there are records of types that the zone
	// knows nothing of.
	Signed bool
}

// Result describes a reply.
type Result struct {
	Type      uint16 // asked for
	Outcome   zone.Outcome
	Rcode     uint8
	Truncated bool
	// Cookie is what the client sent, of ClientCookie or CookieSize octets, which aliases the packet; nil if there is none,
	// or it is not to be answered. The reply ends with room for CookieSize octets, for the caller to fill.
	Cookie []byte

	end int // of the question
	opt int // size of the OPT record
}

// badCookie is the code of that name (RFC 7873 section 8), which is split over header and OPT record.
const badCookie = 23

// Empty takes all records out of the reply and marks it as truncated, so that a real client asks again over TCP; or, if
// the client knows cookies, has it ask again with the one of the reply.
func (r *Result) Empty(reply []byte) []byte {
	end := r.end + copy(reply[r.end:], reply[len(reply)-r.opt:])
	clear(reply[6:headerSize])
	r.Rcode, r.Truncated = 0, r.Cookie == nil
	reply[2] &^= flagTC
	if r.Truncated {
		reply[2] |= flagTC
	} else {
		r.Rcode = badCookie
		reply[r.end+extendedCode] = badCookie >> 4
	}
	if r.opt > 0 {
		reply[11] = 1
	}
	reply[3] = r.Rcode & 0xf
	return reply[:end]
}

// Responder makes replies. It serves one goroutine.
type Responder struct {
	cfg    Config
	random rand.PCG
	memory memory
	order  [maxRecords]uint16
}

// New returns a responder.
func New(cfg Config) *Responder {
	return &Responder{cfg: cfg, random: *rand.NewPCG(rand.Uint64(), rand.Uint64())}
}

// Respond writes the reply to a packet into out, up to its capacity, and returns it. It returns nil for a packet that is
// for the general path. Nothing is allocated, but when a set is asked for first.
func (r *Responder) Respond(out, packet []byte, z *zone.Zone, path Path) ([]byte, Result) {
	var q question
	if !q.parse(packet) || path.Signed && (q.do || q.secure()) {
		return nil, Result{}
	}
	p, outcome, ok := r.lookup(packet[headerSize:q.end-questionTail], q.qtype, z)
	if !ok {
		return nil, Result{}
	}
	if !r.cfg.Cookies {
		q.cookie = nil
	}
	limit, opt := q.limit(path), q.replyOPT()
	room := min(limit, cap(out), maxReply)
	if room < q.end+opt {
		return nil, Result{}
	}
	m := message{responder: r, out: append(out[:0], packet[:q.end]...), start: q.end, room: room, all: room == limit, tcp: path.TCP, opt: q.opt}
	m.room -= opt
	result := Result{Type: q.qtype, Outcome: outcome, Cookie: q.cookie, end: q.end, opt: opt}
	if outcome == zone.Success {
		if !m.addSet(p) {
			return nil, Result{}
		}
		result.Truncated = m.truncated
	} else {
		if outcome == zone.NXDomain {
			result.Rcode = rcodeNXDomain
		}
		d, _ := z.SOA().Packed(packSOA).(*denial)
		if d == nil || !m.addDenial(d) {
			return nil, Result{}
		}
	}
	return m.finish(&q, result.Rcode, r.cfg.Size), result
}

const rcodeNXDomain = 3

// replyOPT returns the size of the OPT record of the reply.
func (q *question) replyOPT() int {
	switch {
	case !q.opt:
		return 0
	case q.cookie == nil:
		return optSize
	default:
		return optSize + cookieHead + CookieSize
	}
}

func (q *question) limit(path Path) int {
	if path.TCP {
		return maxMessage
	}
	return max(minUDP, min(q.size, path.UDPLimit))
}

const maxMessage = 65535

// message is a reply in the making.
type message struct {
	responder *Responder
	out       []byte
	start     int  // of the answers
	room      int  // octets for all but the OPT record
	all       bool // what does not fit into room does not fit into the reply
	tcp       bool
	opt       bool // the client speaks EDNS

	answers, authority, additional int
	truncated                      bool
}

func (m *message) finish(q *question, rcode uint8, size int) []byte {
	out := m.out
	if q.opt {
		var do byte
		if q.do {
			do = doBit // RFC 3225 section 3
		}
		var length byte
		if q.cookie != nil {
			length = cookieHead + CookieSize
		}
		out = append(out, 0, 0, typeOPT, byte(size>>8), byte(size), 0, 0, do, 0, 0, length)
		if q.cookie != nil {
			var blank [CookieSize]byte
			out = append(append(out, 0, optionCookie, 0, CookieSize), blank[:]...)
		}
		m.additional++
	}
	flags := flagQR | flagAA | out[2]&flagRD
	if m.truncated {
		flags |= flagTC
	}
	out[2], out[3] = flags, rcode
	binary.BigEndian.PutUint16(out[6:], uint16(m.answers))
	binary.BigEndian.PutUint16(out[8:], uint16(m.authority))
	binary.BigEndian.PutUint16(out[10:], uint16(m.additional))
	return out
}

func (m *message) addDenial(d *denial) bool {
	if out := d.appendTo(m.out); out != nil && len(out) <= m.room {
		m.out, m.authority = out, 1
		return true
	}
	return false
}

// addSet adds the records in an order of their own, as far as they fit. It reports false if that is not for here to say.
func (m *message) addSet(p *set) bool {
	order := m.responder.order[:p.count]
	copy(order, inOrder[:])
	shuffle := p.random && p.count > 1
	if p.width > 0 {
		m.addSized(p, order, shuffle)
	} else {
		m.addAny(p, order, shuffle)
	}
	if m.answers < p.count {
		if m.truncated = !m.tcp; m.truncated && m.opt {
			m.out, m.answers = m.out[:m.start], 0 // who could ask for more gets no part
		}
		return m.all
	}
	return p.where == nil || m.addHosts(p, order)
}

var inOrder = func() (order [maxRecords]uint16) {
	for i := range order {
		order[i] = uint16(i)
	}
	return order
}()

// next puts one of order[i:end] at i, each with the same chance, and returns it.
func (r *Responder) next(order []uint16, i, end int) int {
	// The high half of a product instead of a remainder: as even as needed for so few, and quick.
	j := i + int((r.random.Uint64()>>32)*uint64(end-i)>>32)
	order[i], order[j] = order[j], order[i]
	return int(order[i])
}

func (m *message) addSized(p *set, order []uint16, shuffle bool) {
	n := min(p.count, (m.room-len(m.out))/p.width)
	if !shuffle {
		m.out = append(m.out, p.rrs[:n*p.width]...)
		m.answers = n
		return
	}
	at := len(m.out)
	m.out = m.out[:at+n*p.width]
	for i := range n {
		src := m.responder.next(order, i, p.count) * p.width
		if p.width == addrRR { // of a size that is known the compiler makes one move
			*(*[addrRR]byte)(m.out[at:]) = *(*[addrRR]byte)(p.rrs[src:])
		} else {
			copy(m.out[at:], p.rrs[src:src+p.width])
		}
		at += p.width
	}
	m.answers = n
}

func (m *message) addAny(p *set, order []uint16, shuffle bool) {
	for i := range p.count {
		k := i
		if shuffle {
			k = m.responder.next(order, i, int(p.bands[i]))
		}
		start := uint32(0)
		if k > 0 {
			start = p.ends[k-1]
		}
		rr := p.rrs[start:p.ends[k]]
		if len(m.out)+len(rr) > m.room {
			return
		}
		m.out = append(m.out, rr...)
		m.answers++
	}
}

// addHosts adds the addresses of the targets in the order of the answers. Their owners point to the targets there. It
// reports false if some do not fit, though there may be room elsewhere.
func (m *message) addHosts(p *set, order []uint16) bool {
	rr := m.start
	for _, k := range order {
		h := &p.where[k]
		owner := pointerMark | uint16(rr+srvTarget)
		start := uint32(0)
		if k > 0 {
			start = p.ends[k-1]
		}
		rr += int(p.ends[k] - start)
		at := int(h.start)
		for n := h.v4; n > 0; n-- {
			if !m.addHost(p.hosts[at:at+addrRR], owner) {
				return m.all
			}
			at += addrRR
		}
		for n := h.v6; n > 0; n-- {
			if !m.addHost(p.hosts[at:at+addr6RR], owner) {
				return m.all
			}
			at += addr6RR
		}
	}
	return true
}

func (m *message) addHost(rr []byte, owner uint16) bool {
	at := len(m.out)
	if at+len(rr) > m.room {
		return false
	}
	m.out = append(m.out, rr...)
	binary.BigEndian.PutUint16(m.out[at:], owner)
	m.additional++
	return true
}
