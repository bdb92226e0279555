package zone

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
)

// node is a member as published: its names and record sets worked out. Like the zone it is immutable. What a change of
// the member leaves as it was, the node after it shares with the one before.
type node struct {
	name       string
	label      string // "" if it has no name of its own
	tags       map[string]string
	services   []Service // in normal form
	nameserver bool
	live       bool
	down       bool
	stale      bool

	host   *Host      // LABEL.node; never nil
	nsHost *Host      // ns-LABEL; nil if the label is too long for that
	txt    *RRset     // the tags
	pairs  []labelTag // the tags that can be part of a name, ordered by key
	offers []offer    // one for each service that has a label
	part   *part      // in sets by tag
}

// labelTag is a tag as the labels of a name.
type labelTag struct{ key, value string }

// offer is a service as one member offers it.
type offer struct {
	label    string
	part     *part
	instance *instance // nil if there is nothing to connect to
}

// part is what one member has in a set: of those that offer a service or carry a tag. It stays the same one for as long
// as it says the same.
type part struct {
	member   string
	label    string // of the member
	host     *Host
	services []Service // of the service that the set is of; none in a set by tag
	serving  bool      // in the answers; else it only keeps the name in being
}

// newNode works out what to publish of a member under a label. old is what was published of it so far, or nil.
func newNode(cfg *settings, m *Member, label string, old *node) *node {
	if old == nil {
		old = &node{}
	}
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
		live:       m.Live && !m.Down,
		down:       m.Down,
		stale:      m.Stale && !m.Down,
		txt:        &RRset{Type: TypeTXT, TTL: ttl},
	}
	a, aaaa := normalAddrs(m)
	if h := old.host; h != nil && old.label == label && old.stale == n.stale && slices.Equal(h.A.Addrs, a) && slices.Equal(h.AAAA.Addrs, aaaa) {
		n.host, n.nsHost = h, old.nsHost
	} else {
		n.host = &Host{
			A:    &RRset{Type: TypeA, TTL: ttl, Stale: n.stale, Addrs: a},
			AAAA: &RRset{Type: TypeAAAA, TTL: ttl, Stale: n.stale, Addrs: aaaa},
		}
		if label != "" {
			n.host.Name = label + "." + nodeLabel + "." + cfg.origin.text
			if l := nsPrefix + label; len(l) <= maxLabel {
				n.nsHost = &Host{Name: l + "." + cfg.origin.text, A: n.host.A, AAAA: n.host.AAAA}
			}
		}
	}
	if old.txt != nil && old.down == n.down && old.stale == n.stale && maps.Equal(old.tags, m.Tags) {
		n.txt, n.pairs = old.txt, old.pairs
	} else {
		if !m.Down {
			n.txt.TXT = tagTexts(m.Tags)
		}
		n.txt.Stale = n.stale
		n.pairs = labelTags(m.Tags)
	}
	n.part = n.newPart(nil, n.live, old.part)
	n.offers = n.newOffers(cfg, old)
	return n
}

// newOffers sorts the services by label, under which several may be found.
func (n *node) newOffers(cfg *settings, old *node) []offer {
	byLabel := map[string][]Service{}
	for _, s := range n.services {
		if l, ok := Label(s.Name); ok {
			byLabel[l] = append(byLabel[l], s)
		}
	}
	offers := make([]offer, 0, len(byLabel))
	for _, l := range sortedKeys(byLabel) {
		var was offer
		if i := slices.IndexFunc(old.offers, func(o offer) bool { return o.label == l }); i >= 0 {
			was = old.offers[i]
		}
		serving := n.live && slices.ContainsFunc(byLabel[l], func(s Service) bool { return !s.Drain })
		o := offer{label: l, part: n.newPart(byLabel[l], serving, was.part)}
		if o.part.browsable() && len(l) < maxLabel && cfg.origin.fits(o.instanceKey()) {
			if o.instance = was.instance; was.part != o.part || old.txt != n.txt {
				o.instance = newInstance(cfg.of(l), o.part, n.txt)
			}
		}
		offers = append(offers, o)
	}
	return offers
}

func (n *node) newPart(services []Service, serving bool, old *part) *part {
	p := &part{member: n.name, label: n.label, host: n.host, services: services, serving: serving}
	if old != nil && slices.Equal(p.services, old.services) && p.host == old.host && p.serving == old.serving {
		return old // the host is this member's, and has its label
	}
	return p
}

// shows reports whether the node is just what the member would be published as under the same label.
func (n *node) shows(m *Member) bool {
	a, aaaa := normalAddrs(m)
	return n.nameserver == m.Nameserver && n.live == (m.Live && !m.Down) && n.down == m.Down && n.stale == (m.Stale && !m.Down) &&
		slices.Equal(n.host.A.Addrs, a) && slices.Equal(n.host.AAAA.Addrs, aaaa) &&
		maps.Equal(n.tags, m.Tags) && slices.Equal(n.services, normalServices(m))
}

func (n *node) hasKey(key string) bool {
	return slices.ContainsFunc(n.pairs, func(p labelTag) bool { return p.key == key })
}

// labelTags returns the tags that can be part of a name.
func labelTags(tags map[string]string) []labelTag {
	var pairs []labelTag
	for _, k := range sortedKeys(tags) {
		kl, ok1 := Label(k)
		vl, ok2 := Label(tags[k])
		if ok1 && ok2 {
			pairs = append(pairs, labelTag{kl, vl})
		}
	}
	// Two keys that differ in case only can make the same pair.
	slices.SortFunc(pairs, func(a, b labelTag) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.value, b.value))
	})
	return slices.Compact(pairs)
}

// normalServices returns the services in order, without what no answer shows: so two members with equal normal
// forms have equal answers.
func normalServices(m *Member) []Service {
	if len(m.Services) == 0 {
		return nil
	}
	services := slices.Clone(m.Services)
	for i := range services {
		if s := &services[i]; s.Drain || !m.Live || m.Down {
			*s = Service{Name: s.Name, Drain: true}
		}
	}
	slices.SortFunc(services, func(a, b Service) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Port, b.Port))
	})
	return services
}

// normalAddrs returns the IPv4 and IPv6 addresses, each in order and once.
func normalAddrs(m *Member) (a, aaaa []netip.Addr) {
	if m.Down {
		return nil, nil
	}
	for _, addr := range m.Addrs {
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
