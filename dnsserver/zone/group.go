package zone

import (
	"cmp"
	"hash/maphash"
	"iter"
	"math/bits"
	"net/netip"
	"slices"
)

// group is a set of members under one name or several: those that offer a service, carry a tag, or have an address. It
// is immutable, but for record sets that are built when first asked for.
type group struct {
	parts  tree[*part] // by member name
	policy *policy
	below  string // of a service: what comes after the member's label in the name of an instance, ending in the origin

	census census // of a service, not of one by tag

	a, aaaa, srv, ptr lazySet
}

// set returns the records of a type.
func (g *group) set(t Type) *RRset {
	switch t {
	case TypeA:
		return g.a.get(func() *RRset { return addrSet(t, g.policy, g.serving()) })
	case TypeAAAA:
		return g.aaaa.get(func() *RRset { return addrSet(t, g.policy, g.serving()) })
	case TypeSRV:
		return g.srv.get(func() *RRset { return srvSet(g.policy, g.serving()) })
	case TypePTR:
		return g.ptr.get(func() *RRset { return g.ptrSet() })
	}
	return nil
}

// serving yields those that are in the answers.
func (g *group) serving() iter.Seq[*part] {
	return func(yield func(*part) bool) {
		for _, leaf := range g.parts.leaves {
			for _, it := range leaf {
				if it.value.serving && !yield(it.value) {
					return
				}
			}
		}
	}
}

// newSet returns a set to be filled.
func newSet(t Type, p *policy) *RRset {
	return &RRset{Type: t, TTL: p.ttl, Order: p.order, Answers: p.answers}
}

// took notes that a part is in the set.
func (s *RRset) took(p *part) {
	if p.host.A.Stale {
		s.Stale, s.TTL = true, min(s.TTL, MaxStaleTTL)
	}
}

// addrSet returns the addresses of one family, without duplicates: a record set holds a record once (RFC 2181
// section 5), and members may share an address.
func addrSet(t Type, policy *policy, parts iter.Seq[*part]) *RRset {
	set := newSet(t, policy)
	n := 0
	for p := range parts {
		n += len(p.host.addrs(t))
		set.took(p) // even if it has none: what is missing may be what is not known
	}
	if n == 0 {
		return set
	}
	set.Addrs = make([]netip.Addr, 0, n)
	defer func() { set.plain = len(set.Addrs) == n && !set.Stale }()
	seen := newAddrIndex(n)
	for p := range parts {
		for _, a := range p.host.addrs(t) {
			if !seen.add(set.Addrs, a) {
				continue
			}
			set.Addrs = append(set.Addrs, a)
			if policy.order == OrderNearest {
				set.Members = append(set.Members, p.member)
			}
			if policy.answers > 0 {
				set.Weights = append(set.Weights, p.weight())
			}
		}
	}
	return set
}

// weight is the share of a member's addresses in a sample.
func (p *part) weight() uint16 {
	var sum uint32
	for _, s := range p.services {
		if !s.Drain {
			sum += uint32(max(s.Weight, 1))
		}
	}
	return uint16(min(max(sum, 1), 0xffff))
}

// addrIndex finds duplicates in a growing list of addresses: a hash table of places in the list, at most half full.
// A map of addresses does the same at five times the price, which shows when one of 10,000 members changes.
type addrIndex struct {
	places []int32 // in the list, from 1; 0 is free
	mask   uint64
}

var addrSeed = maphash.MakeSeed()

func newAddrIndex(n int) addrIndex {
	size := uint64(1) << bits.Len(uint(2*n-1))
	return addrIndex{places: make([]int32, size), mask: size - 1}
}

// add reports whether the address is not in the list, and then takes it that the caller appends it.
func (x addrIndex) add(list []netip.Addr, a netip.Addr) bool {
	octets := a.As16()
	for i := maphash.Bytes(addrSeed, octets[:]) & x.mask; ; i = (i + 1) & x.mask {
		switch place := x.places[i]; {
		case place == 0:
			x.places[i] = int32(len(list) + 1)
			return true
		case list[place-1] == a:
			return false
		}
	}
}

// Weights are published times 256 where they fit, since HAProxy takes 1/256 of an SRV weight and would tell none
// below 512 apart; if the largest does not fit, all are scaled to it alike, rounded up so that the division gives back
// what was meant. Shares stay what they were. None is 0: HAProxy takes that for "no traffic" (and RFC 2782 for "hardly
// any").
const srvWeightScale = 256

func scaledWeight(w, top uint32) uint16 {
	w, top = max(w, 1), max(top, 1)
	if top*srvWeightScale <= 0xffff {
		return uint16(w * srvWeightScale)
	}
	return uint16((w*0xffff + top - 1) / top)
}

func srvSet(policy *policy, parts iter.Seq[*part]) *RRset {
	set := newSet(TypeSRV, policy)
	var top uint32
	n := 0
	for p := range parts {
		set.took(p)
		for _, s := range p.services {
			top = max(top, uint32(s.Weight))
			n++
		}
	}
	set.SRV = make([]SRV, 0, n)
	for p := range parts {
		if p.label == "" {
			continue
		}
		for _, s := range p.services {
			if s.Port == 0 || s.Drain {
				continue
			}
			set.SRV = append(set.SRV, SRV{
				Priority: s.Priority, Weight: scaledWeight(uint32(s.Weight), top), Port: s.Port, Target: p.host, member: p.member,
			})
		}
	}
	slices.SortStableFunc(set.SRV, func(a, b SRV) int { return cmp.Compare(a.Priority, b.Priority) })
	n = len(set.SRV)
	set.SRV = slices.Compact(set.SRV)
	set.plain = len(set.SRV) == n && top*srvWeightScale <= 0xffff && !set.Stale
	return set
}

func (h *Host) addrs(t Type) []netip.Addr {
	if t == TypeA {
		return h.A.Addrs
	}
	return h.AAAA.Addrs
}

// lists reports whether a member is an instance of this service that has a name.
func (g *group) lists(p *part) bool {
	return p.browsable() && len(p.label)+len(g.below) < maxName // the last dot makes up for a length
}

// ptrSet lists the instances of a service, or the names of those that have an address.
func (g *group) ptrSet() *RRset {
	set := newSet(TypePTR, &policy{ttl: g.policy.ttl, order: OrderStable})
	for p := range g.serving() {
		switch {
		case g.below == "":
			set.Names = append(set.Names, p.host.Name)
		case g.lists(p):
			set.Names = append(set.Names, p.label+g.below)
		default:
			continue
		}
		set.took(p)
	}
	return set
}
