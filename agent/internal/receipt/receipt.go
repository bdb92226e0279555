// Package receipt remembers what became of recent user events on this agent: whether an event was heard, and what each of
// its handlers did with it. It is fed by the core's emitter and by package handler, and read by whoever wants a receipt.
package receipt

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/lamport"
)

// DefaultSize is how many events a Trail remembers unless told otherwise: at least a second of the most that a cluster
// carries, and hours of what is usual.
const DefaultSize = 4096

// ID names a user event in the whole cluster.
type ID struct {
	LTime lamport.Time
	Hash  [8]byte // the beginning of the SHA-256 of name and payload
}

// IDOf returns an event's ID.
func IDOf(e *event.User) ID {
	text := binary.AppendUvarint(make([]byte, 0, 16+len(e.Name)+len(e.Payload)), uint64(len(e.Name)))
	sum := sha256.Sum256(append(append(text, e.Name...), e.Payload...))
	return ID{LTime: e.LTime, Hash: [8]byte(sum[:8])}
}

// Phase is how far an event has come on one agent.
type Phase string

// The phases.
const (
	// Unheard: the agent does not know the event, or not any more.
	Unheard Phase = ""
	// Waiting: the event was heard and has not yet come to the handlers, perhaps since it is held back to be coalesced.
	Waiting Phase = "waiting"
	// Handed: the event came to the handlers; the runs tell the rest.
	Handed Phase = "handed"
	// Superseded: the event allowed that only the newest of its name matters, and there was a newer one.
	Superseded Phase = "superseded"
	// Lost: the agent was too slow for the event, which never came to the handlers.
	Lost Phase = "lost"
)

// State is what became of one run of a handler.
type State string

// The states.
const (
	Queued  State = "queued"
	Running State = "running"
	OK      State = "ok"
	Failed  State = "failed"
	Dropped State = "dropped" // it will not run
)

// Run is one run of a handler.
type Run struct {
	Command string        `json:"c"`
	State   State         `json:"s"`
	Exit    int           `json:"x,omitempty"` // exit code, if it has one other than 0; -1 if it was killed
	Error   string        `json:"e,omitempty"` // why it failed
	Took    time.Duration `json:"d,omitempty"` // once it has ended
}

// Receipt is what became of an event on one agent.
type Receipt struct {
	Phase Phase `json:"p"`
	Runs  []Run `json:"r,omitempty"` // in the order of the configuration
	More  int   `json:"m,omitempty"` // further runs, for which there was no room
}

// Final tells that nothing will change any more.
func (r *Receipt) Final() bool {
	switch r.Phase {
	case Unheard, Waiting:
		return false
	case Handed:
		for _, run := range r.Runs {
			if run.State == Queued || run.State == Running {
				return false
			}
		}
	}
	return true
}

// Failed tells that the event was lost or a handler did not do its work.
func (r *Receipt) Failed() bool {
	for _, run := range r.Runs {
		if run.State == Failed || run.State == Dropped {
			return true
		}
	}
	return r.Phase == Lost
}

// Trail is the memory. Safe for concurrent use; no method blocks for long.
type Trail struct {
	size int

	mu     sync.Mutex
	byID   map[ID]*record
	oldest []*record // ring, once it is full
	next   int
	plain  []*record            // waiting, not to be coalesced, in the order in which they were heard
	held   map[string][]*record // waiting, perhaps to be coalesced, by event name
}

type record struct {
	id    ID
	name  string
	phase Phase
	runs  []Run
}

var _ interface {
	Handed(event.Event, []string)
	Started(event.Event, string)
	Ended(event.Event, string, time.Duration, error)
	Dropped(event.Event, string)
} = (*Trail)(nil) // handler.Watch

// NewTrail returns an empty Trail of size events; 0 or less means DefaultSize.
func NewTrail(size int) *Trail {
	if size <= 0 {
		size = DefaultSize
	}
	return &Trail{size: size, byID: map[ID]*record{}, held: map[string][]*record{}}
}

// Heard tells of an event on its way to the handlers. Events are told of in the order in which they set out.
func (t *Trail) Heard(e *event.User) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &record{id: IDOf(e), name: e.Name, phase: Waiting}
	if _, known := t.byID[r.id]; known {
		return
	}
	if len(t.oldest) < t.size {
		t.oldest = append(t.oldest, r)
	} else {
		old := t.oldest[t.next]
		delete(t.byID, old.id)
		if old.phase == Waiting {
			t.unwait(old)
		}
		t.oldest[t.next] = r
		t.next = (t.next + 1) % t.size
	}
	t.byID[r.id] = r
	if e.Coalesce {
		t.held[e.Name] = append(t.held[e.Name], r)
	} else {
		t.plain = append(t.plain, r)
	}
}

