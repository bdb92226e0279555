package pool_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
)

func TestIDs(t *testing.T) {
	t.Parallel()
	var servers []pool.Server
	for i := range 5000 {
		servers = append(servers, pool.Server{Name: fmt.Sprintf("web-%04d", i)})
	}
	pool.AssignIDs(servers)
	seen := map[uint32]bool{}
	for _, s := range servers {
		if s.ID < 1 || s.ID > pool.MaxID || seen[s.ID] {
			t.Fatalf("%s has id %d", s.Name, s.ID)
		}
		seen[s.ID] = true
	}
	// Without one of them the others keep theirs, so that a consistent hash moves only its share.
	kept := slices.Clone(servers[1:])
	pool.AssignIDs(kept)
	for i, s := range servers[1:] {
		if kept[i].ID != s.ID {
			t.Errorf("%s moved from %d to %d", s.Name, s.ID, kept[i].ID)
		}
	}
}
