package dnsserver

import (
	"math/rand/v2"

	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// pick returns the places in the set of the first n records of an answer. It is valid until the next call.
func (r *responder) pick(set *zone.RRset, n int) []int32 {
	total := set.Len()
	if cap(r.indexes) < total {
		r.indexes = make([]int32, total)
	}
	idx := r.indexes[:total]
	for i := range idx {
		idx[i] = int32(i)
	}
	if set.Order == zone.OrderStable || set.Type == zone.TypeTXT {
		return idx[:n]
	}
	// Fisher-Yates, as far as it is needed, within each band of equal priority.
	for start := 0; start < n; {
		end := bandEnd(set, start)
		for i := start; i < min(n, end); i++ {
			j := i + rand.IntN(end-i)
			idx[i], idx[j] = idx[j], idx[i]
		}
		start = end
	}
	return idx[:n]
}

func bandEnd(set *zone.RRset, start int) int {
	if set.Type != zone.TypeSRV {
		return set.Len()
	}
	end := start + 1
	for end < len(set.SRV) && set.SRV[end].Priority == set.SRV[start].Priority {
		end++
	}
	return end
}
