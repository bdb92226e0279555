// Package decide holds what each service should be now, and decides when and how that follows the members: it
// joins package desired (what the members ask for), instance (what each endpoint goes through), guard (what may be
// removed) and debounce (when). It is pure: views, facts, overrides and time are arguments, decisions are results. One
// goroutine owns a Decider.
package decide

import (
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/guard"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/desired"
	"github.com/seed-645ce708/gossip/lbsync/internal/instance"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
)

// View is what is known of the members and how far it can be trusted, and what operators and balancers say.
type View struct {
	Members  []api.Member
	Distrust string    // why nothing may be removed, as a clause; empty if it may
	Until    time.Time // when Distrust will end by itself; zero if not
	// Facts and Overrides are by service; a service may be missing.
	Facts     map[string]Facts
	Overrides map[string]Overrides
}

// Facts are what the balancers say of a service.
type Facts struct {
	// Gen is the generation with which every target that uses the service is in step.
	Gen uint64
	// Counted tells that every target counts sessions; a server that none mentions then has none.
	Counted bool
	// Servers are those that some balancer has. InStep is filled in here.
	Servers map[string]instance.Fact
}

// of returns the fact of an instance that came into its state with a generation.
func (f Facts) of(name string, gen uint64) instance.Fact {
	fact, ok := f.Servers[name]
	if !ok && !f.Counted {
		fact.Sessions = -1
	}
	fact.InStep = f.Gen >= gen
	return fact
}

// Overrides are what operators want of a service for some time. All of it may be zero.
type Overrides struct {
	Hold  string          // why nothing may be removed, announced or not, as a clause
	Drain map[string]bool // these members drain
	Ack   string          // the held removals whose SetHash this is may go
}

// Kept is what of a service must outlive the process.
type Kept struct {
	Instances []instance.Instance `json:"instances"` // sorted by name
	Window    guard.Spent         `json:"window,omitzero"`
}

// Initial is where a service starts from.
type Initial struct {
	// Last is what was true last, if Known.
	Last  Kept
	Known bool
	// Unsure says why an empty first set must not be acted on, as a clause; empty if it may.
	Unsure string
}

// Status is how a service stands after a step.
type Status struct {
	Service  pool.Service // as it is now; not to be used unless Known
	Gen      uint64       // grows with every change of Service
	Known    bool
	Changed  bool         // the servers or what takes traffic, in this step
	Moved    bool         // anything that is worth keeping, in this step
	Before   pool.Service // what it was before this step
	Added    []string     // by this step, sorted
	Updated  []string     // other address, port, weight, role or tags
	Removed  []Removed    // by this step; a server that begins to drain is one of them
	Held     []guard.Held // removals that are not allowed now
	HeldSet  string       // SetHash of Held; empty if nothing is held that an ack could let go
	AckSpent bool         // in this step the removals that Overrides.Ack names were made
	Waiting  string       // why nothing at all is decided yet; empty once Known
	Pending  bool         // a change is being gathered
	Due      time.Time    // when it will be acted on
	Refused  []desired.Rejected
	Suppress int       // how many are suppressed
	Cut      int       // how many drains this step ended before their sessions had
	Caused   time.Time // when the oldest of the changes that this step made was seen
}

// Removed is a server that takes no more traffic.
type Removed struct {
	Name string
	Why  string // one of the constants below
}

// Why a server was removed.
const (
	WhyLeft     = "left"
	WhyDrain    = "drains"
	WhyFailed   = "failed"
	WhyWithdrew = "withdrew"
	WhyGone     = "is gone"
	WhyFlaps    = "comes and goes too often"
)

// Decider decides for all services. Its methods are for one goroutine.
type Decider struct{ services []*service }

// New returns a decider for the services; initial has an entry for each by name.
func New(services []config.Service, initial map[string]Initial) *Decider {
	d := &Decider{}
	for _, cfg := range services {
		d.services = append(d.services, newService(cfg, initial[cfg.Name]))
	}
	return d
}

// Known returns the sets that are decided, with their generations.
func (d *Decider) Known() []Status {
	var sets []Status
	for _, s := range d.services {
		if s.known {
			sets = append(sets, Status{Service: s.set, Known: true, Gen: s.gen})
		}
	}
	return sets
}

// Kept returns what is to be kept of a service.
func (d *Decider) Kept(name string) Kept {
	for _, s := range d.services {
		if s.cfg.Name == name {
			return Kept{s.list(), s.window.Spent()}
		}
	}
	return Kept{}
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