// unwait takes a record that is forgotten out of the lists of those that wait, where it is the first that still does. The
// caller holds mu.
func (t *Trail) unwait(r *record) {
	done := func(other *record) bool { return other == r || other.phase != Waiting }
	for len(t.plain) > 0 && done(t.plain[0]) {
		t.plain = t.plain[1:]
	}
	held := t.held[r.name]
	for len(held) > 0 && done(held[0]) {
		held = held[1:]
	}
	t.hold(r.name, held)
}

func (t *Trail) hold(name string, held []*record) {
	if len(held) == 0 {
		delete(t.held, name)
	} else {
		t.held[name] = held
	}
}

// Gone tells that an event that was heard will never come to the handlers.
func (t *Trail) Gone(e *event.User) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.byID[IDOf(e)]; r != nil && r.phase == Waiting {
		r.phase = Lost
	}
}

// Handed implements handler.Watch.
func (t *Trail) Handed(e event.Event, commands []string) {
	u, ok := e.(*event.User)
	if !ok {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.byID[IDOf(u)]
	if r == nil || r.phase != Waiting {
		return
	}
	r.phase = Handed
	for _, command := range commands {
		r.runs = append(r.runs, Run{Command: command, State: Queued})
	}
	if u.Coalesce {
		t.coalesced(r)
	} else {
		t.passed(r)
	}
}

// passed settles what was heard before r and has not come: events that are not coalesced keep their order. The caller
// holds mu.
func (t *Trail) passed(r *record) {
	for len(t.plain) > 0 {
		first := t.plain[0]
		t.plain[0] = nil
		t.plain = t.plain[1:]
		if first == r {
			return
		}
		if first.phase == Waiting {
			first.phase = Lost
		}
	}
}

// coalesced settles what was held back in favour of r. The caller holds mu.
func (t *Trail) coalesced(r *record) {
	var still []*record
	for _, other := range t.held[r.name] {
		switch {
		case other == r || other.phase != Waiting:
		case other.id.LTime < r.id.LTime:
			other.phase = Superseded
		default:
			still = append(still, other)
		}
	}
	t.hold(r.name, still)
}

// Started implements handler.Watch.
func (t *Trail) Started(e event.Event, command string) {
	t.change(e, command, Queued, func(r *Run) { r.State = Running })
}

// Dropped implements handler.Watch.
func (t *Trail) Dropped(e event.Event, command string) {
	t.change(e, command, Queued, func(r *Run) { r.State = Dropped })
}

// Ended implements handler.Watch.
func (t *Trail) Ended(e event.Event, command string, took time.Duration, err error) {
	t.change(e, command, Running, func(r *Run) {
		r.State, r.Took = OK, took
		if err == nil {
			return
		}
		r.State, r.Error = Failed, err.Error()
		var exit interface{ ExitCode() int }
		if errors.As(err, &exit) {
			r.Exit = exit.ExitCode()
		}
	})
}

// change finds the first run of a command that is in a state.
func (t *Trail) change(e event.Event, command string, in State, f func(*Run)) {
	u, ok := e.(*event.User)
	if !ok {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	rec := t.byID[IDOf(u)]
	if rec == nil {
		return
	}
	for i := range rec.runs {
		if r := &rec.runs[i]; r.Command == command && r.State == in {
			f(r)
			return
		}
	}
}

// Find returns what became of an event so far.
func (t *Trail) Find(id ID) Receipt {
	t.mu.Lock()
	defer t.mu.Unlock()
	rec := t.byID[id]
	if rec == nil {
		return Receipt{}
	}
	return Receipt{Phase: rec.phase, Runs: append([]Run(nil), rec.runs...)}
}

// maxText is how much of a command or an error travels with a receipt, in bytes.
const maxText = 96

// shorten cuts text to maxText bytes, at the border of a character.
func shorten(text string) string {
	if len(text) <= maxText {
		return text
	}
	cut := maxText
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

// Waiting returns how many events are known to be on their way to the handlers.
func (t *Trail) Waiting() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(t.plain)
	for _, held := range t.held {
		n += len(held)
	}
	return n
}
