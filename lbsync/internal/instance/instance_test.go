package instance_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/instance"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
)

var (
	start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	rules = instance.Rules{FailedGrace: 10 * time.Second, DrainTimeout: 30 * time.Second,
		Flap: instance.Flap{HalfLife: time.Minute, Suppress: 3, Reuse: 1, Max: 10 * time.Minute}}
)

// TestNext is the table of the state machine.
func TestNext(t *testing.T) {
	t.Parallel()
	inStep, behind := instance.Fact{InStep: true}, instance.Fact{}
	up, down := instance.Fact{InStep: true, Present: true, Judged: true, Up: true}, instance.Fact{InStep: true, Present: true, Judged: true, Sessions: 1}
	for _, tt := range []struct {
		state pool.State
		ask   instance.Ask
		keep  bool
		fact  instance.Fact
		after time.Duration // in the state
		want  pool.State
	}{
		{instance.Out, instance.Wants, true, behind, 0, pool.Probation},
		{instance.Out, instance.Wants, false, behind, 0, pool.Pending},
		{instance.Out, instance.Drains, false, behind, 0, instance.Out},
		{pool.Pending, instance.Left, false, behind, 0, instance.Out},
		{pool.Probation, instance.Wants, true, behind, 0, pool.Probation},
		{pool.Probation, instance.Wants, true, down, 0, pool.Probation},
		{pool.Probation, instance.Wants, true, up, 0, pool.Active},
		{pool.Probation, instance.Wants, true, inStep, 0, pool.Active},
		{pool.Probation, instance.Failed, true, down, 0, pool.Suspect},
		{pool.Active, instance.Failed, true, up, 0, pool.Suspect},
		{pool.Active, instance.Vanished, true, up, 0, pool.Suspect},
		{pool.Active, instance.Left, true, up, 0, pool.Active}, // held
		{pool.Active, instance.Left, false, up, 0, pool.Draining},
		{pool.Active, instance.Drains, false, up, 0, pool.Draining},
		{pool.Active, instance.Withdrew, false, up, 0, pool.Draining},
		{pool.Active, instance.Wants, false, up, 0, pool.Suppressed},
		{pool.Suspect, instance.Wants, true, up, 0, pool.Active},
		{pool.Suspect, instance.Failed, false, down, 0, pool.Removing},
		{pool.Draining, instance.Left, false, down, 29 * time.Second, pool.Draining},
		{pool.Draining, instance.Left, false, down, 30 * time.Second, pool.Removing},
		{pool.Draining, instance.Left, false, instance.Fact{InStep: true, Present: true}, 0, pool.Removing},
		{pool.Draining, instance.Left, false, instance.Fact{InStep: true, Present: true, Sessions: -1}, 0, pool.Draining},
		{pool.Draining, instance.Left, false, behind, 0, pool.Draining},
		{pool.Draining, instance.Failed, false, down, 0, pool.Removing},
		{pool.Draining, instance.Wants, true, down, 0, pool.Probation},
		{pool.Removing, instance.Left, false, down, 0, pool.Removing},
		{pool.Removing, instance.Left, false, behind, 0, pool.Removing},
		{pool.Removing, instance.Left, false, inStep, 0, instance.Out},
		{pool.Removing, instance.Wants, true, down, 0, pool.Probation},
		{pool.Suppressed, instance.Wants, true, inStep, 0, pool.Probation},
		{pool.Suppressed, instance.Failed, false, inStep, 0, instance.Out},
	} {
		i := instance.Instance{State: tt.state, Since: start, Ask: tt.ask, AskSince: start}
		if got := i.Next(start.Add(tt.after), tt.keep, tt.fact, rules); got != tt.want {
			t.Errorf("%+v: got %q", tt, got)
		}
	}
}

