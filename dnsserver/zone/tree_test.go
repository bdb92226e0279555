package zone

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestTreeEqualsMap compares trees with maps over random changes, large and small, growing and shrinking.
func TestTreeEqualsMap(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	var tr tree[int]
	want := map[string]int{}
	for round := range 300 {
		before, snapshot := tr, maps.Clone(want)
		e := tr.edit()
		n := 1 + rng.IntN(4)
		if rng.IntN(10) == 0 {
			n = rng.IntN(1500)
		}
		grows := round/100%2 == 0
		for range n {
			k := fmt.Sprint(rng.IntN(3000))
			if (rng.IntN(4) > 0) == grows {
				want[k] = 1 + rng.IntN(3)
				e.set(k, want[k])
			} else {
				delete(want, k)
				e.delete(k)
			}
		}
		var changed bool
		tr, changed = e.done()
		checkTree(t, tr, want)
		checkTree(t, before, snapshot)
		got := map[string][2]int{}
		for k, pair := range diff(before, tr) {
			got[k] = pair
		}
		if diffs := mapDiff(snapshot, want); !maps.Equal(got, diffs) || changed != (len(diffs) > 0) {
			t.Fatalf("diff: got %v (changed %t), want %v", got, changed, diffs)
		}
		c := cursor[int]{leaves: tr.leaves}
		for k := 0; k < 9000; k += 1 + rng.IntN(200) {
			key := fmt.Sprint(1000 + k)
			if v, ok := c.seek(key); ok != (want[key] != 0) || ok && v != want[key] {
				t.Fatalf("seek %s: got %d, %t", key, v, ok)
			}
		}
	}
}

func checkTree(t *testing.T, tr tree[int], want map[string]int) {
	t.Helper()
	got, last := map[string]int{}, ""
	for k, v := range tr.all() {
		if k <= last && last != "" {
			t.Fatalf("%q after %q", k, last)
		}
		got[k], last = v, k
		if w, ok := tr.get([]byte(k)); !ok || w != v {
			t.Fatalf("get %q: %d, %t", k, w, ok)
		}
	}
	if !maps.Equal(got, want) || tr.len() != len(want) {
		t.Fatalf("%d items, len %d; want %d", len(got), tr.len(), len(want))
	}
	for i, leaf := range tr.leaves {
		if len(leaf) == 0 || len(leaf) > maxLeaf || len(leaf) < minLeaf && len(tr.leaves) > 1 {
			t.Fatalf("leaf %d of %d has %d items", i, len(tr.leaves), len(leaf))
		}
	}
	for _, prefix := range []string{"1", "29", "2999", "300", "9999", ""} {
		has := false
		for k := range want {
			has = has || len(k) >= len(prefix) && k[:len(prefix)] == prefix
		}
		if _, _, got := tr.find([]byte(prefix)); got != has {
			t.Fatalf("prefix %q: got %t", prefix, !has)
		}
	}
}

func mapDiff(old, now map[string]int) map[string][2]int {
	out := map[string][2]int{}
	for _, k := range slices.Concat(slices.Collect(maps.Keys(old)), slices.Collect(maps.Keys(now))) {
		if old[k] != now[k] {
			out[k] = [2]int{old[k], now[k]}
		}
	}
	return out
}
