package core

import (
	"sync"

	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/state"
)

// inboxLimit bounds the messages that wait for the core. A burst that fills it is more than ten seconds of
// work; dropping is safe because gossip repeats messages and push/pull repairs what is lost for good.
const inboxLimit = 1 << 16

// keepSpare bounds the memory that a past burst leaves behind.
const keepSpare = 1 << 10

// item is one piece of work: an input, or a function to run between inputs.
type item struct {
	in    state.Input
	call  func()
	reply chan<- reply // nil if nobody waits
}

type reply struct {
	sent  <-chan struct{} // closed once the broadcast that the request waits for is out; nil if there is none
	query *Query
	event *event.User // the user event that the request made
	err   error
}

// inbox is a queue that takes everything local and every change of a node, and refuses messages of peers
// above its limit. memberlist reports nodes under its lock and only once, so those must neither wait nor be lost;
// their number is bounded by the size of the cluster.
type inbox struct {
	mu      sync.Mutex
	items   []item
	spare   []item // the slice of the batch before last, to be used again
	closed  bool
	dropped uint64
	wake    chan struct{} // capacity 1
}

func newInbox() *inbox { return &inbox{wake: make(chan struct{}, 1)} }

// put returns false if the core has stopped or an item was dropped.
func (b *inbox) put(items ...item) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	all := true
	for _, it := range items {
		if _, message := it.in.(state.Receive); message && len(b.items) >= inboxLimit {
			b.dropped++
			all = false
			continue
		}
		b.items = append(b.items, it)
	}
	select {
	case b.wake <- struct{}{}:
	default: // the core has not seen the last wake-up yet
	}
	return all
}

// take returns all that waits, and how many messages were dropped since last time. The slice is valid until
// the next call.
func (b *inbox) take() (items []item, dropped uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	items, dropped = b.items, b.dropped
	clear(b.spare)
	if cap(b.spare) > keepSpare {
		b.spare = nil
	}
	b.items, b.spare, b.dropped = b.spare[:0], items, 0
	return items, dropped
}

// close refuses everything from here on and returns what was still waiting.
func (b *inbox) close() []item {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	items := b.items
	b.items = nil
	return items
}
