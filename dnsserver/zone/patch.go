package zone

import (
	"net/netip"
	"slices"
	"sort"
)

// A large set is not built anew when one of its members changed: it is copied, and the copy is changed. To visit ten
// thousand members that are spread over the memory takes longer than to copy what was found the last time.
const (
	patchFrom = 64 // members; smaller sets are built anew
	maxEdits  = 16 // more changes than this are no small change
)

// partEdit is how a member of a group changed; nil means that it is not there.
type partEdit struct{ old, now *part }

// basis is what a set that was not asked for yet can be made from.
type basis struct {
	set   *RRset
	edits []partEdit
}

// follow lets the sets of a group be made from those of the group before it.
func (g *group) follow(old *group, changes map[string]*part) {
	if old == nil || g.parts.len() < patchFrom || len(changes) > maxEdits || g.policy.order != OrderRandom || g.policy.answers > 0 {
		return // where the order or the place of a record counts, all are needed
	}
	var edits []partEdit
	for member, now := range changes {
		if was, _ := old.parts.get([]byte(member)); was != now {
			edits = append(edits, partEdit{was, now})
		}
	}
	for _, pair := range [][2]*lazySet{{&g.a, &old.a}, {&g.aaaa, &old.aaaa}, {&g.srv, &old.srv}} {
		if b := pair[1].next(edits); b != nil {
			pair[0].basis.Store(b)
		}
	}
}

// next returns what the set after these edits can be made from; nil means that it cannot.
func (l *lazySet) next(edits []partEdit) *basis {
	if set := l.p.Load(); set != nil {
		return &basis{set, edits}
	}
	b := l.basis.Load()
	if b == nil || len(b.edits)+len(edits) > maxEdits {
		return nil
	}
	return &basis{b.set, slices.Concat(b.edits, edits)}
}

// patched returns the set after the edits, or nil if it is not certain to be what would be built anew.
func (b *basis) patched() *RRset {
	if b == nil || !b.set.plain {
		return nil
	}
	old := b.set
	set := &RRset{Type: old.Type, TTL: old.TTL, plain: true}
	ok := true
	if set.Type == TypeSRV {
		set.SRV = append(make([]SRV, 0, len(old.SRV)+len(b.edits)), old.SRV...)
	} else {
		set.Addrs = append(make([]netip.Addr, 0, len(old.Addrs)+len(b.edits)), old.Addrs...)
	}
	for _, e := range b.edits {
		if e.old != nil && e.old.serving {
			ok = ok && set.drop(e.old)
		}
		if e.now != nil && e.now.serving {
			ok = ok && set.take(e.now)
		}
	}
	if !ok {
		return nil
	}
	return set
}

// drop takes a member's records out.
func (s *RRset) drop(p *part) bool {
	if s.Type == TypeSRV {
		s.SRV = slices.DeleteFunc(s.SRV, func(rr SRV) bool { return rr.member == p.member })
		return true
	}
	for _, a := range p.host.addrs(s.Type) {
		i := slices.Index(s.Addrs, a)
		if i < 0 {
			return false
		}
		last := len(s.Addrs) - 1
		s.Addrs[i] = s.Addrs[last]
		s.Addrs = s.Addrs[:last]
	}
	return true
}

// take puts a member's records in. It reports false if other records depend on them.
func (s *RRset) take(p *part) bool {
	if p.host.A.Stale {
		return false
	}
	if s.Type != TypeSRV {
		for _, a := range p.host.addrs(s.Type) {
			if slices.Contains(s.Addrs, a) {
				return false
			}
			s.Addrs = append(s.Addrs, a)
		}
		return true
	}
	one := srvSet(&policy{}, func(yield func(*part) bool) { yield(p) })
	if !one.plain {
		return false
	}
	for _, rr := range one.SRV {
		i := sort.Search(len(s.SRV), func(i int) bool { return s.SRV[i].Priority > rr.Priority })
		s.SRV = slices.Insert(s.SRV, i, rr)
	}
	return true
}
