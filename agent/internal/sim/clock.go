package sim

import "time"

// instant is a point in virtual time, in nanoseconds since the simulation began.
type instant int64

func (t instant) plus(d time.Duration) instant  { return t + instant(d) }
func (t instant) minus(u instant) time.Duration { return time.Duration(t - u) }

// origin is what the state machines take for the time of instant 0.
var origin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func (t instant) time() time.Time { return origin.Add(time.Duration(t)) }

// occasion is what an entry of the queue is about.
type occasion uint8

const (
	arrive       occasion = iota // packet reaches node
	probeTick                    // time to probe the next member
	probeTimeout                 // direct probe number x has waited long enough
	probeEnd                     // probe number x has waited long enough altogether
	gossipTick
	pushPullTick
	suspicionEnd // of member x
	stateTick
	call // f
)

// entry is something that will happen. Those of one instant happen in the order in which they were made.
type entry struct {
	at     instant
	seq    uint64
	f      func()
	packet *packet
	node   int32  // to whom it happens, or nobody
	life   uint32 // of the node: it does not happen to a later one; 0 means any
	x      uint32
	what   occasion
}

// nobody is the node of an entry that happens to the world itself.
const nobody int32 = -1

func (e *entry) before(f *entry) bool { return e.at < f.at || e.at == f.at && e.seq < f.seq }

// agenda is a heap of entries with four children to a parent, which misses the cache less often than two.
type agenda struct {
	heap []entry
	seq  uint64
}

func (a *agenda) push(e entry) {
	a.seq++
	e.seq = a.seq
	a.heap = append(a.heap, e)
	h, i := a.heap, len(a.heap)-1
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(&h[parent]) {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = e
}

// pop removes the next entry. The agenda must not be empty.
func (a *agenda) pop() entry {
	h := a.heap
	first, last := h[0], h[len(h)-1]
	h[len(h)-1] = entry{}
	h = h[:len(h)-1]
	a.heap = h
	i := 0
	for {
		child := 4*i + 1
		if child >= len(h) {
			break
		}
		least := child
		for c := child + 1; c < min(child+4, len(h)); c++ {
			if h[c].before(&h[least]) {
				least = c
			}
		}
		if !h[least].before(&last) {
			break
		}
		h[i] = h[least]
		i = least
	}
	if len(h) > 0 {
		h[i] = last
	}
	return first
}
