package logs

import (
	"sync"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
)

// DefaultRingSize is how many lines a Ring keeps, and how many may wait for one subscriber, as in Serf.
const DefaultRingSize = 512

// Ring keeps the newest lines of all levels and hands them, and those to come, to subscribers. Whoever logs
// never waits for a subscriber. All methods may be called from any goroutine.
type Ring struct {
	mu    sync.Mutex
	lines []ringLine // oldest first once full: starts at next
	next  int
	full  bool
	subs  map[*Subscription]struct{}
}

type ringLine struct {
	level hclog.Level
	text  string
}

// NewRing returns a ring of size lines; 0 or less means DefaultRingSize.
func NewRing(size int) *Ring {
	if size <= 0 {
		size = DefaultRingSize
	}
	return &Ring{lines: make([]ringLine, size), subs: make(map[*Subscription]struct{})}
}

// Subscription is one reader of a Ring. Lines that find DefaultRingSize others waiting are dropped and
// counted.
type Subscription struct {
	ring    *Ring
	level   hclog.Level
	lines   chan string
	dropped atomic.Uint64
}

// Subscribe returns a reader of the lines at or above level: first those that the ring holds, then those to
// come. Close it when done.
func (r *Ring) Subscribe(level hclog.Level) *Subscription {
	r.mu.Lock()
	defer r.mu.Unlock()
	var replay []string
	old := r.lines[:r.next]
	if r.full {
		old = append(append([]ringLine(nil), r.lines[r.next:]...), old...)
	}
	for _, line := range old {
		if passes(line.level, level) {
			replay = append(replay, line.text)
		}
	}
	s := &Subscription{ring: r, level: level, lines: make(chan string, len(replay)+DefaultRingSize)}
	for _, text := range replay {
		s.lines <- text // fits: nobody else can send yet
	}
	r.subs[s] = struct{}{}
	return s
}

// C returns the lines, without their line feeds. It is closed by Close.
func (s *Subscription) C() <-chan string { return s.lines }

// Dropped returns how many lines this reader was too slow for.
func (s *Subscription) Dropped() uint64 { return s.dropped.Load() }

// Close ends the subscription. It may be called more than once.
func (s *Subscription) Close() {
	s.ring.mu.Lock()
	defer s.ring.mu.Unlock()
	if _, ok := s.ring.subs[s]; ok {
		delete(s.ring.subs, s)
		close(s.lines)
	}
}

// add appends a line and passes it on.
func (r *Ring) add(level hclog.Level, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines[r.next] = ringLine{level: level, text: text}
	r.next++
	if r.next == len(r.lines) {
		r.next, r.full = 0, true
	}
	for s := range r.subs {
		if !passes(level, s.level) {
			continue
		}
		select {
		case s.lines <- text:
		default:
			s.dropped.Add(1)
		}
	}
}

// passes reports whether a line may be shown to whoever asked for least and above. Lines without a level
// always may (Serf reference 3.8).
func passes(level, least hclog.Level) bool { return level == hclog.NoLevel || level >= least }
