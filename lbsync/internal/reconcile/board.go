package reconcile

import (
	"sync"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/decide"
	"github.com/seed-645ce708/gossip/lbsync/internal/instance"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
)

// edition is a service's set with its generation.
type edition struct {
	set    pool.Service
	gen    uint64
	caused time.Time // when the oldest change that it brings was seen; zero if it brings none
}

// board shows the newest edition of each service to the targets and wakes them when one changes; and it gathers what
// the targets find the balancers doing.
type board struct {
	mu       sync.Mutex
	editions map[string]edition
	node     pool.Node
	nodeGen  uint64 // counts changes of node
	changed  chan struct{}
	facts    map[string]seen // by target
	news     chan struct{}   // of facts; holds one
}

// seen is what a target last found.
type seen struct {
	gens    map[string]uint64 // of services, with which it was in step
	runtime bool
	actual  adapter.Actual
}

func newBoard() *board {
	return &board{editions: map[string]edition{}, changed: make(chan struct{}), facts: map[string]seen{}, news: make(chan struct{}, 1)}
}

func (b *board) put(name string, e edition) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if old, ok := b.editions[name]; ok && old.gen == e.gen {
		return
	}
	b.editions[name] = e
	b.wake()
}

// putNode shows the member beside the balancers.
func (b *board) putNode(node pool.Node) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if node.Equal(b.node) {
		return
	}
	b.node = node
	b.nodeGen++
	b.wake()
}

func (b *board) wake() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// kick wakes the targets although nothing changed.
func (b *board) kick() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wake()
}

// order is what a target is to do: the editions of its services, if all of them are there.
type order struct {
	editions map[string]edition
	node     pool.Node
	nodeGen  uint64
	complete bool
}

func (o order) pools() adapter.Pools {
	services := make(adapter.Services, len(o.editions))
	for name, e := range o.editions {
		services[name] = e.set
	}
	return adapter.Pools{Services: services, Node: o.node}
}

// gens are the generations of the services by name, and under the empty name that of the node.
func (o order) gens() map[string]uint64 {
	gens := map[string]uint64{"": o.nodeGen}
	for name, e := range o.editions {
		gens[name] = e.gen
	}
	return gens
}

// unsettled tells whether what the balancer says of a server will move it on.
func (o order) unsettled() bool {
	for _, e := range o.editions {
		for _, s := range e.set.Servers {
			if s.State == pool.Probation || s.State == pool.Draining {
				return true
			}
		}
	}
	return false
}

// watch returns the order for a target, and a channel that is closed when any edition changed.
func (b *board) watch(t config.Target) (order, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o := order{editions: map[string]edition{}, node: b.node, nodeGen: b.nodeGen, complete: true}
	for _, name := range t.Services {
		e, ok := b.editions[name]
		o.complete = o.complete && ok
		o.editions[name] = e
	}
	return o, b.changed
}

// report takes in what a target found. Without gens it was not in step, and what it last was in step with stands.
func (b *board) report(id string, found seen) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if found.gens == nil {
		found.gens = b.facts[id].gens
	}
	b.facts[id] = found
	select {
	case b.news <- struct{}{}:
	default:
	}
}

// gather sums up for each service what the targets that use it found.
func (b *board) gather(services []config.Service, targets []config.Target) map[string]decide.Facts {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make(map[string]decide.Facts, len(services))
	for _, s := range services {
		facts := decide.Facts{Gen: ^uint64(0), Counted: true, Servers: map[string]instance.Fact{}}
		for _, t := range targets {
			if !uses(t, s.Name) {
				continue
			}
			found := b.facts[t.ID()]
			facts.Gen = min(facts.Gen, found.gens[s.Name])
			facts.Counted = facts.Counted && found.runtime
			for _, srv := range found.actual.Servers {
				if srv.Service == s.Name {
					facts.Servers[srv.Name] = merge(facts.Servers[srv.Name], srv)
				}
			}
		}
		if !facts.Counted { // somewhere there may be more sessions than are seen
			for name, f := range facts.Servers {
				f.Sessions = -1
				facts.Servers[name] = f
			}
		}
		out[s.Name] = facts
	}
	return out
}

func uses(t config.Target, service string) bool {
	for _, name := range t.Services {
		if name == service {
			return true
		}
	}
	return false
}

// merge adds what one balancer says of a server.
func merge(f instance.Fact, srv adapter.ActualServer) instance.Fact {
	f.Present = true
	f.Up = f.Up || srv.Health == adapter.Up
	f.Judged = f.Judged || srv.Health != adapter.HealthUnknown
	if srv.Sessions < 0 || f.Sessions < 0 {
		f.Sessions = -1
	} else {
		f.Sessions += srv.Sessions
	}
	return f
}
