package placement_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/placement"
)

func TestPick(t *testing.T) {
	t.Parallel()
	names := []string{"a", "b", "c", "d", "e"}
	load := map[string]int{}
	moved := 0
	for i := range 1000 {
		key := fmt.Sprintf("shard-%d", i)
		picked := placement.Pick(key, names, 2)
		if len(picked) != 2 || picked[0] == picked[1] {
			t.Fatalf("picked %v", picked)
		}
		turned := slices.Clone(names)
		slices.Reverse(turned)
		if !slices.Equal(picked, placement.Pick(key, turned, 2)) {
			t.Fatal("the order of the names matters")
		}
		load[picked[0]]++
		fewer := placement.Pick(key, names[:4], 2) // e is gone
		if !slices.Contains(picked, "e") && !slices.Equal(picked, fewer) {
			moved++
		}
	}
	if moved > 0 {
		t.Errorf("%d keys moved that had no part in e", moved)
	}
	for _, name := range names {
		if load[name] < 150 || load[name] > 250 {
			t.Errorf("%s is first for %d of 1000 keys, want some 200", name, load[name])
		}
	}
	if got := placement.Pick("k", names, 9); len(got) != 5 {
		t.Errorf("of five, nine are %v", got)
	}
	// Users depend on the choice.
	if got := placement.Pick("shard-1", names, 3); !slices.Equal(got, []string{"a", "c", "d"}) {
		t.Errorf("the choice has changed to %q", got)
	}
}
