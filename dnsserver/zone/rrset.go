package zone

import (
	"cmp"
	"hash/maphash"
	"math/bits"
	"net/netip"
	"slices"
	"sync/atomic"
)

// Type is a DNS record type.
type Type uint16

// The types that the zone holds.
const (
	TypeA    Type = 1
	TypeNS   Type = 2
	TypeSOA  Type = 6
	TypeTXT  Type = 16
	TypeAAAA Type = 28
	TypeSRV  Type = 33
)

// RRset is the records of one type at one name. It is shared between answers and read-only. Of its fields below
// TTL one is used, by Type.
type RRset struct {
	Type Type
	TTL  uint32 // seconds
	// Stale says that some of it is what was known last, and may not be true any more (RFC 8767).
	Stale bool

	Addrs []netip.Addr // A and AAAA
	SRV   []SRV
	TXT   [][]string // the strings of each record, each of at most 255 octets
	NS    []*Host
	SOA   *SOA

	packed atomic.Pointer[any]
}

// Packed returns what pack makes of the set, made once and kept as long as the set: so a form that is quicker to send
// is there from the set's first use to its next change. Each caller must pass the same function.
func (s *RRset) Packed(pack func(*RRset) any) any {
	if p := s.packed.Load(); p != nil {
		return *p
	}
	p := pack(s)
	s.packed.Store(&p) // two at once make equal ones
	return p
}

// Len returns how many records there are.
func (s *RRset) Len() int {
	switch s.Type {
	case TypeA, TypeAAAA:
		return len(s.Addrs)
	case TypeSRV:
		return len(s.SRV)
	case TypeTXT:
		return len(s.TXT)
	case TypeNS:
		return len(s.NS)
	case TypeSOA:
		return 1
	}
	return 0
}

// Host is the target of an SRV or NS record, with the addresses to go into the additional section.
type Host struct {
	Name    string // fully qualified, in lower case
	A, AAAA *RRset // maybe without records, never nil
}

// SRV is one SRV record.
type SRV struct {
	Priority, Weight, Port uint16
	Target                 *Host
}

// SOA is a SOA record.
type SOA struct {
	Primary, Mailbox                string // fully qualified
	Serial                          uint32
	Refresh, Retry, Expire, Minimum uint32 // seconds
}

// lazySet builds a record set when it is first asked for, so that an update need not build sets that nobody reads.
type lazySet struct{ p atomic.Pointer[RRset] }

func (l *lazySet) get(build func() *RRset) *RRset {
	if set := l.p.Load(); set != nil {
		return set
	}
	set := build()
	l.p.Store(set) // two builders at once make equal sets
	return set
}

// addrSet returns the addresses of one family, without duplicates: a record set holds a record once (RFC 2181
// section 5), and members may share an address.
func addrSet(t Type, ttl uint32, endpoints []*endpoint) *RRset {
	set := &RRset{Type: t, TTL: ttl}
	n := 0
	for _, e := range endpoints {
		n += len(e.node.host.addrs(t))
	}
	if n == 0 {
		return set
	}
	set.Addrs = make([]netip.Addr, 0, n)
	seen := newAddrIndex(n)
	for _, e := range endpoints {
		for _, a := range e.node.host.addrs(t) {
			if seen.add(set.Addrs, a) {
				set.Addrs = append(set.Addrs, a)
			}
		}
	}
	return set
}

// addrIndex finds duplicates in a growing list of addresses: a hash table of places in the list, at most half full.
// A map of addresses does the same at five times the price, which shows when one of 10,000 members changes.
type addrIndex struct {
	places []int32 // in the list, from 1; 0 is free
	mask   uint64
}

func newAddrIndex(n int) addrIndex {
	size := uint64(1) << bits.Len(uint(2*n-1))
	return addrIndex{places: make([]int32, size), mask: size - 1}
}

// add reports whether the address is not in the list, and then takes it that the caller appends it.
func (x addrIndex) add(list []netip.Addr, a netip.Addr) bool {
	octets := a.As16()
	for i := maphash.Bytes(shardSeed, octets[:]) & x.mask; ; i = (i + 1) & x.mask {
		switch place := x.places[i]; {
		case place == 0:
			x.places[i] = int32(len(list) + 1)
			return true
		case list[place-1] == a:
			return false
		}
	}
}

func (h *Host) addrs(t Type) []netip.Addr {
	if t == TypeA {
		return h.A.Addrs
	}
	return h.AAAA.Addrs
}

// Weights are published times 256 where they fit, since HAProxy divides an SRV weight by 256 and would tell none
// below 512 apart; if the largest does not fit, all are scaled to it alike. Shares stay what they were. None is 0:
// HAProxy takes that for "no traffic" (and RFC 2782 for "hardly any").
const srvWeightScale = 256

func srvSet(ttl uint32, endpoints []*endpoint) *RRset {
	set := &RRset{Type: TypeSRV, TTL: ttl, SRV: make([]SRV, 0, len(endpoints))}
	var top uint32 = 1
	for _, e := range endpoints {
		top = max(top, uint32(e.weight))
	}
	for _, e := range endpoints {
		if e.port == 0 || e.node.label == "" {
			continue
		}
		w := max(uint32(e.weight), 1)
		if top*srvWeightScale <= 0xffff {
			w *= srvWeightScale
		} else {
			w = max(w*0xffff/top, 1)
		}
		set.SRV = append(set.SRV, SRV{Priority: e.priority, Weight: uint16(w), Port: e.port, Target: &e.node.host})
	}
	slices.SortStableFunc(set.SRV, func(a, b SRV) int { return cmp.Compare(a.Priority, b.Priority) })
	set.SRV = slices.Compact(set.SRV)
	return set
}

// txtSet returns one record for each tag, ordered by key. A string holds 255 octets at most; a longer tag takes
// several strings of its record, to be read as one.
func txtSet(ttl uint32, tags map[string]string) *RRset {
	set := &RRset{Type: TypeTXT, TTL: ttl}
	for _, k := range sortedKeys(tags) {
		var parts []string
		text := k + "=" + tags[k]
		for len(text) > maxString {
			parts, text = append(parts, text[:maxString]), text[maxString:]
		}
		set.TXT = append(set.TXT, append(parts, text))
	}
	return set
}

const maxString = 255 // octets of a character string, RFC 1035 section 3.3
