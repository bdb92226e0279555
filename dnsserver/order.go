package dnsserver

import (
	"math/rand/v2"

	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// picker chooses and orders the records of answers. It serves one goroutine.
type picker struct {
	distances func() *zone.Distances // nil: not known

	places []int32
	keys   []float64
}

// pick returns the places in the set of the first n records of an answer, of the want that it would have if there were
// room for all. It is valid until the next call.
func (p *picker) pick(set *zone.RRset, n, want int) []int32 {
	total := set.Len()
	if cap(p.places) < total {
		p.places = make([]int32, total)
	}
	places := p.places[:total]
	for i := range places {
		places[i] = int32(i)
	}
	switch order := set.Order; {
	case order == zone.OrderStable || set.Type == zone.TypeTXT:
	case order == zone.OrderNearest && p.distances != nil:
		rank := set.Rank(p.distances())
		copy(places, rank.Order)
		for i := range n {
			swap(places, i, int(rank.Bands[i]))
		}
	default:
		for start := 0; start < n; {
			end := priorityEnd(set, start)
			if some := min(want, end) - start; some < end-start && p.weigh(set, start, end) {
				p.sample(places[start:end], start, some)
			} else {
				for i := start; i < min(n, end); i++ { // Fisher-Yates, as far as it is needed
					swap(places, i, end)
				}
			}
			start = end
		}
	}
	return places[:n]
}

// swap puts one of places[i:end] at i, each with the same chance.
func swap(places []int32, i, end int) {
	j := i + rand.IntN(end-i)
	places[i], places[j] = places[j], places[i]
}

// priorityEnd returns where the records of the priority of the one at start end.
func priorityEnd(set *zone.RRset, start int) int {
	if set.Type != zone.TypeSRV {
		return set.Len()
	}
	end := start + 1
	for end < len(set.SRV) && set.SRV[end].Priority == set.SRV[start].Priority {
		end++
	}
	return end
}

// weigh draws a key for each record from start to end: the smaller ones win, and the chance to have the smallest
// is the share of the weight (Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006, in logarithms).
// It reports false for records without weights.
func (p *picker) weigh(set *zone.RRset, start, end int) bool {
	if set.Type != zone.TypeSRV && set.Weights == nil {
		return false
	}
	p.keys = p.keys[:0]
	for i := start; i < end; i++ {
		var w uint16
		if set.Type == zone.TypeSRV {
			w = set.SRV[i].Weight
		} else {
			w = set.Weights[i]
		}
		p.keys = append(p.keys, rand.ExpFloat64()/float64(max(w, 1)))
	}
	return true
}

// sample puts the n places with the smallest keys first, the smallest one at the front.
func (p *picker) sample(places []int32, base, n int) {
	kept := 0
	for i, key := range p.keys {
		if kept == n && (n == 0 || key >= p.keys[int(places[n-1])-base]) {
			continue
		}
		kept = min(kept+1, n)
		j := kept - 1
		for ; j > 0 && p.keys[int(places[j-1])-base] > key; j-- {
			places[j] = places[j-1]
		}
		places[j] = int32(base + i)
	}
}
