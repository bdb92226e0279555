// Package debounce decides for how long changes are gathered before they are acted on. It is pure: time is an
// argument.
//
// The rule is consul-template's quiescence timer, with a minimum of its own for each kind of change: every
// further change of a kind starts that kind's wait again; the shortest wait that ends is the one that counts,
// and no change waits past the maximum since the first.
package debounce

import "time"

// Kind is a kind of change.
type Kind int

// The kinds, each with a wait of its own.
const (
	Add   Kind = iota // a server appeared or changed
	Leave             // a server left or asked for a drain
	Fail              // a server failed or withdrew
	kinds
)

// Waits are how long each kind waits, and any change at most.
type Waits struct{ Add, Leave, Fail, Max time.Duration }

// Gate gathers the changes of one service. The zero value is ready.
type Gate struct {
	first   time.Time // when the oldest change that waits was seen; zero if none waits
	last    [kinds]time.Time
	pending [kinds]string
}

// Due takes what is pending of each kind, as text that differs when it differs and is empty when nothing is,
// and returns when to act. False means that nothing is pending. A moment in the past means now; the caller
// that acts calls Reset.
func (g *Gate) Due(now time.Time, w Waits, pending [3]string) (time.Time, bool) {
	waits := [kinds]time.Duration{Add: w.Add, Leave: w.Leave, Fail: w.Fail}
	var due time.Time
	for k, text := range pending {
		if text == "" {
			g.pending[k] = ""
			continue
		}
		if g.first.IsZero() {
			g.first = now
		}
		if text != g.pending[k] {
			g.pending[k], g.last[k] = text, now
		}
		if at := g.last[k].Add(waits[k]); due.IsZero() || at.Before(due) {
			due = at
		}
	}
	if due.IsZero() {
		g.Reset()
		return time.Time{}, false
	}
	if limit := g.first.Add(w.Max); limit.Before(due) {
		due = limit
	}
	return due, true
}

// First returns when the oldest change that waits was seen; zero if none waits.
func (g *Gate) First() time.Time { return g.first }

// Reset forgets what waited: it was acted on.
func (g *Gate) Reset() { *g = Gate{} }
