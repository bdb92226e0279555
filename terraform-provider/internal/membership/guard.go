package membership

import (
	"fmt"
	"time"

	"github.com/seed-645ce708/gossip/agent/guard"
)

// Guard refuses views that should not be acted on. What is asked of it is always a first decision, since Terraform
// tells a data source nothing of its last answer: a view in doubt is refused, where lbsync or DNS would hold on to
// what they have.
type Guard struct {
	MinAlive       int64         // fewest alive members in the whole view; 0 means any number
	MaxAge         time.Duration // longest time since the observer heard from another member; 0 means any
	RefuseIsolated bool          // refuse a view that its observer doubts, or whose observer has lost everyone
}

// GuardError says why a view was refused.
type GuardError struct{ Reason string }

func (e *GuardError) Error() string { return "the guard refused the agent's view: " + e.Reason }

// Check returns a [*GuardError] if the view must not be acted on.
func (g Guard) Check(v View) error {
	decision := guard.Decide(guard.Request{Distrust: g.distrust(v)})
	if decision.Wait {
		return &GuardError{fmt.Sprintf("%s; it sees %s", g.distrust(v), Summary(v.Members))}
	}
	return nil
}

// distrust says why not to believe the view, as a clause; empty if there is no reason.
func (g Guard) distrust(v View) string {
	alive := v.Counts()[Alive]
	switch {
	case g.RefuseIsolated && v.Doubt != "":
		return fmt.Sprintf("%s says of itself: %s", v.Observer, v.Doubt)
	case g.RefuseIsolated && v.Isolated():
		return v.Observer + " sees every other member as failed, so it is probably cut off from the cluster"
	case alive < g.MinAlive:
		return fmt.Sprintf("%s sees %d alive members, and guard.min_alive asks for %d", v.Observer, alive, g.MinAlive)
	case g.MaxAge > 0 && v.Quiet > g.MaxAge:
		return fmt.Sprintf("%s heard from another member %s ago, and guard.max_view_age allows %s", v.Observer, v.Quiet, g.MaxAge)
	}
	return ""
}
