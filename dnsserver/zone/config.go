package zone

import (
	"fmt"
	"math"
	"net/netip"
	"time"
)

// Config is what a zone is made of besides its members.
type Config struct {
	// Origin is the zone's name, such as "gossip."; the last dot may be missing. At most 150 octets.
	Origin string
	// Self is the name of the member that serves this zone. It is the primary in the SOA record, and the name
	// server when no member announces itself as one.
	Self string
	// NodeTTL is the TTL of names that stand for one member, ServiceTTL of those that stand for a set of them
	// (services and tags), NegativeTTL of negative answers (RFC 2308). Whole seconds; 0 means not to be cached.
	NodeTTL, ServiceTTL, NegativeTTL time.Duration
	// Order is how the records of a set are ordered, and Answers how many of them an answer has; 0 means all.
	Order   Order
	Answers int
	// Services has what is different for some services, by name.
	Services map[string]Policy
	// Reverse lists the networks whose addresses get PTR records. Each is one zone or several, since zones of
	// addresses begin at whole octets (IPv4) or nibbles (IPv6). A network inside another is part of it.
	Reverse []netip.Prefix
	// Serial is the serial of the first zone that Update makes, minus one.
	Serial uint32
}

// Policy is how one service is answered. The fields mean what they mean in Config.
type Policy struct {
	TTL     time.Duration
	Order   Order
	Answers int
}

// Order is how the records of an answer are ordered.
type Order uint8

// The orders.
const (
	// OrderRandom shuffles each answer anew, so that clients that take the first record share the load. An
	// answer that has to be cut holds a uniform sample. SRV records are shuffled within their priority.
	OrderRandom Order = iota
	// OrderStable keeps one order, by member name, for as long as the records stay the same.
	OrderStable
	// OrderNearest puts the members first to which a packet takes the least time, as far as the server knows; those
	// about as far are shuffled. SRV records are ordered so within their priority.
	OrderNearest
)

// MaxStaleTTL is the longest TTL, in seconds, of records that may not be true any more. RFC 8767 section 4 has 30 s,
// for resolvers that would have to ask a server that is away; here the next query costs nothing.
const MaxStaleTTL = 5

// settings are shared by all generations.
type settings struct {
	origin      *origin
	self        string
	nobody      *Host // the primary as long as nobody serves the zone
	nodeTTL     uint32
	negativeTTL uint32
	sets        policy             // of services and tags
	services    map[string]*policy // by label
}

// policy is a Policy as it is used.
type policy struct {
	ttl     uint32
	order   Order
	answers int
}

// of returns the policy for a service.
func (s *settings) of(label string) *policy {
	if p, ok := s.services[label]; ok {
		return p
	}
	return &s.sets
}

const maxOrigin = 150 // octets; leaves room for two full labels and the fixed ones

// New returns an empty zone.
func New(cfg Config) (*Zone, error) {
	wire, err := ParseName(cfg.Origin)
	if err != nil {
		return nil, fmt.Errorf("zone: %w", err)
	}
	if len(wire) == 1 {
		return nil, fmt.Errorf("zone %q: the root cannot be served; name a zone such as \"gossip.\"", cfg.Origin)
	}
	if len(wire) > maxOrigin {
		return nil, fmt.Errorf("zone %q: the name has %d octets; at most %d leave room for names below it", cfg.Origin, len(wire), maxOrigin)
	}
	s := &settings{self: cfg.Self, services: map[string]*policy{}}
	if s.origin, err = newOrigin(cfg.Origin); err != nil {
		return nil, fmt.Errorf("zone: %w", err)
	}
	s.nobody = &Host{Name: "ns." + s.origin.text, A: &RRset{Type: TypeA}, AAAA: &RRset{Type: TypeAAAA}}
	if s.nodeTTL, err = seconds("node", cfg.NodeTTL); err == nil {
		s.negativeTTL, err = seconds("negative", cfg.NegativeTTL)
	}
	if err == nil {
		s.sets, err = newPolicy("service", Policy{TTL: cfg.ServiceTTL, Order: cfg.Order, Answers: cfg.Answers})
	}
	for name, p := range cfg.Services {
		if err != nil {
			break
		}
		label, ok := Label(name)
		if !ok {
			err = fmt.Errorf("service %q has no DNS label, so there is nothing to set for it", name)
			break
		}
		var made policy
		made, err = newPolicy(fmt.Sprintf("service %q:", name), p)
		s.services[label] = &made
	}
	if err != nil {
		return nil, fmt.Errorf("zone %q: %w", cfg.Origin, err)
	}
	z := &Zone{cfg: s, origin: s.origin, serial: cfg.Serial}
	if z.reverse, err = reverseZones(s, cfg.Reverse, cfg.Serial); err != nil {
		return nil, fmt.Errorf("zone %q: %w", cfg.Origin, err)
	}
	names := z.names.edit()
	for k, n := range fixedNames(s) {
		names.set(k, n)
	}
	z.names, _ = names.done()
	z.setApex(z.hosts(), z.primary())
	for _, r := range z.reverse {
		r.setApex(z.hosts(), z.primary())
	}
	return z, nil
}

func newPolicy(what string, p Policy) (policy, error) {
	ttl, err := seconds(what, p.TTL)
	switch {
	case err != nil:
		return policy{}, err
	case p.Answers < 0:
		return policy{}, fmt.Errorf("%s answers %d: an answer cannot have less than none", what, p.Answers)
	case p.Order > OrderNearest:
		return policy{}, fmt.Errorf("%s order %d is not known", what, p.Order)
	}
	return policy{ttl: ttl, order: p.Order, answers: p.Answers}, nil
}

func seconds(what string, ttl time.Duration) (uint32, error) {
	n := int64(ttl / time.Second)
	if ttl < 0 || n > math.MaxInt32 { // RFC 2181 section 8
		return 0, fmt.Errorf("%s ttl %v is not between 0 and %d seconds", what, ttl, math.MaxInt32)
	}
	return uint32(n), nil
}
