package heal

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func planner(seed uint64) *Planner {
	return New(Config{Interval: 2 * time.Minute, Rand: rand.New(rand.NewPCG(seed, seed))})
}

func everybody(Target) bool { return true }

// attempts plays n planners for the time and counts what they contact.
func attempts(n int, length time.Duration, set func(*Planner), missing func(Target) bool) map[Target]int {
	count := map[Target]int{}
	for i := range n {
		p := planner(uint64(i))
		set(p)
		for now := start.Add(p.Wait(n)); now.Before(start.Add(length)); now = now.Add(p.Wait(n)) {
			for _, t := range p.Turn(now, n, missing) {
				count[t]++
				p.Done(t, Failed)
			}
		}
	}
	return count
}

// TestRate: how often a peer is contacted does not depend on the size of the cluster.
func TestRate(t *testing.T) {
	t.Parallel()
	day := start.Add(-24 * time.Hour)
	tests := []struct {
		name   string
		n      int
		length time.Duration
		set    func(*Planner)
		target Target
		want   float64
	}{
		{"seed, 2 members", 2, 100 * time.Hour, func(p *Planner) { p.AddSeed("s") }, Target{Addr: "s"}, 3000},
		{"seed, 500 members", 500, 10 * time.Hour, func(p *Planner) { p.AddSeed("s") }, Target{Addr: "s"}, 300},
		{"lost a day ago", 50, 4 * time.Hour, func(p *Planner) { p.Lost("x", "a", day, time.Time{}) }, Target{"x", "a"}, 9.9},
		{"lost long ago", 10, 240 * time.Hour, func(p *Planner) { p.Lost("x", "a", start.Add(-19*24*time.Hour), time.Time{}) }, Target{"x", "a"}, 40},
		{"refused", 10, 100 * time.Hour, func(p *Planner) {
			p.AddSeed("s")
			p.Done(Target{Addr: "s"}, Refused)
			p.interval = 59 * time.Minute
		}, Target{Addr: "s"}, 101},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := float64(attempts(tt.n, tt.length, tt.set, everybody)[tt.target])
			if diff := math.Abs(got - tt.want); diff > 4*math.Sqrt(tt.want) {
				t.Errorf("%v attempts, want about %v", got, tt.want)
			}
		})
	}
}

// TestOneAttemptATurn: the dead of a year do not make an agent busy.
func TestOneAttemptATurn(t *testing.T) {
	t.Parallel()
	p := planner(1)
	for i := range 1000 {
		p.Lost(fmt.Sprint(i), "a", start, time.Time{})
	}
	for range 100 {
		if got := p.Turn(start, 2, everybody); len(got) != 1 {
			t.Fatalf("contacts %d", len(got))
		}
	}
}

func TestAlone(t *testing.T) {
	t.Parallel()
	p := planner(1)
	for i := range 39 {
		p.Lost(fmt.Sprint("node-", i), "a", start, time.Time{})
	}
	p.AddSeed("seed")
	seen := map[Target]bool{}
	now, turns := start, 0
	for ; len(seen) < 40 && turns < 10; turns++ {
		now = now.Add(p.Wait(1))
		for _, target := range p.Turn(now, 1, everybody) {
			if seen[target] {
				t.Errorf("%v is contacted twice before others were once", target)
			}
			seen[target] = true
		}
	}
	if turns != 5 || now.Sub(start) > 50*time.Second {
		t.Errorf("contacted %d of 40 in %d turns and %v", len(seen), turns, now.Sub(start))
	}
	for range 10 {
		p.Turn(now, 1, everybody)
	}
	if w := p.Wait(1); w < maxAlone/2 || w > maxAlone*3/2 {
		t.Errorf("pause of %v after many turns", w)
	}
	p.Turn(now, 2, everybody)
	if w := p.Wait(1); w > firstAlone*3/2 {
		t.Errorf("pause of %v, alone again", w)
	}
}

func TestWhoIsLookedFor(t *testing.T) {
	t.Parallel()
	p := planner(1)
	p.AddSeed("member")
	p.AddSeed("missing")
	p.AddSeed("missing")
	p.Lost("back", "a", start, time.Time{})
	p.Lost("gone", "b", start, time.Time{})
	p.Lost("old", "c", start.Add(-MaxAge-1), time.Time{})
	p.Lost("left", "d", start.Add(-2*time.Hour), start.Add(-time.Hour))
	p.Lost("pruned", "e", start, time.Time{})
	p.Forget("pruned")
	got := p.Turn(start, 1, func(t Target) bool { return t.Addr != "member" && t.Name != "back" })
	want := map[Target]bool{{Addr: "missing"}: true, {"gone", "b"}: true}
	if len(got) != 2 || !want[got[0]] || !want[got[1]] {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	p := planner(1)
	for i := range maxLost + 10 {
		p.Lost(fmt.Sprint(i), "a", start.Add(time.Duration(i)), time.Time{})
		p.AddSeed(fmt.Sprint(i))
	}
	if len(p.lost) != maxLost || p.lost["9"] != nil || p.lost["10"] == nil {
		t.Errorf("%d lost; the oldest must give way", len(p.lost))
	}
	if len(p.seeds) != maxSeeds || p.seeds[0].Addr != "0" {
		t.Errorf("%d seeds, first %s", len(p.seeds), p.seeds[0].Addr)
	}
}

func TestRefusalsAreNews(t *testing.T) {
	t.Parallel()
	p := planner(1)
	p.AddSeed("s")
	target := Target{Addr: "s"}
	for i, step := range []struct {
		o    Outcome
		want bool
	}{{Refused, true}, {Refused, false}, {Failed, false}, {Refused, true}, {Reached, false}} {
		if got := p.Done(target, step.o); got != step.want {
			t.Errorf("step %d: got %v", i, got)
		}
	}
	p.Done(target, Refused)
	n := 0
	for range 1000 {
		n += len(p.Turn(start, 1, everybody))
	}
	if n == 0 || n > 40 {
		t.Errorf("alone, asked who refused us %d times in 1000 turns", n)
	}
}
