package packed

import (
	"encoding/binary"
	"hash/maphash"

	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// memory keeps what was found for the last questions, for as long as the zone is the same. The zone is searched like a
// dictionary, and most of that is waiting for memory; here an answer is two places away. What does not exist is
// not kept, or a flood of random names would push out all that does.
type memory struct {
	zone       *zone.Zone
	generation uint32 // of slots that are of this zone
	slots      []slot // none before there is enough to do
	wanted     bool
	asked      int
}

// slot has one answer. One of an earlier generation counts as empty; the set that it may hold is small.
type slot struct {
	set        *set // nil: the name has nothing of the type
	generation uint32
	qtype      uint16
	size       uint8 // of the name
	name       [maxKept]byte
}

const (
	slotCount = 4096 // a power of two
	maxKept   = 81   // octets of a name; makes a slot 96 octets
	keptSize  = 4096 // octets of the records of a set
	// warmUp is how many questions there are before the memory is made: who is asked seldom needs none.
	warmUp = 1024
)

var seed = maphash.MakeSeed()

// Remember has the responder keep what it finds, which takes 400 KB once it has been asked some hundred times. It is for
// those that live as long as the server.
func (r *Responder) Remember() { r.memory.wanted = true }

// lookup returns the set for a question; nil if the name exists and has nothing of the type, or does not exist. It reports
// false if the question is for the general path.
func (r *Responder) lookup(name []byte, qtype uint16, z *zone.Zone) (p *set, outcome zone.Outcome, ok bool) {
	m := &r.memory
	if m.slots == nil || len(name) > maxKept {
		if m.asked++; m.asked >= warmUp && m.wanted && m.slots == nil {
			m.slots = make([]slot, slotCount)
		}
		return find(name, qtype, z)
	}
	if m.zone != z {
		m.zone = z
		if m.generation++; m.generation == 0 {
			clear(m.slots)
			m.generation = 1
		}
	}
	var lowered [maxKept + 7]byte
	lower(&lowered, name)
	s := &m.slots[(maphash.Bytes(seed, lowered[:len(name)])^uint64(qtype)*0x9e3779b97f4a7c15)%slotCount]
	if s.generation == m.generation && s.qtype == qtype && int(s.size) == len(name) && string(s.name[:len(name)]) == string(lowered[:len(name)]) {
		if s.set == nil {
			return nil, zone.NoData, true
		}
		return s.set, zone.Success, true
	}
	p, outcome, ok = find(name, qtype, z)
	if ok && outcome != zone.NXDomain && (p == nil || len(p.rrs)+len(p.hosts) <= keptSize) {
		s.set, s.generation, s.qtype, s.size = p, m.generation, qtype, uint8(len(name))
		copy(s.name[:], lowered[:len(name)])
	}
	return p, outcome, ok
}

// find is lookup without the memory.
func find(name []byte, qtype uint16, z *zone.Zone) (p *set, outcome zone.Outcome, ok bool) {
	found, ok := z.Find(name, zone.Type(qtype))
	if !ok {
		return nil, found.Outcome, false
	}
	switch found.Outcome {
	case zone.Success:
		p, _ = found.Answer.Packed(pack).(*set)
		return p, found.Outcome, p != nil
	case zone.NoData, zone.NXDomain:
		// The SOA record of a reverse zone names hosts of another zone.
		return nil, found.Outcome, found.Zone == z
	default:
		return nil, found.Outcome, false
	}
}

// lower writes a name in small letters, eight octets at a time. Lengths of labels are below any letter.
func lower(to *[maxKept + 7]byte, name []byte) {
	const ones = 0x0101010101010101
	i := 0
	for ; i+8 <= len(name); i += 8 {
		x := binary.LittleEndian.Uint64(name[i:])
		low := x & (0x7f * ones)
		fromA, pastZ := low+(0x80-'A')*ones, low+(0x7f-'Z')*ones // the top bit of each octet says so
		x |= (fromA &^ pastZ &^ x & (0x80 * ones)) >> 2
		binary.LittleEndian.PutUint64(to[i:], x)
	}
	for ; i < len(name); i++ {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		to[i] = c
	}
}