func TestFlaps(t *testing.T) {
	t.Parallel()
	i := instance.Instance{State: pool.Active}
	at := start
	i.Hear(at, instance.Wants, rules)
	for n := range 4 {
		if want := n < 4 && i.Suppressed.IsZero(); i.Wanted(at, rules) != want {
			t.Errorf("after %d returns: wanted %t", n, !want)
		}
		at = at.Add(time.Second)
		i.Hear(at, instance.Failed, rules)
		if !i.Wanted(at, rules) {
			t.Error("it has its grace")
		}
		at = at.Add(time.Second)
		i.Hear(at, instance.Wants, rules)
	}
	if i.Suppressed.IsZero() || i.Wanted(at, rules) || i.Flaps(at, rules) < 3 {
		t.Errorf("not suppressed with %v points", i.Flaps(at, rules))
	}
	end := i.Deadline(at, rules)
	if took := end.Sub(at); took < time.Minute || took > 3*time.Minute {
		t.Errorf("until %v later", took)
	}
	if i.Hear(end, instance.Wants, rules); !i.Wanted(end, rules) {
		t.Error("its points have decayed, and it is out")
	}
	// Without an end it is let in again after Max.
	rules := rules
	rules.Flap.HalfLife = 100 * time.Hour
	i = instance.Instance{State: pool.Suppressed, Ask: instance.Wants, Points: 5, PointsAt: start}
	if i.Hear(start, instance.Wants, rules); i.Wanted(start, rules) {
		t.Error("not suppressed")
	}
	if i.Hear(start.Add(10*time.Minute), instance.Wants, rules); !i.Wanted(start.Add(10*time.Minute), rules) || i.Points != 0 {
		t.Error("still suppressed")
	}
}

// TestFlapsThatLast: one that is away for longer than it is kept comes back with its points; one that is away for long has none.
func TestFlapsThatLast(t *testing.T) {
	t.Parallel()
	i, at := instance.Instance{State: pool.Active, Ask: instance.Wants}, start
	for n := range 3 {
		i.Hear(at, instance.Failed, rules)
		at = at.Add(rules.FailedGrace)
		i.Hear(at, instance.Failed, rules)
		for range 2 {
			i.Enter(at, i.Next(at, i.Wanted(at, rules), instance.Fact{InStep: true}, rules))
		}
		if i.State != instance.Out || i.Forgettable(at, rules) {
			t.Fatalf("it failed %d times, and is %q and forgotten %t", n+1, i.State, i.Forgettable(at, rules))
		}
		at = at.Add(time.Second)
		i.Hear(at, instance.Wants, rules)
		i.Enter(at, i.Next(at, i.Wanted(at, rules), instance.Fact{}, rules))
	}
	if points := i.Flaps(at, rules); points < 2.5 || points > 3 {
		t.Errorf("%v points", points)
	}
	i.Hear(at, instance.Failed, rules)
	i.Enter(at, instance.Out)
	if at = at.Add(rules.Flap.Max); !i.Forgettable(at, rules) {
		t.Error("remembered although it is away for good")
	}
}

// TestWalks: whatever happens to an instance, its states follow each other as the picture says, and when it stays
// away nothing of it remains.
func TestWalks(t *testing.T) {
	t.Parallel()
	allowed := map[pool.State]string{
		instance.Out:    "pending probation suppressed",
		pool.Pending:    "probation suppressed -",
		pool.Probation:  "active suspect draining removing suppressed",
		pool.Active:     "suspect draining removing suppressed",
		pool.Suspect:    "active draining removing suppressed",
		pool.Draining:   "removing probation",
		pool.Removing:   "probation pending suppressed -",
		pool.Suppressed: "probation pending -",
	}
	asks := []instance.Ask{instance.Wants, instance.Wants, instance.Wants, instance.Drains, instance.Withdrew, instance.Left, instance.Failed, instance.Vanished}
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		i := instance.Instance{}
		at := start
		for range 300 {
			at = at.Add(time.Duration(rnd.IntN(20000)) * time.Millisecond)
			i.Hear(at, asks[rnd.IntN(len(asks))], rules)
			keep := i.Wanted(at, rules) || i.Traffic() && rnd.IntN(4) == 0 // held
			next := i.Next(at, keep, instance.Fact{InStep: rnd.IntN(2) == 0, Present: rnd.IntN(2) == 0, Up: rnd.IntN(2) == 0, Sessions: rnd.IntN(3) - 1}, rules)
			name := string(next)
			if next == instance.Out {
				name = "-"
			}
			if next != i.State && !strings.Contains(" "+allowed[i.State]+" ", " "+name+" ") {
				t.Fatalf("seed %d: from %q to %q", seed, i.State, next)
			}
			if keep != (next == pool.Probation || next == pool.Active || next == pool.Suspect) {
				t.Fatalf("seed %d: kept %t, and goes from %q to %q", seed, keep, i.State, next)
			}
			i.Enter(at, next)
		}
		for range 10 {
			at = at.Add(10 * time.Minute)
			i.Hear(at, instance.Left, rules)
			i.Enter(at, i.Next(at, false, instance.Fact{InStep: true}, rules))
		}
		if !i.Forgettable(at, rules) || !i.Deadline(at, rules).IsZero() {
			t.Fatalf("seed %d: %+v remains", seed, i)
		}
	}
}
