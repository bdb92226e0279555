package dnsbridge

import (
	"fmt"
	"time"

	"github.com/seed-645ce708/gossip/agent/guard"
	"github.com/seed-645ce708/gossip/agent/internal/view"
	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// How many of the nodes that another DNS server has may go in a span of time without having left: as many as lbsync lets go
// by default.
const (
	removalWindow = time.Minute
	removalRatio  = 0.5
)

// removals keeps mass removals from another DNS server. An agent that was started anew without a snapshot, alone until the
// others find it, does not look cut off; so what it does not know must not go at once. It is an update.Guard.
type removals struct {
	holds   guard.Holds // its limit; 0 means that nothing is held
	window  guard.Window
	members func() []*view.Member
}

func newRemovals(limit time.Duration, members func() []*view.Member) *removals {
	return &removals{
		holds: guard.Holds{Limit: limit}, window: guard.Window{Length: removalWindow, Ratio: removalRatio}, members: members,
	}
}

// Hold holds all if any is held: a part of a view that is wrong is wrong.
func (r *removals) Hold(gone []string, of int) string {
	if r.holds.Limit == 0 {
		return ""
	}
	now := time.Now()
	d := r.holds.Decide(now, guard.Request{
		Known: true, Current: gone, Left: r.left(gone), Budget: r.window.Budget(now, of), Policy: guard.Policy{NoFloor: true},
	})
	if len(d.Held) == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d nodes would go at once without having left", len(d.Held)+d.Failed, of)
}

// Gone counts who did not leave.
func (r *removals) Gone(gone []string, of int) {
	r.window.Spend(time.Now(), of, len(gone)-len(r.left(gone)))
}

// left returns which of these nodes announced that they go.
func (r *removals) left(labels []string) map[string]bool {
	if len(labels) == 0 {
		return nil
	}
	asked := make(map[string]bool, len(labels))
	for _, l := range labels {
		asked[l] = true
	}
	left := map[string]bool{}
	for _, m := range r.members() {
		if m.Status != view.StatusLeft && m.Status != view.StatusLeaving {
			continue
		}
		if l, ok := zone.Label(m.Name); ok && asked[l] {
			left[l] = true
		}
	}
	return left
}
