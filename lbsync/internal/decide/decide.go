// Package decide holds what each service should be now, and decides when and how that follows the members: it
// joins package desired (what the members ask for), guard (what may be removed) and debounce (when). It is
// pure: views and time are arguments, decisions are results. One goroutine owns a Decider.
package decide

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/guard"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/debounce"
	"github.com/seed-645ce708/gossip/lbsync/internal/desired"
)

// View is what is known of the members and how far it can be trusted.
type View struct {
	Members  []api.Member
	Distrust string    // why nothing may be removed, as a clause; empty if it may
	Until    time.Time // when Distrust will end by itself; zero if not
}

// Initial is where a service starts from.
type Initial struct {
	// Last is the last good set, if Known.
	Last  desired.Service
	Known bool
	// Unsure says why an empty first set must not be acted on, as a clause; empty if it may.
	Unsure string
}

// Status is how a service stands after a step.
type Status struct {
	Service desired.Service // as it is now; not to be used unless Known
	Known   bool
	Changed bool            // in this step
	Before  desired.Service // what it was before this step
	Added   []string        // by this step, sorted
	Updated []string        // other address, port, weight or role
	Removed []Removed       // by this step; a server that begins to drain is one of them
	Held    []guard.Held    // removals that are not allowed now
	Waiting string          // why nothing at all is decided yet; empty once Known
	Pending bool            // a change is being gathered
	Refused []desired.Rejected
}

// Removed is a server that takes no more traffic.
type Removed struct {
	Name string
	Why  string // one of the constants below
}

// Why a server was removed.
const (
	WhyLeft   = "left"
	WhyDrain  = "drains"
	WhyFailed = "failed or withdrawn"
)

// Decider decides for all services. Its methods are for one goroutine.
type Decider struct{ services []*service }

type service struct {
	cfg     config.Service
	current desired.Service
	known   bool
	unsure  string
	gate    debounce.Gate
	window  guard.Window
}

// New returns a decider for the services; initial has an entry for each by name.
func New(services []config.Service, initial map[string]Initial) *Decider {
	d := &Decider{}
	for _, cfg := range services {
		in := initial[cfg.Name]
		s := &service{cfg: cfg, current: in.Last, known: in.Known, unsure: in.Unsure,
			window: guard.Window{Length: cfg.Guard.Window, Ratio: cfg.Guard.MaxRemoval}}
		s.current.Name = cfg.Name
		if cfg.Guard.AllowEmpty {
			s.unsure = ""
		}
		d.services = append(d.services, s)
	}
	return d
}

// Known returns the sets that are decided.
func (d *Decider) Known() []desired.Service {
	var sets []desired.Service
	for _, s := range d.services {
		if s.known {
			sets = append(sets, s.current)
		}
	}
	return sets
}

