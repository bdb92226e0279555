package zone

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// TestApart: whatever became of a list, one is what it was without what is gone and with what was added.
func TestApart(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		var old []int
		for i := range rng.IntN(60) {
			old = append(old, i)
		}
		now := slices.Clone(old)
		for range rng.IntN(4) { // as patched does, in the order of members, or all of it otherwise
			switch i := rng.IntN(len(now) + 1); rng.IntN(6) {
			case 0:
				now = slices.Insert(now, i, 100+rng.IntN(100))
			case 1:
				now = append(now, 100+rng.IntN(100))
			case 2:
				if i < len(now) {
					now[i] = now[len(now)-1]
					now = now[:len(now)-1]
				}
			case 3:
				if i < len(now) {
					now = slices.Delete(now, i, i+1)
				}
			case 4:
				if i < len(now) {
					now[i] = rng.IntN(100)
				}
			case 5:
				rng.Shuffle(len(now), func(a, b int) { now[a], now[b] = now[b], now[a] })
			}
		}
		gone, added := Places(old, now)
		set := func(list []int) map[int]bool {
			m := map[int]bool{}
			for _, v := range list {
				m[v] = true
			}
			return m
		}
		got, before, after := set(old), set(old), set(now)
		for _, i := range gone {
			if !got[old[i]] || after[old[i]] {
				t.Fatalf("%v to %v: %d is said to be gone", old, now, old[i])
			}
			delete(got, old[i])
		}
		for _, i := range added {
			if before[now[i]] {
				t.Fatalf("%v to %v: %d is said to be new", old, now, now[i])
			}
			got[now[i]] = true
		}
		if !maps.Equal(got, after) {
			t.Fatalf("%v to %v: gone %v, added %v", old, now, gone, added)
		}
	}
}

func TestApartOfSets(t *testing.T) {
	t.Parallel()
	addr := netip.MustParseAddr
	host := func(name, a string) *Host {
		return &Host{Name: name, A: &RRset{Type: TypeA, Addrs: []netip.Addr{addr(a)}}, AAAA: &RRset{Type: TypeAAAA}}
	}
	a := &RRset{Type: TypeA, TTL: 5, Addrs: []netip.Addr{addr("10.0.0.1"), addr("10.0.0.2")}}
	longer := &RRset{Type: TypeA, TTL: 9, Addrs: a.Addrs}
	other := &RRset{Type: TypeA, TTL: 5, Addrs: []netip.Addr{addr("10.0.0.2"), addr("10.0.0.3")}}
	srv := &RRset{Type: TypeSRV, SRV: []SRV{{Port: 80, Target: host("x", "10.0.0.1")}}}
	moved := &RRset{Type: TypeSRV, SRV: []SRV{{Port: 80, Target: host("x", "10.0.0.2")}}}
	txt := &RRset{Type: TypeTXT, TXT: [][]string{{"a"}}}
	for name, tt := range map[string]struct{ old, now, gone, added *RRset }{
		"the same":            {a, a, nil, nil},
		"new":                 {nil, a, nil, a},
		"gone":                {a, nil, a, nil},
		"another TTL":         {a, longer, a, longer},
		"addresses":           {a, other, &RRset{Type: TypeA, TTL: 5, Addrs: a.Addrs[:1]}, &RRset{Type: TypeA, TTL: 5, Addrs: other.Addrs[1:]}},
		"a target that moved": {srv, moved, nil, nil},
		"texts":               {txt, &RRset{Type: TypeTXT, TXT: [][]string{{"a"}}}, nil, nil},
	} {
		gone, added := Apart(tt.old, tt.now)
		if !gone.Equal(tt.gone) || !added.Equal(tt.added) {
			t.Errorf("%s: got %+v and %+v", name, gone, added)
		}
	}
}
