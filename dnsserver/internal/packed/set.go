package packed

import (
	"encoding/binary"

	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// Sizes on the wire. The owner of an answer is the name asked for, hence a pointer of two octets to the question.
const (
	pointerSize = 2
	rrHead      = 10 // type, class, TTL, length
	addrRR      = pointerSize + rrHead + 4
	addr6RR     = pointerSize + rrHead + 16
	srvTarget   = pointerSize + rrHead + 6 // offset of the target in an SRV record
)

// maxRecords is how many records a set may have to be kept packed. A larger one fits into no message that is made here.
const maxRecords = 1024

// set is a record set as it goes over the wire.
type set struct {
	count  int
	width  int  // octets of each record if all are of one size, else 0
	random bool // the order of the records means nothing

	rrs  []byte   // the records, one after the other
	ends []uint32 // where each ends in rrs, if they differ in size

	// SRV records alone have what follows. Those of equal priority stand together.
	bands []uint16 // for each record: where its band ends
	hosts []byte   // the addresses of each record's target, their owners left open
	where []host
}

// host says where in hosts the addresses of one target are.
type host struct {
	start  uint32
	v4, v6 uint8 // how many
}

// pack makes the packed form of a set; it returns nil for one that has none.
func pack(s *zone.RRset) any {
	n := s.Len()
	if s.Stale || n == 0 || n > maxRecords || s.Answers > 0 || s.Order == zone.OrderNearest {
		return (*set)(nil)
	}
	p := &set{count: n}
	ok := false
	switch s.Type {
	case zone.TypeA, zone.TypeAAAA:
		p.random = s.Order == zone.OrderRandom
		ok = p.addAddrs(s)
	case zone.TypeSRV:
		p.random = s.Order == zone.OrderRandom
		ok = p.addSRV(s)
	case zone.TypeTXT:
		ok = p.addTXT(s)
	}
	if !ok {
		return (*set)(nil)
	}
	return p
}

// appendHead appends a record up to its data.
func appendHead(b []byte, t zone.Type, ttl uint32, size int) []byte {
	b = binary.BigEndian.AppendUint16(b, questionPointer)
	b = binary.BigEndian.AppendUint16(b, uint16(t))
	b = binary.BigEndian.AppendUint16(b, classIN)
	b = binary.BigEndian.AppendUint32(b, ttl)
	return binary.BigEndian.AppendUint16(b, uint16(size))
}

const (
	pointerMark     = 0xc000
	questionPointer = pointerMark | headerSize
)

func (p *set) addAddrs(s *zone.RRset) bool {
	p.width = addrRR
	if s.Type == zone.TypeAAAA {
		p.width = addr6RR
	}
	p.rrs = make([]byte, 0, p.count*p.width)
	p.rrs = appendAddrs(p.rrs, s)
	return len(p.rrs) == p.count*p.width
}

func appendAddrs(b []byte, s *zone.RRset) []byte {
	for _, a := range s.Addrs {
		b = appendHead(b, s.Type, s.TTL, a.BitLen()/8)
		b = append(b, a.AsSlice()...)
	}
	return b
}

func (p *set) addSRV(s *zone.RRset) bool {
	seen := make(map[*zone.Host]struct{}, p.count)
	p.ends = make([]uint32, 0, p.count)
	p.bands = make([]uint16, p.count)
	p.where = make([]host, 0, p.count)
	for i := range s.SRV {
		rr := &s.SRV[i]
		if _, twice := seen[rr.Target]; twice {
			return false // its addresses are to come once, wherever the record stands
		}
		seen[rr.Target] = struct{}{}
		target, err := zone.ParseName(rr.Target.Name)
		if err != nil {
			return false
		}
		p.rrs = appendHead(p.rrs, zone.TypeSRV, s.TTL, 6+len(target))
		p.rrs = binary.BigEndian.AppendUint16(p.rrs, rr.Priority)
		p.rrs = binary.BigEndian.AppendUint16(p.rrs, rr.Weight)
		p.rrs = binary.BigEndian.AppendUint16(p.rrs, rr.Port)
		p.rrs = append(p.rrs, target...)
		h := host{start: uint32(len(p.hosts)), v4: uint8(rr.Target.A.Len()), v6: uint8(rr.Target.AAAA.Len())}
		if int(h.v4) != rr.Target.A.Len() || int(h.v6) != rr.Target.AAAA.Len() {
			return false
		}
		p.hosts = appendAddrs(p.hosts, rr.Target.A)
		p.hosts = appendAddrs(p.hosts, rr.Target.AAAA)
		p.ends = append(p.ends, uint32(len(p.rrs)))
		p.where = append(p.where, h)
	}
	end := p.count
	for i := p.count - 1; i >= 0; i-- {
		if i+1 < p.count && s.SRV[i].Priority != s.SRV[i+1].Priority {
			end = i + 1
		}
		p.bands[i] = uint16(end)
	}
	return true
}

func (p *set) addTXT(s *zone.RRset) bool {
	for _, strings := range s.TXT {
		size := 0
		for _, text := range strings {
			size += 1 + len(text)
		}
		p.rrs = appendHead(p.rrs, zone.TypeTXT, s.TTL, size)
		for _, text := range strings {
			p.rrs = append(append(p.rrs, byte(len(text))), text...)
		}
		p.ends = append(p.ends, uint32(len(p.rrs)))
	}
	return true
}
