// Package trail remembers, for each member, what lately happened to it as this agent saw it: when it joined, left, failed
// and came back, which probes it did not answer, who suspected it and who took that back, which names and addresses were
// in conflict. It is evidence for people, and nothing is decided by it. It is fed with events, intents and memberlist's
// log lines, and bounded in every direction.
package trail

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/lamport"
	"github.com/seed-645ce708/gossip/agent/internal/view"
)

// Bounds of what is remembered.
const (
	PerMember  = 64   // entries of one member
	MaxMembers = 4096 // members, of which the one that was quiet for longest is forgotten
	maxText    = 160  // bytes of an entry's text
)

// Kind is what an entry tells of.
type Kind string

// The kinds.
const (
	Join     Kind = "join"
	Leave    Kind = "leave"
	Failed   Kind = "failed"
	Update   Kind = "update"
	Reap     Kind = "reap"
	Probe    Kind = "probe-failed"    // it did not answer us by UDP
	TCPOnly  Kind = "tcp-only"        // it answers by TCP but not by UDP
	Suspect  Kind = "suspect"         // we suspect it, and tell everyone
	Marked   Kind = "declared-failed" // our suspicion was not taken back in time
	Refuted  Kind = "refuted"         // others suspected us or declared us failed, and we object
	Conflict Kind = "conflict"        // two agents claim one name
	Exchange Kind = "exchange-failed" // the exchange of full states with it failed
	Address  Kind = "address"         // it has another address
	IntentIn Kind = "join-intent"     // it announced itself
	IntentGo Kind = "leave-intent"    // it, or somebody for it, announced its leave
	Asked    Kind = "force-leave"     // this agent was told to remove it
)

// Entry is one thing that happened.
type Entry struct {
	At    time.Time
	Kind  Kind
	Text  string       // the details in words; may be empty
	LTime lamport.Time // of an intent, else 0
	Count int          // how often it happened in a row, at least 1
	Last  time.Time    // the last time of these
}

// Trail is the memory. Safe for concurrent use; no method blocks for long.
type Trail struct {
	self  string
	began time.Time

	mu      sync.Mutex
	members map[string]*member
}

type member struct {
	entries []numbered
	next    uint64 // number of the next entry; numbers begin at 1 and never return
	seen    *view.Member
	status  Kind      // the last of Join, Leave and Failed
	since   time.Time // of status
	flaps   int
}

type numbered struct {
	Entry
	number uint64
}

// recurs tells kinds that may come again and again, every second, for as long as something is wrong.
func recurs(k Kind) bool {
	switch k {
	case Probe, TCPOnly, Suspect, Refuted, Conflict, Exchange:
		return true
	default:
		return false
	}
}

// New returns an empty Trail of an agent named self.
func New(self string, now time.Time) *Trail {
	return &Trail{self: self, began: now, members: map[string]*member{}}
}

// Began returns from when on there is memory.
func (t *Trail) Began() time.Time { return t.began }

// Note adds an entry.
func (t *Trail) Note(now time.Time, name string, kind Kind, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.member(name).add(Entry{At: now, Kind: kind, Text: text})
}

// Intent adds an announcement, which comes from several sides, once. Those about strangers are ignored: anybody can make
// them up.
func (t *Trail) Intent(now time.Time, name string, kind Kind, ltime lamport.Time, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.members[name]
	if m == nil {
		return
	}
	for i := len(m.entries) - 1; i >= 0; i-- {
		if e := &m.entries[i]; e.Kind == kind && e.LTime == ltime {
			return
		}
	}
	m.add(Entry{At: now, Kind: kind, LTime: ltime, Text: text})
}

// Line takes a line of memberlist's log; those that tell nothing of a member are ignored.
func (t *Trail) Line(now time.Time, line string) {
	name, kind, text, ok := parse(line)
	if !ok {
		return
	}
	t.Note(now, cmp.Or(name, t.self), kind, text)
}

// Event takes a change of members.
func (t *Trail) Event(now time.Time, e *event.Member) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, v := range e.Members {
		t.member(v.Name).changed(now, e.Kind, v)
	}
}

// member returns what is known of a name. The caller holds mu.
func (t *Trail) member(name string) *member {
	m := t.members[name]
	if m == nil {
		if len(t.members) >= MaxMembers {
			t.forgetOne()
		}
		m = &member{next: 1}
		t.members[name] = m
	}
	return m
}

func (t *Trail) forgetOne() {
	var quietest string
	var since time.Time
	for name, m := range t.members {
		if name == t.self {
			continue
		}
		if last := m.last(); since.IsZero() || last.Before(since) {
			quietest, since = name, last
		}
	}
	delete(t.members, quietest)
}

