// Package zone turns the members of a cluster into the contents of DNS zones. It is pure: plain values go in, an
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
//	_services._dns-sd._udp         PTR             the services, for browsing by RFC 6763
//	_SERVICE._tcp                  PTR, SRV        the instances of a service; SRV as in RFC 2782
//	NODE._SERVICE._tcp             SRV, TXT        one instance
//	ns-NODE                        A, AAAA         the members that serve this zone
//	status                         TXT             left to the server, which knows how it is
//
// Beside it stand zones of addresses (Reverse), which hold PTR records to NODE.node.
//
// A name that has something below it but no records of its own exists (an empty non-terminal, RFC 8020), and so
// does the name of a service whose every instance drains or whose every member is not live.
//
// # Generations
//
// A Zone never changes. Update makes the next one, which shares with the old one all that no change touched: the
// price of an update depends on what changed, not on the size of the cluster, and Diff finds what changed for as
// little. Names and members are kept in order (DNSSEC's canonical order, RFC 4034 section 6.1), so a zone can be walked.
package zone

import (
	"slices"
	"sort"
	"strings"
)

// Zone is one generation of a zone. It is immutable, and safe for use by any number of goroutines.
//
// What New and Update return is the zone of names, which Reverse zones hang on; those are zones of their own, with
// their own serial, that are made along with it.
type Zone struct {
	cfg     *settings
	origin  *origin
	serial  uint32
	names   tree[Name] // by key relative to the origin
	soa, ns *RRset
	ptr     *group // in a zone of one address: whose it is, or nil
	trust   Trust

	// In the zone of names alone:
	members   tree[*node]          // by member name
	servers   tree[*Host]          // the name servers, by member name
	crowded   map[string][]*node   // by label: who else claims it but the one who has it
	problems  map[string][]Problem // by member
	spellings map[string][]Problem // by label of the service
	reverse   []*Zone              // by key of the origin
}

// origin is the name of a zone, in its forms.
type origin struct {
	key  string // as Lookup searches for it
	text string // lower case, with the last dot
}

func newOrigin(text string) (*origin, error) {
	wire, err := ParseName(text)
	if err != nil {
		return nil, err
	}
	var buf [maxName]byte
	k, _ := parseKey(wire, &buf)
	return &origin{key: string(k), text: strings.ToLower(strings.TrimSuffix(text, ".")) + "."}, nil
}

// fits reports whether a name below the origin, as a key, is short enough to be one (RFC 1035 section 2.3.4).
func (o *origin) fits(key string) bool { return len(key)+len(o.key)+1 <= maxName }

// Origin returns the zone's name in lower case with its last dot.
func (z *Zone) Origin() string { return z.origin.text }

// Serial returns the serial of this generation.
func (z *Zone) Serial() uint32 { return z.serial }

// Members returns how many members the zone was made from.
func (z *Zone) Members() int { return z.members.len() }

// SOA returns the set that holds the SOA record. Its TTL is that of negative answers.
func (z *Zone) SOA() *RRset { return z.soa }

// Reverse returns the zones of addresses that belong to this zone, always the same ones in the same order.
// Lookup on this zone searches them as well.
func (z *Zone) Reverse() []*Zone { return z.reverse }

// Trust says what a zone's silence is worth.
type Trust uint8

// The degrees of trust.
const (
	Trusted  Trust = iota // what is not in the zone does not exist
	Doubtful              // what is in the zone may be shown; what is not may exist all the same
	NotReady              // nothing is known yet
)

// Trust returns how far the zone is trusted.
func (z *Zone) Trust() Trust { return z.trust }

// WithTrust returns the same generation, trusted as far as that. While it is doubtful, Lookup says Unsure where it would
// say NXDomain, or NoData since nobody is there; while it is not ready, Lookup says Unready of all but names that are dynamic.
func (z *Zone) WithTrust(t Trust) *Zone {
	if z.trust == t {
		return z
	}
	next := *z
	next.trust = t
	next.reverse = make([]*Zone, len(z.reverse))
	for i, r := range z.reverse {
		next.reverse[i] = r.WithTrust(t)
	}
	return &next
}

// find returns the zone, this or one of the reverse zones, that a name belongs to; nil if there is none.
func (z *Zone) find(key []byte) *Zone {
	if z.origin.holds(key) {
		return z
	}
	// No reverse zone is inside another, so only the last one that is not after the name can hold it.
	i := sort.Search(len(z.reverse), func(i int) bool { return z.reverse[i].origin.key > string(key) }) - 1
	if i >= 0 && z.reverse[i].origin.holds(key) {
		return z.reverse[i]
	}
	return nil
}

// holds reports whether a name is at the origin or below.
func (o *origin) holds(key []byte) bool {
	return len(key) >= len(o.key) && string(key[:len(o.key)]) == o.key
}

// Problems returns what could not be published as it is, ordered by member.
func (z *Zone) Problems() []Problem {
	var all []Problem
	for _, by := range []map[string][]Problem{z.problems, z.spellings} {
		for _, some := range by {
			all = append(all, some...)
		}
	}
	slices.SortFunc(all, func(a, b Problem) int {
		if c := strings.Compare(a.Member, b.Member); c != 0 {
			return c
		}
		return strings.Compare(a.Text, b.Text)
	})
	return all
}

// Advance returns a generation with the same contents in which the zone of that name, this one or one of its reverse
// zones, has a later serial than past, in the arithmetic of RFC 1982. It returns z itself if that is so already.
func (z *Zone) Advance(origin string, past uint32) *Zone {
	if z.Origin() == origin {
		return z.advance(past, z.hosts(), z.primary())
	}
	for i, r := range z.reverse {
		if r.Origin() != origin {
			continue
		}
		if later := r.advance(past, z.hosts(), z.primary()); later != r {
			next := *z
			next.reverse = slices.Clone(z.reverse)
			next.reverse[i] = later
			return &next
		}
	}
	return z
}

func (z *Zone) advance(past uint32, hosts []*Host, primary *Host) *Zone {
	if d := z.serial - past; d != 0 && d < 1<<31 {
		return z
	}
	next := *z
	next.serial = nextSerial(past)
	next.setApex(hosts, primary)
	return &next
}

// nextSerial adds one in the arithmetic of RFC 1982, and skips 0, which some secondaries take for "none yet".
func nextSerial(s uint32) uint32 {
	if s++; s == 0 {
		s = 1
	}
	return s
}
