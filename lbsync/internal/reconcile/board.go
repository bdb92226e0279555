package reconcile

import (
	"sync"

	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/desired"
)

// board shows the newest set of each service to the targets and wakes them when one changes.
type board struct {
	mu      sync.Mutex
	sets    map[string]desired.Service
	changed chan struct{}
}

func newBoard() *board {
	return &board{sets: map[string]desired.Service{}, changed: make(chan struct{})}
}

func (b *board) put(set desired.Service) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if old, ok := b.sets[set.Name]; ok && old.Equal(set) {
		return
	}
	b.sets[set.Name] = set
	close(b.changed)
	b.changed = make(chan struct{})
}

// watch returns the sets that the target uses, whether all of them are there, and a channel that is closed
// when any set changed.
func (b *board) watch(t config.Target) (sets map[string]desired.Service, complete bool, changed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	sets, complete = pick(t, b.sets)
	return sets, complete, b.changed
}

// pick returns those sets that the target uses.
func pick(t config.Target, all map[string]desired.Service) (map[string]desired.Service, bool) {
	sets := map[string]desired.Service{}
	complete := true
	for _, name := range t.Services {
		set, ok := all[name]
		complete = complete && ok
		sets[name] = set
	}
	return sets, complete
}
