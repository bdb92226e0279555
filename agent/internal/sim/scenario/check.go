package scenario

import (
	"errors"
	"fmt"
	"hash/fnv"
	"sync"

	"github.com/seed-645ce708/gossip/agent/internal/view"
)

// Log takes in what happens in a cluster. Safe for concurrent use.
type Log struct {
	c         Cluster
	mu        sync.Mutex
	delivered map[delivery]int
	lives     map[int]int    // starts of each agent
	left      map[[2]int]int // observer and subject: in which life the subject was seen to have left
	errs      []error
	falseDead []string
}

type delivery struct {
	at, life int
	name     string
}

func newLog(c Cluster) *Log {
	return &Log{c: c, delivered: map[delivery]int{}, lives: map[int]int{}, left: map[[2]int]int{}}
}

func (l *Log) started(id int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lives[id]++
}

// Delivered tells that an agent got a user event.
func (l *Log) Delivered(at int, name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := delivery{at, l.lives[at], name}
	l.delivered[d]++
	if l.delivered[d] > 1 {
		l.errs = append(l.errs, fmt.Errorf("agent %d got the user event %s %d times", at+1, name, l.delivered[d]))
	}
}

// Changed tells that an agent gave a member another status; StatusNone means that it forgot it. up tells whether
// that member runs, be it that it is about to leave.
func (l *Log) Changed(at, subject int, status view.Status, up bool) {
	running := l.c.Running(subject)
	l.mu.Lock()
	defer l.mu.Unlock()
	pair := [2]int{at, subject}
	switch status {
	case view.StatusLeft:
		l.left[pair] = l.lives[subject]
	case view.StatusAlive:
		if life, ok := l.left[pair]; ok && life == l.lives[subject] && !up {
			l.errs = append(l.errs, fmt.Errorf("agent %d sees agent %d alive again, which has left", at+1, subject+1))
		}
		delete(l.left, pair)
	case view.StatusFailed:
		if running {
			l.falseDead = append(l.falseDead, fmt.Sprintf("agent %d took agent %d for failed", at+1, subject+1))
		}
	}
}

// Had reports whether an agent has had a user event, in this life of its.
func (l *Log) Had(at int, name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.delivered[delivery{at, l.lives[at], name}] > 0
}

func (l *Log) steady() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.falseDead = nil
}

func (l *Log) wrong() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.falseDead); n > 0 {
		return fmt.Errorf("%d times a running agent was taken for failed; the first: %s", n, l.falseDead[0])
	}
	return nil
}

func (l *Log) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.errs...)
}

// invariants compares what agents know with what they knew after the line before.
func (r *run) invariants() error {
	errs := []error{r.log.err()}
	for id := range r.agents {
		old := r.before[id]
		if h := hash(old.Members); len(old.Members) > 0 && h != r.hashes[id] {
			errs = append(errs, fmt.Errorf("a snapshot of agent %d changed after it was published", id+1))
		}
		if !r.c.Running(id) {
			continue
		}
		now := r.c.See(id)
		if now.Life == old.Life {
			for _, n := range []struct {
				what     string
				was, now uint64
			}{
				{"revision", old.Rev, now.Rev}, {"member time", old.MemberTime, now.MemberTime}, {"event time", old.EventTime, now.EventTime},
			} {
				if n.now < n.was {
					errs = append(errs, fmt.Errorf("the %s of agent %d fell from %d to %d", n.what, id+1, n.was, n.now))
				}
			}
		}
		r.before[id], r.hashes[id] = now, hash(now.Members)
	}
	return errors.Join(errs...)
}

func hash(members []*view.Member) uint64 {
	h := fnv.New64a()
	for _, m := range members {
		_, _ = fmt.Fprintf(h, "%v", *m) // a hash takes everything
	}
	return h.Sum64()
}
