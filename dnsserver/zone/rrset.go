package zone

import (
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
	TypePTR  Type = 12
	TypeTXT  Type = 16
	TypeAAAA Type = 28
	TypeSRV  Type = 33
)

// RRset is the records of one type at one name. It is shared between answers and read-only. Of the fields that hold
// records one is used, by Type.
type RRset struct {
	Type Type
	TTL  uint32 // seconds
	// Stale says that some of it is what was known last, and may not be true any more (RFC 8767).
	Stale bool
	// Order is how to order an answer, and Answers how many records to put into it; 0 means all. Transfers heed neither.
	Order   Order
	Answers int

	Addrs []netip.Addr // A and AAAA
	SRV   []SRV        // by priority
	TXT   [][]string   // the strings of each record, each of at most 255 octets
	NS    []*Host
	Names []string // PTR: fully qualified, in lower case
	SOA   *SOA

	// Weights has the share of each address in a sample, if Answers is set; nil means that all are alike.
	Weights []uint16
	// Members has the member of each address, if Order is OrderNearest.
	Members []string

	plain bool // each member's records are what they would be if it were the only one, and none is stale

	packed  atomic.Pointer[any]
	ranking atomic.Pointer[Ranking]
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

// Len returns how many records there are; none in a nil set.
func (s *RRset) Len() int {
	if s == nil {
		return 0
	}
	switch s.Type {
	case TypeA, TypeAAAA:
		return len(s.Addrs)
	case TypeSRV:
		return len(s.SRV)
	case TypeTXT:
		return len(s.TXT)
	case TypeNS:
		return len(s.NS)
	case TypePTR:
		return len(s.Names)
	case TypeSOA:
		return 1
	}
	return 0
}

// Member returns the name of the member that record i is of, or "" if that is not known. It is for sets of
// addresses with OrderNearest, and for SRV.
func (s *RRset) Member(i int) string {
	switch {
	case s.Type == TypeSRV:
		return s.SRV[i].member
	case i < len(s.Members):
		return s.Members[i]
	}
	return ""
}

// Equal reports whether two sets hold the same records in the same order with the same TTL. The addresses of targets do
// not count.
func (s *RRset) Equal(o *RRset) bool {
	if s == o {
		return true
	}
	if s == nil || o == nil || s.Type != o.Type || s.TTL != o.TTL || s.Len() != o.Len() {
		return false
	}
	if s.SOA != nil && *s.SOA != *o.SOA {
		return false
	}
	return slices.Equal(s.Addrs, o.Addrs) && slices.Equal(s.Names, o.Names) &&
		slices.EqualFunc(s.TXT, o.TXT, slices.Equal[[]string]) &&
		slices.EqualFunc(s.NS, o.NS, func(a, b *Host) bool { return a.Name == b.Name }) &&
		slices.EqualFunc(s.SRV, o.SRV, func(a, b SRV) bool {
			return a.Priority == b.Priority && a.Weight == b.Weight && a.Port == b.Port && a.Target.Name == b.Target.Name
		})
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
	member                 string
}

// SOA is a SOA record.
type SOA struct {
	Primary, Mailbox                string // fully qualified
	Serial                          uint32
	Refresh, Retry, Expire, Minimum uint32 // seconds
}

// lazySet builds a record set when it is first asked for, so that an update need not build sets that nobody reads.
type lazySet struct {
	p     atomic.Pointer[RRset]
	basis atomic.Pointer[basis] // nil once it is built, or if it is to be built from nothing
}

func (l *lazySet) get(build func() *RRset) *RRset {
	if set := l.p.Load(); set != nil {
		return set
	}
	set := l.basis.Load().patched()
	if set == nil {
		set = build()
	}
	l.p.Store(set) // two builders at once make equal sets
	l.basis.Store(nil)
	return set
}

// tagTexts returns one record for each tag, ordered by key. A string holds 255 octets at most; a longer tag takes
// several strings of its record, to be read as one.
func tagTexts(tags map[string]string) [][]string {
	var records [][]string
	for _, k := range sortedKeys(tags) {
		var parts []string
		text := k + "=" + tags[k]
		for len(text) > maxString {
			parts, text = append(parts, text[:maxString]), text[maxString:]
		}
		records = append(records, append(parts, text))
	}
	return records
}

const maxString = 255 // octets of a character string, RFC 1035 section 3.3
