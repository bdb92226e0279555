package zone

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
)

// node is a member as published: its names and record sets worked out. Like the zone it is immutable.
type node struct {
	name       string
	label      string // "" if it has no name of its own
	tags       map[string]string
	services   []Service // in normal form
	nameserver bool
	live       bool
	stale      bool

	host   Host       // LABEL.node
	nsHost Host       // ns-LABEL; no name if the label is too long for that
	txt    *RRset     // the tags
	pairs  []labelTag // the tags that can be part of a name, ordered by key
}

// labelTag is a tag as the labels of a name.
type labelTag struct{ key, value string }

// endpoint is one member of a set: of those that offer a service or carry a tag.
type endpoint struct {
	node                   *node
	port, weight, priority uint16 // 0 in a set by tag
	serving                bool   // in the answers; else it only keeps the name in being
}

// newNode works out what to publish of a member under a label.
func newNode(cfg *settings, m *Member, label string) *node {
	ttl := cfg.nodeTTL
	if m.Stale {
		ttl = min(ttl, MaxStaleTTL)
	}
	n := &node{
		name:       m.Name,
		label:      label,
		tags:       m.Tags,
		services:   normalServices(m),
		nameserver: m.Nameserver,
		live:       m.Live,
		stale:      m.Stale,
		txt:        txtSet(ttl, m.Tags),
	}
	n.txt.Stale = m.Stale
	a, aaaa := normalAddrs(m.Addrs)
	n.host = Host{
		A:    &RRset{Type: TypeA, TTL: ttl, Stale: m.Stale, Addrs: a},
		AAAA: &RRset{Type: TypeAAAA, TTL: ttl, Stale: m.Stale, Addrs: aaaa},
	}
	if label != "" {
		n.host.Name = label + "." + nodeLabel + "." + cfg.originText
		if l := nsPrefix + label; len(l) <= maxLabel {
			n.nsHost = Host{Name: l + "." + cfg.originText, A: n.host.A, AAAA: n.host.AAAA}
		}
	}
	for _, k := range sortedKeys(m.Tags) {
		kl, ok1 := Label(k)
		vl, ok2 := Label(m.Tags[k])
		if ok1 && ok2 {
			n.pairs = append(n.pairs, labelTag{kl, vl})
		}
	}
	// Two keys that differ in case only can make the same pair.
	slices.SortFunc(n.pairs, func(a, b labelTag) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.value, b.value))
	})
	n.pairs = slices.Compact(n.pairs)
	return n
}

// shows reports whether the node is just what the member would be published as under the same label.
func (n *node) shows(m *Member) bool {
	a, aaaa := normalAddrs(m.Addrs)
	return n.nameserver == m.Nameserver && n.live == m.Live && n.stale == m.Stale &&
		slices.Equal(n.host.A.Addrs, a) && slices.Equal(n.host.AAAA.Addrs, aaaa) &&
		maps.Equal(n.tags, m.Tags) && slices.Equal(n.services, normalServices(m))
}

// hasTag reports whether the node carries the tag, given as lower-cased labels.
func (n *node) hasTag(key, value []byte) bool {
	for _, p := range n.pairs {
		if p.key == string(key) && p.value == string(value) {
			return true
		}
	}
	return false
}

func (n *node) hasKey(key []byte) bool {
	for _, p := range n.pairs {
		if p.key == string(key) {
			return true
		}
	}
	return false
}

// normalServices returns the services in order, without what no answer shows: so two members with equal normal
// forms have equal answers.
func normalServices(m *Member) []Service {
	if len(m.Services) == 0 {
		return nil
	}
	services := slices.Clone(m.Services)
	for i := range services {
		if s := &services[i]; s.Drain || !m.Live {
			*s = Service{Name: s.Name, Drain: true}
		}
	}
	slices.SortFunc(services, func(a, b Service) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Port, b.Port))
	})
	return services
}

// normalAddrs returns the IPv4 and IPv6 addresses, each in order and once.
func normalAddrs(addrs []netip.Addr) (a, aaaa []netip.Addr) {
	for _, addr := range addrs {
		switch addr = addr.Unmap().WithZone(""); {
		case addr.Is4():
			a = append(a, addr)
		case addr.Is6():
			aaaa = append(aaaa, addr)
		}
	}
	return sortedAddrs(a), sortedAddrs(aaaa)
}

func sortedAddrs(addrs []netip.Addr) []netip.Addr {
	slices.SortFunc(addrs, netip.Addr.Compare)
	return slices.Compact(addrs)
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