// Step looks at the view and carries out what is due; now makes everything due that is allowed. It returns
// the status of every service, in the order of the configuration, and when to look again although nothing
// changed; zero means never.
func (d *Decider) Step(at time.Time, view View, now bool) (statuses []Status, again time.Time) {
	for _, s := range d.services {
		status, wake := s.step(at, view, now)
		statuses = append(statuses, status)
		again = earlier(again, wake)
	}
	return statuses, again
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

func (s *service) step(at time.Time, view View, now bool) (Status, time.Time) {
	want := desired.Evaluate(s.cfg.Spec, view.Members)
	st := Status{Service: s.current, Before: s.current, Known: s.known, Refused: want.Rejected}
	if !s.known && len(want.Service.Servers) == 0 && view.Distrust == "" && s.unsure != "" {
		st.Waiting = "no member serves it, and " + s.unsure
		return st, time.Time{}
	}

	goes := want.Left // who goes by their own will: leaves, and asks for a drain
	for _, srv := range want.Service.Servers {
		if srv.Drain {
			goes[srv.Name] = true
		}
	}
	ready := s.current.Ready()
	verdict := guard.Decide(guard.Request{
		Known: s.known, Current: ready, Wanted: want.Service.Ready(), Left: goes, Distrust: view.Distrust,
		Budget: s.window.Budget(at, len(ready)),
		Policy: guard.Policy{Min: s.cfg.Guard.MinServers, AllowEmpty: s.cfg.Guard.AllowEmpty},
	})
	if verdict.Wait {
		st.Waiting = verdict.Reason
		return st, view.Until
	}
	st.Held = verdict.Held
	next := compose(s.current, want.Service, verdict.Apply)
	st.Added, st.Updated, st.Removed = difference(s.current, next, want)
	if s.known && next.Equal(s.current) {
		s.gate.Reset()
		return st, s.reconsider(at, view, st)
	}
	if s.known && !now {
		due, _ := s.gate.Due(at, debounce.Waits(s.cfg.Wait), pending(next, st))
		if at.Before(due) {
			st.Added, st.Updated, st.Removed = nil, nil, nil
			st.Pending = true
			return st, earlier(s.reconsider(at, view, st), due)
		}
	}
	s.gate.Reset()
	s.window.Spend(at, len(ready), verdict.Failed)
	s.current, s.known = next, true
	st.Service, st.Known, st.Changed = next, true, true
	return st, s.reconsider(at, view, st)
}

// reconsider returns when what is held may be allowed without the members changing; zero means never.
func (s *service) reconsider(at time.Time, view View, st Status) time.Time {
	if len(st.Held) == 0 {
		return time.Time{}
	}
	if ends := s.window.Ends(); ends.After(at) {
		return earlier(view.Until, ends)
	}
	return view.Until
}

// compose makes the set in which exactly apply take traffic: as wanted, or as they were if they are held.
// Who drains and is not held stays, draining.
func compose(current, wanted desired.Service, apply []string) desired.Service {
	next := desired.Service{Name: wanted.Name}
	for _, name := range apply {
		srv, ok := wanted.Server(name)
		if !ok || srv.Drain {
			srv, _ = current.Server(name)
		}
		next.Servers = append(next.Servers, srv)
	}
	for _, srv := range wanted.Servers {
		if srv.Drain && !slices.Contains(apply, srv.Name) {
			next.Servers = append(next.Servers, srv)
		}
	}
	slices.SortFunc(next.Servers, func(a, b desired.Server) int { return strings.Compare(a.Name, b.Name) })
	return next
}

func difference(old, next desired.Service, want desired.Result) (added, updated []string, removed []Removed) {
	for _, srv := range next.Servers {
		was, ok := old.Server(srv.Name)
		switch {
		case srv.Drain:
			if ok && !was.Drain {
				removed = append(removed, Removed{srv.Name, WhyDrain})
			}
		case !ok || was.Drain:
			added = append(added, srv.Name)
		case !was.Equal(srv):
			updated = append(updated, srv.Name)
		}
	}
	for _, srv := range old.Servers {
		if _, ok := next.Server(srv.Name); ok {
			continue
		}
		why := WhyFailed
		if want.Left[srv.Name] {
			why = WhyLeft
		}
		removed = append(removed, Removed{srv.Name, why})
	}
	slices.SortFunc(removed, func(a, b Removed) int { return strings.Compare(a.Name, b.Name) })
	return added, updated, removed
}

// pending describes a change for the debounce, by kind.
func pending(next desired.Service, st Status) [3]string {
	var out [3]string
	for _, name := range slices.Concat(st.Added, st.Updated) {
		srv, _ := next.Server(name)
		out[debounce.Add] += fmt.Sprintf("%s %s %d %t;", srv.Name, srv.HostPort(), srv.Weight, srv.Backup)
	}
	for _, r := range st.Removed {
		kind := debounce.Leave
		if r.Why == WhyFailed {
			kind = debounce.Fail
		}
		out[kind] += r.Name + ";"
	}
	return out
}