// last returns when anything was last heard. Every member has an entry.
func (m *member) last() time.Time {
	var last time.Time
	for _, e := range m.entries {
		if e.Last.After(last) {
			last = e.Last
		}
	}
	return last
}

// cycle is how many things may take turns without filling the memory.
const cycle = 4

// add appends an entry, or counts it if it repeats one of the last few and nothing else happened since.
func (m *member) add(e Entry) {
	if len(e.Text) > maxText {
		e.Text = strings.ToValidUTF8(e.Text[:maxText], "") + "…"
	}
	e.Count, e.Last = 1, e.At
	for i := len(m.entries) - 1; i >= max(0, len(m.entries)-cycle); i-- {
		last := &m.entries[i]
		if last.Kind == e.Kind && last.Text == e.Text && last.LTime == e.LTime {
			last.Count++
			last.Last = e.At
			return
		}
		if !recurs(e.Kind) || !recurs(last.Kind) {
			break
		}
	}
	if len(m.entries) >= PerMember {
		m.forget()
	}
	m.entries = append(m.entries, numbered{e, m.next})
	m.next++
}

// forget makes room: changes of status are kept longer than what recurs, but not for ever.
func (m *member) forget() {
	i := 0
	if at := slices.IndexFunc(m.entries, func(e numbered) bool { return recurs(e.Kind) }); at >= 0 && at < PerMember/2 {
		i = at
	}
	m.entries = slices.Delete(m.entries, i, i+1)
}

// confirms is how long after our own verdict a failure is its consequence.
const confirms = 5 * time.Second

func (m *member) changed(now time.Time, kind event.Type, v *view.Member) {
	e := Entry{At: now}
	switch kind {
	case event.TypeMemberJoin:
		var parts []string
		if m.status == Failed || m.status == Leave {
			what := map[Kind]string{Failed: "failed", Leave: "gone"}[m.status]
			parts = append(parts, fmt.Sprintf("back after it was %s for %v", what, now.Sub(m.since).Round(time.Millisecond)))
		}
		if m.status == Failed {
			m.flaps++
		}
		if m.seen == nil || m.seen.AddrPort() == v.AddrPort() {
			parts = append(parts, v.AddrPort().String())
		}
		if d := difference(m.seen, v); d != "" {
			parts = append(parts, d)
		}
		e.Kind, e.Text = Join, strings.Join(parts, "; ")
	case event.TypeMemberLeave:
		e.Kind = Leave
	case event.TypeMemberFailed:
		e.Kind, e.Text = Failed, "other members declared it failed"
		for i := len(m.entries) - 1; i >= 0 && now.Sub(m.entries[i].Last) < confirms; i-- {
			if m.entries[i].Kind == Marked {
				e.Text = "the suspicion ran out on this agent"
				break
			}
		}
	case event.TypeMemberUpdate:
		e.Kind, e.Text = Update, difference(m.seen, v)
	case event.TypeMemberReap:
		e.Kind, e.Text = Reap, "forgotten by this agent"
	default:
		return
	}
	if e.Kind == Join || e.Kind == Leave || e.Kind == Failed {
		m.status, m.since = e.Kind, now
	}
	m.seen = v
	m.add(e)
}

// difference says in words what changed of a member's record.
func difference(old, v *view.Member) string {
	if old == nil {
		return ""
	}
	var parts []string
	if old.AddrPort() != v.AddrPort() {
		parts = append(parts, fmt.Sprintf("address %s, was %s", v.AddrPort(), old.AddrPort()))
	}
	keys := maps.Clone(v.Tags)
	if keys == nil {
		keys = map[string]string{}
	}
	maps.Copy(keys, old.Tags)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		was, had := old.Tags[key]
		is, has := v.Tags[key]
		switch {
		case !had:
			parts = append(parts, fmt.Sprintf("tag %s=%q", key, is))
		case !has:
			parts = append(parts, fmt.Sprintf("tag %s deleted, was %q", key, was))
		case is != was:
			parts = append(parts, fmt.Sprintf("tag %s=%q, was %q", key, is, was))
		}
	}
	return strings.Join(parts, "; ")
}

// Of returns what is remembered of a member; flaps is how often it came back from failed.
func (t *Trail) Of(name string) (entries []Entry, flaps int) {
	list, flaps := t.from(name, 0)
	for _, e := range list {
		entries = append(entries, e.Entry)
	}
	return entries, flaps
}

// from returns the entries of a number or above.
func (t *Trail) from(name string, number uint64) ([]numbered, int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.members[name]
	if m == nil {
		return nil, 0
	}
	i := slices.IndexFunc(m.entries, func(e numbered) bool { return e.number >= number })
	if i < 0 {
		return nil, m.flaps
	}
	return slices.Clone(m.entries[i:]), m.flaps
}
