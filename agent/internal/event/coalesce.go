package event

import (
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/view"
)

// Periods says how long events of a kind are held back so that several can become one. The first event
// that is held starts both periods, each further one restarts Quiescent; whichever ends first lets all of
// them go (Serf reference 2.11). A Quantum of 0 turns coalescing of the kind off.
type Periods struct {
	Quantum   time.Duration // an event waits at most this long
	Quiescent time.Duration // and at most this long after the last one
}

// CoalesceConfig sets the two coalescers. The zero value lets every event pass at once.
type CoalesceConfig struct {
	Member Periods // all member events
	User   Periods // user events that allow it
}

// DefaultCoalesceConfig is Serf's agent's: 3 s and 1 s for both.
func DefaultCoalesceConfig() CoalesceConfig {
	p := Periods{Quantum: 3 * time.Second, Quiescent: time.Second}
	return CoalesceConfig{Member: p, User: p}
}

// maxHeldUserEvents bounds the user events that wait to be coalesced. When it is reached they are let go
// early, so nothing is lost.
const maxHeldUserEvents = 4096

// Coalescer thins events: of several member events about one node, and of several user events of one name,
// only the newest goes on (Serf reference 2.11). It is a pure data structure that belongs to one goroutine;
// time is an argument.
//
// Two things differ from Serf on purpose. A member-update that was let go is not repeated on later flushes.
// And a member-join that Serf would suppress, because the node failed and came back while events were held,
// goes on as a member-update if its address or tags changed meanwhile; else nobody would hear of the change.
type Coalescer struct {
	member memberHold
	user   userHold
}

// NewCoalescer returns an empty coalescer.
func NewCoalescer(cfg CoalesceConfig) *Coalescer {
	return &Coalescer{
		member: memberHold{
			timer:  timer{periods: cfg.Member},
			latest: make(map[string]heldMember),
			sent:   make(map[string]heldMember),
		},
		user: userHold{timer: timer{periods: cfg.User}, latest: make(map[string]heldUser)},
	}
}

// Add takes e in and reports true, or reports false if e is to go on at once. Events that go on at once
// may so overtake others that are held.
func (c *Coalescer) Add(now time.Time, e Event) (held bool) {
	switch e := e.(type) {
	case *Member:
		return c.member.add(now, e)
	case *User:
		return c.user.add(now, e)
	default:
		return false
	}
}

// Deadline returns when Flush has something to let go; it reports false while nothing is held.
func (c *Coalescer) Deadline() (time.Time, bool) {
	m, u := c.member.deadline, c.user.deadline
	switch {
	case m.IsZero():
		return u, !u.IsZero()
	case u.IsZero() || m.Before(u):
		return m, true
	default:
		return u, true
	}
}

// Flush lets go what is due at now.
func (c *Coalescer) Flush(now time.Time) []Event {
	var out []Event
	if c.user.due(now) {
		out = c.user.flush(out)
	}
	if c.member.due(now) {
		out = c.member.flush(out)
	}
	return out
}

// FlushAll lets go everything that is held, due or not.
func (c *Coalescer) FlushAll() []Event { return c.member.flush(c.user.flush(nil)) }

// timer is the rule of Periods.
type timer struct {
	periods  Periods
	quantum  time.Time // end of the quantum; zero while nothing is held
	deadline time.Time // when to flush; zero while nothing is held
}

func (t *timer) touch(now time.Time) {
	if t.quantum.IsZero() {
		t.quantum = now.Add(t.periods.Quantum)
	}
	t.deadline = now.Add(t.periods.Quiescent)
	if t.quantum.Before(t.deadline) {
		t.deadline = t.quantum
	}
}

func (t *timer) due(now time.Time) bool { return !t.deadline.IsZero() && !now.Before(t.deadline) }

func (t *timer) stop() { t.quantum, t.deadline = time.Time{}, time.Time{} }

type heldMember struct {
	seq    int // order of arrival
	kind   Type
	member *view.Member
}

// memberHold keeps the newest event of each node.
type memberHold struct {
	timer
	latest map[string]heldMember
	sent   map[string]heldMember // what was last let go about each node that still exists
	seq    int
}

func (h *memberHold) add(now time.Time, e *Member) bool {
	if h.periods.Quantum <= 0 {
		return false
	}
	h.touch(now)
	for _, m := range e.Members {
		h.seq++
		h.latest[m.Name] = heldMember{seq: h.seq, kind: e.Kind, member: m}
	}
	return true
}

// flush appends one event for each type, in the order in which their first members came.
func (h *memberHold) flush(out []Event) []Event {
	h.stop()
	held := slices.Collect(maps.Values(h.latest))
	sort.Slice(held, func(i, j int) bool { return held[i].seq < held[j].seq })
	clear(h.latest)
	h.seq = 0
	byKind := make(map[Type]*Member)
	for _, n := range held {
		if n.kind == h.sent[n.member.Name].kind && n.kind != TypeMemberUpdate {
			if n.kind != TypeMemberJoin || sameFace(n.member, h.sent[n.member.Name].member) {
				continue
			}
			n.kind = TypeMemberUpdate
		}
		if n.kind == TypeMemberReap {
			delete(h.sent, n.member.Name)
		} else {
			h.sent[n.member.Name] = n
		}
		e := byKind[n.kind]
		if e == nil {
			e = &Member{Kind: n.kind}
			byKind[n.kind] = e
			out = append(out, e)
		}
		e.Members = append(e.Members, n.member)
	}
	return out
}

// sameFace reports whether two records of a member show the same address and tags.
func sameFace(a, b *view.Member) bool {
	return a.AddrPort() == b.AddrPort() && maps.Equal(a.Tags, b.Tags)
}

type heldUser struct {
	seq    int // order in which the name came first
	events []*User
}

// userHold keeps, for each name, the events of the highest Lamport time.
type userHold struct {
	timer
	latest map[string]heldUser
	held   int
	seq    int
}

func (h *userHold) add(now time.Time, e *User) bool {
	if h.periods.Quantum <= 0 || !e.Coalesce {
		return false
	}
	h.touch(now)
	old, ok := h.latest[e.Name]
	if !ok {
		h.seq++
		old.seq = h.seq
	}
	switch {
	case !ok || e.LTime > old.events[0].LTime:
		h.held += 1 - len(old.events)
		old.events = []*User{e}
	case e.LTime == old.events[0].LTime:
		h.held++
		old.events = append(old.events, e)
	default: // older than what is held
	}
	h.latest[e.Name] = old
	if h.held >= maxHeldUserEvents {
		h.deadline = now
	}
	return true
}

// flush appends the events in the order in which their names came first.
func (h *userHold) flush(out []Event) []Event {
	h.stop()
	held := slices.Collect(maps.Values(h.latest))
	sort.Slice(held, func(i, j int) bool { return held[i].seq < held[j].seq })
	clear(h.latest)
	h.held, h.seq = 0, 0
	for _, name := range held {
		for _, e := range name.events {
			out = append(out, e)
		}
	}
	return out
}
