package guard

import (
	"slices"
	"time"
)

// Holds decides as [Decide] does, but holds no removal for longer than Limit: a view that is never trusted again must
// not show for ever who is long gone. Who has been held for so long goes, floor and window or not, and stays gone until
// it is wanted again. The zero value holds without a limit.
type Holds struct {
	Limit time.Duration // 0 means none

	since map[string]time.Time // when each began to be held
}

// Decide is [Decide] at a time, which must not run backwards from call to call.
func (h *Holds) Decide(now time.Time, r Request) Decision {
	var expired []string
	if h.Limit > 0 && len(h.since) > 0 {
		over := func(name string) bool {
			at, held := h.since[name]
			return held && now.Sub(at) >= h.Limit && !slices.Contains(r.Wanted, name)
		}
		r.Current = slices.Clone(r.Current)
		r.Current = slices.DeleteFunc(r.Current, func(name string) bool {
			if !over(name) {
				return false
			}
			expired = append(expired, name)
			return true
		})
	}
	d := Decide(r)
	since := make(map[string]time.Time, len(d.Held))
	for _, held := range d.Held {
		at, known := h.since[held.Name]
		if !known {
			at = now
		}
		since[held.Name] = at
		if end := at.Add(h.Limit); h.Limit > 0 && (d.Until.IsZero() || end.Before(d.Until)) {
			d.Until = end
		}
	}
	expired = sorted(expired)
	for _, name := range expired {
		since[name] = h.since[name] // it may be offered again, and is not to be held anew
		if !r.Left[name] {
			d.Failed++
		}
	}
	d.Removed = sorted(append(d.Removed, expired...))
	h.since = since
	return d
}
