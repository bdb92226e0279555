package sim

import (
	"math"
	"slices"
)

// pending is a message in a queue.
type pending struct {
	m    *message
	id   uint64
	size int
	done func() // when it has been sent as often as it will be, or was replaced; may be nil
}

// queue is memberlist's queue of messages that are sent a limited number of times: those sent least often go
// first, among them the largest, among those the newest.
type queue struct {
	tiers [][]pending // by the number of times sent; each sorted
	count int
	next  uint64
	// finished is what to call when the agent comes to it.
	finished []func()
	named    map[int32]place // of memberlist's own messages; a newer one about a member replaces the older
}

type place struct {
	tier int
	size int
	id   uint64
}

func order(size int, id uint64) func(p pending, _ struct{}) int {
	return func(p pending, _ struct{}) int {
		switch {
		case p.size != size:
			return size - p.size
		case p.id > id:
			return -1
		case p.id < id:
			return 1
		default:
			return 0
		}
	}
}

func (q *queue) insert(tier int, p pending) {
	for len(q.tiers) <= tier {
		q.tiers = append(q.tiers, nil)
	}
	i, _ := slices.BinarySearchFunc(q.tiers[tier], struct{}{}, order(p.size, p.id))
	q.tiers[tier] = slices.Insert(q.tiers[tier], i, p)
	if q.named != nil {
		q.named[p.m.subject] = place{tier, p.size, p.id}
	}
	q.count++
}

// add queues a message.
func (q *queue) add(m *message, done func()) {
	q.next++
	q.insert(0, pending{m: m, id: q.next, size: m.size, done: done})
}

// addNamed queues a message about a member in place of what waits about it.
func (q *queue) addNamed(m *message, done func()) {
	if q.named == nil {
		q.named = make(map[int32]place)
	}
	if at, ok := q.named[m.subject]; ok {
		tier := q.tiers[at.tier]
		if i, found := slices.BinarySearchFunc(tier, struct{}{}, order(at.size, at.id)); found {
			old := tier[i]
			q.tiers[at.tier] = slices.Delete(tier, i, i+1)
			q.count--
			if old.done != nil {
				q.finished = append(q.finished, old.done)
			}
		}
	}
	q.add(m, done)
}

// take appends to list what fits into room, each message with overhead, and returns the room that is left. Those
// that were sent limit times are done.
func (q *queue) take(list []*message, room, overhead, limit int) ([]*message, int) {
	if q.count == 0 {
		return list, room
	}
	type moved struct {
		tier int
		p    pending
	}
	var buf [32]moved
	again := buf[:0]
	for tier := range q.tiers {
		i := 0
		for i < len(q.tiers[tier]) && room-overhead >= smallest {
			items := q.tiers[tier]
			if items[i].size > room-overhead {
				// All that is too large is ahead of what fits.
				size := room - overhead
				n, _ := slices.BinarySearchFunc(items[i:], struct{}{}, order(size, math.MaxUint64))
				i += n
				continue
			}
			p := items[i]
			if i == 0 {
				items[0] = pending{}
				q.tiers[tier] = items[1:]
			} else {
				q.tiers[tier] = slices.Delete(items, i, i+1)
			}
			q.count--
			list = append(list, p.m)
			room -= p.size + overhead
			if tier+1 >= limit {
				if q.named != nil {
					delete(q.named, p.m.subject)
				}
				if p.done != nil {
					q.finished = append(q.finished, p.done)
				}
			} else {
				again = append(again, moved{tier + 1, p})
			}
		}
	}
	for _, a := range again {
		q.insert(a.tier, a.p)
	}
	if q.count == 0 {
		q.tiers = nil
	}
	return list, room
}

// limitOf is how often a message is sent in a cluster of n.
func limitOf(mult, n int) int {
	return mult * int(math.Ceil(math.Log10(float64(n+1))))
}
