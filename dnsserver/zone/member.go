package zone

import "net/netip"

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
	// Down members are in no answer at all, not even for their own name; but that, and the names of their services and
	// tags, go on to exist.
	Down bool
	// Stale says that the member is shown as it was last known, although it may be gone. Answers with it say so, and
	// may be cached for MaxStaleTTL seconds at most.
	Stale bool
}

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
