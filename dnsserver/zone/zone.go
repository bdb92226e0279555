// Package zone turns the members of a cluster into the contents of a DNS zone. It is pure: plain values go in, an
// immutable Zone comes out, and Lookup says what the zone holds for a name and a type. It knows nothing of gossip,
// of packets or of sockets; the server above it does the talking.
//
// # Names
//
// Below the zone's origin (say gossip.) these names are derived from members:
//
//	NODE.node                      A, AAAA, TXT    one member; TXT has its tags, one key=value a record
//	SERVICE.service                A, AAAA, SRV    the live members that offer the service
//	_SERVICE._tcp.service          SRV             the same in the form of RFC 2782; _udp likewise
//	VALUE.KEY.SERVICE.service      A, AAAA, SRV    those of them whose tag KEY is VALUE; pairs repeat and mean AND
//	VALUE.KEY.tag                  A, AAAA         the live members whose tag KEY is VALUE
//	ns-NODE                        A, AAAA         the members that serve this zone
//
// A name that has something below it but no records of its own exists (an empty non-terminal, RFC 8020), and so
// does the name of a service whose every instance drains or whose every member is not live.
//
// # Generations
//
// A Zone never changes. Update makes the next one, which shares with the old one all that no change touched: the
// price of an update depends on what changed and on the size of the record sets that hold it, not on the cluster.
package zone

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
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
	// Serial is the serial of the first zone that Update makes, minus one.
	Serial uint32
}

// Member is one member as DNS sees it.
type Member struct {
	Name  string
	Addrs []netip.Addr
	Tags  map[string]string
	// Services that the member offers.
	Services []Service
	// Nameserver says that the member serves this zone too and belongs in the NS set.
	Nameserver bool
	// Live members are in the answers for services and tags. One that is not, because it is about to leave,
	// answers only for its own name; the names of its services go on to exist.
	Live bool
	// Stale says that the member is shown as it was last known, although it may be gone. Answers with it say so, and
	// may be cached for MaxStaleTTL seconds at most.
	Stale bool
}

// MaxStaleTTL is the longest TTL, in seconds, of records that may not be true any more. RFC 8767 section 4 has 30 s,
// for resolvers that would have to ask a server that is away; here the next query costs nothing.
const MaxStaleTTL = 5

// Service is one service as one member offers it.
type Service struct {
	Name string
	Port uint16 // 0: has addresses, but no SRV record
	// Weight is the share of this instance among those of equal priority; 0 is taken as 1.
	Weight   uint16
	Priority uint16 // lower is used first
	Drain    bool   // left out of all answers
}

// Change says that the member Name is now Member, or is gone if Member is nil.
type Change struct {
	Name   string
	Member *Member
}

// Problem is a name that could not be published as it is.
type Problem struct {
	Member string // whose name or service it is
	Text   string // what is wrong, and what was done
}

// Zone is one generation of a zone. It is immutable, and safe for use by any number of goroutines.
type Zone struct {
	cfg      *settings
	serial   uint32
	members  table[*node]  // by member name
	names    table[*entry] // by lower-cased wire name relative to the origin
	problems map[string][]Problem
	soa, ns  *RRset
}

// settings are shared by all generations.
type settings struct {
	origin      []byte // lower-cased wire form
	originText  string // with the last dot
	originCount int    // labels
	self        string
	nodeTTL     uint32
	serviceTTL  uint32
	negativeTTL uint32
}

// The fixed names below the origin.
const (
	nodeLabel    = "node"
	serviceLabel = "service"
	tagLabel     = "tag"
	nsPrefix     = "ns-"
)

const maxOrigin = 150 // octets; leaves room for two full labels and the fixed ones

// SOA timers, for secondaries. NOTIFY is what keeps them in step, so these only repair.
const (
	soaRefresh = 60
	soaRetry   = 10
	soaExpire  = 24 * 60 * 60
)

// New returns an empty zone.
func New(cfg Config) (*Zone, error) {
	origin, err := ParseName(cfg.Origin)
	if err != nil {
		return nil, fmt.Errorf("zone: %w", err)
	}
	if len(origin) == 1 {
		return nil, fmt.Errorf("zone %q: the root cannot be served; name a zone such as \"gossip.\"", cfg.Origin)
	}
	if len(origin) > maxOrigin {
		return nil, fmt.Errorf("zone %q: the name has %d octets; at most %d leave room for names below it", cfg.Origin, len(origin), maxOrigin)
	}
	s := &settings{origin: lower(origin), self: cfg.Self}
	s.originText = strings.ToLower(strings.TrimSuffix(cfg.Origin, ".")) + "."
	s.originCount = strings.Count(s.originText, ".")
	for _, ttl := range []struct {
		what string
		in   time.Duration
		out  *uint32
	}{
		{"node", cfg.NodeTTL, &s.nodeTTL},
		{"service", cfg.ServiceTTL, &s.serviceTTL},
		{"negative", cfg.NegativeTTL, &s.negativeTTL},
	} {
		seconds := int64(ttl.in / time.Second)
		if ttl.in < 0 || seconds > math.MaxInt32 { // RFC 2181 section 8
			return nil, fmt.Errorf("zone %q: %s ttl %v is not between 0 and %d seconds", cfg.Origin, ttl.what, ttl.in, math.MaxInt32)
		}
		*ttl.out = uint32(seconds)
	}
	z := &Zone{cfg: s, serial: cfg.Serial}
	names := z.names.edit()
	for _, labels := range [][]string{
		{nodeLabel}, {serviceLabel}, {tagLabel}, {"_tcp", serviceLabel}, {"_udp", serviceLabel},
	} {
		names.set(key(labels...), &entry{})
	}
	z.names = names.done()
	z.setApex()
	return z, nil
}

// Origin returns the zone's name in lower case with its last dot.
func (z *Zone) Origin() string { return z.cfg.originText }

// Serial returns the serial of this generation.
func (z *Zone) Serial() uint32 { return z.serial }

// Members returns how many members the zone was made from.
func (z *Zone) Members() int { return z.members.len() }

// SOA returns the set that holds the SOA record. Its TTL is that of negative answers.
func (z *Zone) SOA() *RRset { return z.soa }

// Problems returns what could not be published as it is, ordered by member.
func (z *Zone) Problems() []Problem {
	var all []Problem
	for _, some := range z.problems {
		all = append(all, some...)
	}
	slices.SortFunc(all, func(a, b Problem) int {
		if c := strings.Compare(a.Member, b.Member); c != 0 {
			return c
		}
		return strings.Compare(a.Text, b.Text)
	})
	return all
}

// nextSerial adds one in the arithmetic of RFC 1982, and skips 0, which some secondaries take for "none yet".
func nextSerial(s uint32) uint32 {
	if s++; s == 0 {
		s = 1
	}
	return s
}
