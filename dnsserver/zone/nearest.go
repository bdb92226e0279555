package zone

import (
	"cmp"
	"slices"
	"time"
)

// Distances are estimates of how long a packet takes to members and back. They are immutable.
type Distances struct {
	// RTT is by member. Who is not in it comes last.
	RTT map[string]time.Duration
	// Band is by how much two members may differ to count as equally far.
	Band time.Duration
}

// Ranking is the order of the records of a set by distance.
type Ranking struct {
	Order []int32 // places in the set; the nearest record of the best priority first
	Bands []int32 // for each place in Order: where those of the same priority that are about as far end

	by *Distances
}

// Rank orders a set by distance. It keeps the last answer, so that only the first to ask after a change waits for it.
func (s *RRset) Rank(by *Distances) *Ranking {
	if r := s.ranking.Load(); r != nil && r.by == by {
		return r
	}
	n := s.Len()
	r := &Ranking{Order: make([]int32, n), Bands: make([]int32, n), by: by}
	far := make([]time.Duration, n)
	known := make([]bool, n)
	for i := range n {
		r.Order[i] = int32(i)
		far[i], known[i] = by.RTT[s.Member(i)]
	}
	slices.SortStableFunc(r.Order, func(a, b int32) int {
		if c := cmp.Compare(s.priority(a), s.priority(b)); c != 0 {
			return c
		}
		switch {
		case known[a] && known[b]:
			return cmp.Compare(far[a], far[b])
		case known[a]:
			return -1
		case known[b]:
			return 1
		}
		return 0
	})
	for start := 0; start < n; {
		first, end := r.Order[start], start+1
		for end < n {
			next := r.Order[end]
			if s.priority(next) != s.priority(first) || known[next] != known[first] || far[next]-far[first] > by.Band {
				break
			}
			end++
		}
		for ; start < end; start++ {
			r.Bands[start] = int32(end)
		}
	}
	s.ranking.Store(r)
	return r
}

// priority is that of a record, 0 if records of the type have none.
func (s *RRset) priority(i int32) uint16 {
	if s.Type == TypeSRV {
		return s.SRV[i].Priority
	}
	return 0
}
