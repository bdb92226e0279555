package zone

import "slices"

// Browsing by RFC 6763. All services are listed under _tcp, since one says nothing of its protocol and should be found
// once.
const (
	tcpLabel = "_tcp"
	udpLabel = "_udp"
)

// browsable reports whether the member is an instance that somebody who browses could connect to.
func (p *part) browsable() bool {
	return p.serving && p.label != "" &&
		slices.ContainsFunc(p.services, func(s Service) bool { return s.Port != 0 && !s.Drain })
}

// instance is what stands at NODE._SERVICE._tcp.
type instance struct{ srv, txt *RRset }

func newInstance(policy *policy, p *part, tags *RRset) *instance {
	one := func(yield func(*part) bool) { yield(p) }
	txt := newSet(TypeTXT, policy)
	txt.took(p)
	// One record, with a string for each tag and none that is empty but if it is the only one (RFC 6763 section 6.1);
	// what takes more than a string cannot be told.
	var strings []string
	for _, record := range tags.TXT {
		if len(record) == 1 {
			strings = append(strings, record[0])
		}
	}
	if strings == nil {
		strings = []string{""}
	}
	txt.TXT = [][]string{strings}
	return &instance{srv: srvSet(policy, one), txt: txt}
}

func (i *instance) set(t Type) *RRset {
	switch t {
	case TypeSRV:
		return i.srv
	case TypeTXT:
		return i.txt
	}
	return nil
}

// catalog is what stands at _services._dns-sd._udp: the services that somebody could connect to.
type catalog struct {
	labels tree[bool]
	below  string // ._tcp. and the origin
	ttl    uint32
	ptr    lazySet
}

func (c *catalog) set(t Type) *RRset {
	if t != TypePTR {
		return nil
	}
	return c.ptr.get(func() *RRset {
		set := &RRset{Type: TypePTR, TTL: c.ttl, Order: OrderStable}
		for l := range c.labels.all() {
			set.Names = append(set.Names, "_"+l+c.below)
		}
		return set
	})
}

var catalogKey = key("_services", "_dns-sd", udpLabel)

// browseDomains say where to browse, as RFC 6763 section 11 has it: here.
var browseDomains = []string{"b", "db", "lb"}
