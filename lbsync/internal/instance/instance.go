// Package instance is the history of one endpoint of a service: the states it goes through, from the first time that a
// member is seen to serve until no balancer has it any more. It is pure: time, what the member asks for and what the guards
// allow are arguments. Package decide owns the instances of a service and asks the guards.
//
//	           guards and waits allow         checks pass
//	Pending ─────────────────────▶ Probation ────────────▶ Active ◀──────┐ alive again (a flap point)
//	                                   │                     │  │        │
//	                                   │ leaves, drains,     │  └──▶ Suspect (failed)
//	                                   │ withdraws           │           │ grace over, guards allow
//	                                   ▼                     ▼           ▼
//	                                Draining ◀───────────────┘       Removing ──▶ Out, once no balancer has it
//	                                   └── time over, or no sessions ────▲
//
// Too many flap points make it Suppressed, out of every balancer, until they have decayed.
package instance

import (
	"math"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/desired"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
)

// Ask is what a member asks for, or what became of it.
type Ask string

// The asks.
const (
	Wants    Ask = "wants traffic"
	Drains   Ask = "drains"   // it asks to get nothing new
	Withdrew Ask = "withdrew" // it is alive but serves no more, or not in a way that can be used
	Left     Ask = "left"     // it announced that it goes
	Failed   Ask = "failed"   // gossip says so
	Vanished Ask = "is gone"  // nobody knows it any more
)

// goes tells whether it is meant to go, by its own will or that of an operator.
func (a Ask) goes() bool { return a == Drains || a == Left || a == Withdrew }

// Dead tells whether nobody expects it to answer.
func (a Ask) Dead() bool { return a == Failed || a == Vanished }

// Announced tells whether its going was announced, so that no view can have made it up.
func (a Ask) Announced() bool { return a == Drains || a == Left }

// Out is the state of an instance that is nowhere, and kept only for its flap points.
const Out pool.State = ""

// Rules are the operator's.
type Rules struct {
	FailedGrace  time.Duration // how long one that failed stays
	DrainTimeout time.Duration // how long one may drain
	Flap         Flap
}

// Flap says when an instance comes and goes too often. Each return from failure is a point; points halve each HalfLife.
type Flap struct {
	HalfLife time.Duration // 0 turns it off
	Suppress float64       // with so many points it is suppressed
	Reuse    float64       // until it has fewer than these
	Max      time.Duration // or has been for so long
}

// Fact is what the balancers say of an instance.
type Fact struct {
	// InStep tells that every target that uses the service took in the instance's present state.
	InStep bool
	// Present tells that some balancer still has it.
	Present bool
	// Up tells that some balancer finds it healthy; Judged, that some balancer has a verdict or is to have one.
	Up, Judged bool
	// Sessions are those that run in all balancers; -1 if some balancer does not tell.
	Sessions int
}

// Instance is one endpoint. The zero value is one that was never seen.
type Instance struct {
	Server   desired.Server `json:"server"` // as it was when it last wanted traffic
	State    pool.State     `json:"state"`
	Since    time.Time      `json:"since"` // when it came into State
	Ask      Ask            `json:"ask"`
	AskSince time.Time      `json:"ask_since"`
	// Doubtful tells that only views that were not trusted had it dead: its return says nothing about it.
	Doubtful bool `json:"doubtful,omitempty"`

	Points     float64   `json:"points,omitempty"` // at PointsAt
	PointsAt   time.Time `json:"points_at,omitzero"`
	Suppressed time.Time `json:"suppressed,omitzero"` // since when; zero if it is not
}

// Traffic tells whether it takes traffic.
func (i *Instance) Traffic() bool {
	return i.State == pool.Probation || i.State == pool.Active || i.State == pool.Suspect
}

// Hear takes in what the member asks for now.
func (i *Instance) Hear(at time.Time, ask Ask, rules Rules) {
	if ask != i.Ask {
		if i.Ask.Dead() && ask == Wants && !i.Doubtful {
			i.Points, i.PointsAt = i.points(at, rules.Flap)+1, at
		}
		i.Ask, i.AskSince = ask, at
		i.Doubtful = i.Doubtful && ask.Dead()
	}
	points := i.points(at, rules.Flap)
	switch {
	case rules.Flap.HalfLife == 0:
		i.Suppressed = time.Time{}
	case i.Suppressed.IsZero() && points >= rules.Flap.Suppress:
		i.Suppressed = at
	case !i.Suppressed.IsZero() && (points < rules.Flap.Reuse || !at.Before(i.Suppressed.Add(rules.Flap.Max))):
		if points >= rules.Flap.Reuse {
			i.Points, i.PointsAt = 0, at // its time is over: it starts afresh
		}
		i.Suppressed = time.Time{}
	}
}

