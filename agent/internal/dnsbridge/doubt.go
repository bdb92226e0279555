package dnsbridge

import (
	"time"

	"github.com/seed-645ce708/gossip/agent/guard"
	"github.com/seed-645ce708/gossip/agent/internal/view"
)

// lookBack is how long before the agent looked cut off a member may have vanished to be shown again: the first are lost
// before there are enough of them to tell.
const lookBack = time.Minute

// doubt remembers the members that failed, and decides who of them is shown all the same: while the agent looks cut off
// it is not them who are gone. It is pure; used by one goroutine.
type doubt struct {
	holds guard.Holds // its limit, and since when each is held
	lost  map[string]loss
	held  map[string]bool
	since time.Time // the agent looks cut off; zero if it does not
}

// loss is a member that failed.
type loss struct {
	last *view.Member // as it was
	at   time.Time
}

// saw takes in how a member changed; nil means that it is not there.
func (d *doubt) saw(now time.Time, name string, old, next *view.Member) {
	switch {
	case next != nil && next.Status != view.StatusFailed:
		delete(d.lost, name) // it is there, or left
	case old != nil && old.Status == view.StatusAlive:
		if d.lost == nil {
			d.lost = map[string]loss{}
		}
		d.lost[name] = loss{old, now}
	}
}

// decide says who is held, and returns the names of those for whom that is new, and when to decide again although
// nothing changed; zero means never.
func (d *doubt) decide(now time.Time, isolated bool) (changed []string, until time.Time) {
	switch {
	case !isolated:
		d.since = time.Time{}
	case d.since.IsZero():
		d.since = now
	}
	from := now.Add(-lookBack)
	if isolated {
		from = d.since.Add(-lookBack)
	}
	r := guard.Request{Known: true, Budget: -1, Policy: guard.Policy{NoFloor: true}}
	if isolated && d.holds.Limit > 0 {
		r.Distrust = "the agent looks cut off"
	}
	for name, l := range d.lost {
		if l.at.Before(from) {
			delete(d.lost, name)
			continue
		}
		r.Current = append(r.Current, name)
	}
	if len(r.Current) == 0 && len(d.held) == 0 {
		return nil, time.Time{}
	}
	v := d.holds.Decide(now, r)
	held := make(map[string]bool, len(v.Held))
	for _, h := range v.Held {
		held[h.Name] = true
		if !d.held[h.Name] {
			changed = append(changed, h.Name)
		}
	}
	for name := range d.held {
		if !held[name] {
			changed = append(changed, name)
		}
	}
	d.held = held
	return changed, v.Until
}

// lapsed reports whether there are members that failed in this doubt, or just before, and are shown no longer.
func (d *doubt) lapsed() bool { return len(d.held) < len(d.lost) }

// shown returns the record to show of a member that is held.
func (d *doubt) shown(name string) (*view.Member, bool) {
	if !d.held[name] {
		return nil, false
	}
	return d.lost[name].last, true
}
