package membership

import "fmt"

// Guard refuses views that should not be acted on.
type Guard struct {
	MinAlive       int64 // fewest alive members in the whole view; 0 means any number
	RefuseIsolated bool  // refuse a view whose observer has lost everyone
}

// GuardError says why a view was refused.
type GuardError struct{ Reason string }

func (e *GuardError) Error() string { return "the guard refused the agent's view: " + e.Reason }

// Check returns a [*GuardError] if the view must not be acted on.
func (g Guard) Check(v View) error {
	if g.RefuseIsolated && v.Isolated() {
		return &GuardError{fmt.Sprintf("%s sees every other member as failed, so it is probably cut off from the cluster; it sees %s",
			v.Observer, Summary(v.Members))}
	}
	if alive := v.Counts()[Alive]; alive < g.MinAlive {
		return &GuardError{fmt.Sprintf("%s sees %d alive members, and guard.min_alive asks for %d; it sees %s",
			v.Observer, alive, g.MinAlive, Summary(v.Members))}
	}
	return nil
}