// Trust takes in whether the view that was just heard of is trusted.
func (i *Instance) Trust(at time.Time, trusted bool) {
	i.Doubtful = !trusted && i.Ask.Dead() && (i.Doubtful || i.AskSince.Equal(at))
}

// points returns the flap points as they have decayed by now.
func (i *Instance) points(at time.Time, f Flap) float64 {
	if i.Points == 0 || f.HalfLife <= 0 {
		return 0
	}
	age := max(at.Sub(i.PointsAt), 0)
	return i.Points * math.Exp2(-float64(age)/float64(f.HalfLife))
}

// Flaps returns the flap points as they have decayed by now.
func (i *Instance) Flaps(at time.Time, rules Rules) float64 { return i.points(at, rules.Flap) }

// Wanted tells whether it should have traffic as far as it is concerned: it wants it and is not suppressed, or it has it and
// failed so recently that it keeps it.
func (i *Instance) Wanted(at time.Time, rules Rules) bool {
	if i.Ask == Wants {
		return i.Suppressed.IsZero()
	}
	return i.Ask.Dead() && i.Traffic() && at.Before(i.AskSince.Add(rules.FailedGrace))
}

// Next returns the state that follows: keep tells whether the guards let it have traffic.
func (i *Instance) Next(at time.Time, keep bool, fact Fact, rules Rules) pool.State {
	if keep {
		return i.kept(fact)
	}
	switch i.State {
	case pool.Probation, pool.Active, pool.Suspect:
		switch {
		case i.Ask.goes():
			return pool.Draining
		case i.Ask == Wants:
			return pool.Suppressed
		default:
			return pool.Removing
		}
	case pool.Draining:
		if i.Ask.Dead() || !at.Before(i.Since.Add(rules.DrainTimeout)) || (fact.InStep && fact.Sessions == 0) {
			return pool.Removing
		}
		return pool.Draining
	case pool.Removing:
		if fact.InStep && !fact.Present {
			return i.outside()
		}
		return pool.Removing
	default:
		return i.outside()
	}
}

// kept is the state of one that has traffic.
func (i *Instance) kept(fact Fact) pool.State {
	switch {
	case !i.Traffic():
		return pool.Probation
	case i.Ask.Dead():
		return pool.Suspect
	case i.State == pool.Suspect:
		return pool.Active
	case i.State == pool.Probation && (fact.Up || fact.InStep && !fact.Judged):
		return pool.Active
	default:
		return i.State
	}
}

// outside is the state of one that no balancer has.
func (i *Instance) outside() pool.State {
	switch {
	case i.Ask != Wants:
		return Out
	case !i.Suppressed.IsZero():
		return pool.Suppressed
	default:
		return pool.Pending
	}
}

// Enter takes on a state.
func (i *Instance) Enter(at time.Time, state pool.State) {
	if state != i.State {
		i.State, i.Since = state, at
	}
}

// Forgettable tells whether nothing would be lost without it. One that failed is remembered for Flap.Max, so that its return is known
// to be one.
func (i *Instance) Forgettable(at time.Time, rules Rules) bool {
	if i.Ask.Dead() && rules.Flap.HalfLife > 0 && at.Before(i.AskSince.Add(rules.Flap.Max)) {
		return false
	}
	return i.State == Out && i.Ask != Wants && i.Suppressed.IsZero() && i.points(at, rules.Flap) < 0.1
}

// Deadline returns when time alone changes something; zero means never.
func (i *Instance) Deadline(at time.Time, rules Rules) time.Time {
	var next time.Time
	add := func(t time.Time) {
		if t.After(at) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	if i.Ask.Dead() && i.Traffic() {
		add(i.AskSince.Add(rules.FailedGrace))
	}
	if i.State == pool.Draining {
		add(i.Since.Add(rules.DrainTimeout))
	}
	if !i.Suppressed.IsZero() {
		add(i.Suppressed.Add(rules.Flap.Max))
		// Points reach Reuse after log2(points/Reuse) half lives; a little later they are below.
		if points := i.points(at, rules.Flap); points > rules.Flap.Reuse && rules.Flap.Reuse > 0 {
			add(at.Add(time.Duration(math.Log2(points/rules.Flap.Reuse)*float64(rules.Flap.HalfLife)) + time.Millisecond))
		}
	}
	return next
}
