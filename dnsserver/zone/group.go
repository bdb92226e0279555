package zone

import (
	"slices"
	"strings"
)

// group is a set of members under one name: those that offer a service, or carry a tag. It is immutable, but for
// record sets that are built when first asked for.
type group struct {
	all   []*endpoint // by member name; never empty
	isTag bool        // has no SRV records

	a, aaaa, srv lazySet
}

// set returns the records of a type, or nil if a group has none of that type.
func (g *group) set(t Type, ttl uint32) *RRset {
	switch {
	case t == TypeA:
		return g.a.get(func() *RRset { return addrSet(t, ttl, serving(g.all)).aged(g.all) })
	case t == TypeAAAA:
		return g.aaaa.get(func() *RRset { return addrSet(t, ttl, serving(g.all)).aged(g.all) })
	case t == TypeSRV && !g.isTag:
		return g.srv.get(func() *RRset { return srvSet(ttl, serving(g.all)).aged(g.all) })
	}
	return nil
}

// aged marks a set that was made of these if any that is in the answers is stale. It returns the set.
func (s *RRset) aged(all []*endpoint) *RRset {
	if slices.ContainsFunc(all, func(e *endpoint) bool { return e.serving && e.node.stale }) {
		s.Stale, s.TTL = true, min(s.TTL, MaxStaleTTL)
	}
	return s
}

func serving(all []*endpoint) []*endpoint {
	idle := func(e *endpoint) bool { return !e.serving }
	if !slices.ContainsFunc(all, idle) {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), idle)
}

// groupEdit says what each changed member has in a group from now on; none means that it is out.
type groupEdit map[string][]*endpoint

// apply returns the endpoints after the edit, ordered by member name. What lies between changed members is copied
// in one piece, since a large group usually has one change.
func (edit groupEdit) apply(old []*endpoint) []*endpoint {
	grow := 0
	for _, endpoints := range edit {
		grow += len(endpoints)
	}
	out := make([]*endpoint, 0, len(old)+grow)
	for _, name := range sortedKeys(edit) {
		i, _ := slices.BinarySearchFunc(old, name, func(e *endpoint, name string) int {
			return strings.Compare(e.node.name, name)
		})
		out = append(out, old[:i]...)
		for old = old[i:]; len(old) > 0 && old[0].node.name == name; {
			old = old[1:]
		}
		out = append(out, edit[name]...)
	}
	return append(out, old...)
}
