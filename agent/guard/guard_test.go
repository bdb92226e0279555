package guard_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/guard"
)

func names(text string) []string { return strings.Fields(text) }

func set(text string) map[string]bool {
	m := map[string]bool{}
	for _, n := range names(text) {
		m[n] = true
	}
	return m
}

func TestDecide(t *testing.T) {
	t.Parallel()
	const cut = "the agent is unreachable"
	tests := []struct {
		name                        string
		current, wanted, left       string
		unknown                     bool
		distrust                    string
		budget                      int // 0 means -1 here, -9 means 0
		policy                      guard.Policy
		apply, added, removed, held string
		failed                      int
		wait                        bool
		reason                      string
	}{
		{name: "nothing changes", current: "a b", wanted: "b a", apply: "a b"},
		{name: "first set", unknown: true, wanted: "b a b", apply: "a b", added: "a b"},
		{name: "first set is empty", unknown: true},
		{name: "first set on an untrusted view", unknown: true, wanted: "a", distrust: cut, wait: true,
			reason: "nothing is known from earlier, and the agent is unreachable"},
		{name: "from known empty to some", wanted: "a", apply: "a", added: "a"},
		{name: "a failure goes", current: "a b", wanted: "a", apply: "a", removed: "b", failed: 1},
		{name: "a leave goes", current: "a b", wanted: "a", left: "b", apply: "a", removed: "b"},
		{name: "replaced", current: "a", wanted: "b", apply: "b", added: "b", removed: "a", failed: 1},
		{name: "untrusted: add but do not remove", current: "a b", wanted: "b c", distrust: cut,
			apply: "a b c", added: "c", held: "a", reason: "1 of 1 removals held: the agent is unreachable"},
		{name: "untrusted: leaves pass", current: "a b c", wanted: "c", left: "a", distrust: cut,
			apply: "b c", removed: "a", held: "b", reason: "1 of 2 removals held: the agent is unreachable"},
		{name: "untrusted: leaves pass down to the floor", current: "a b", wanted: "", left: "a b", distrust: cut,
			apply: "a", removed: "b", held: "a", reason: "1 of 2 removals held: at least 1 must stay"},
		{name: "untrusted: the last may leave if allowed", current: "a", left: "a", distrust: cut, policy: guard.Policy{AllowEmpty: true},
			removed: "a"},
		{name: "no floor", current: "a b", policy: guard.Policy{NoFloor: true, Min: 2}, removed: "a b", failed: 2},
		{name: "no floor, untrusted", current: "a b", wanted: "b", distrust: cut, policy: guard.Policy{NoFloor: true},
			apply: "a b", held: "a", reason: "1 of 1 removals held: the agent is unreachable"},
		{name: "never empty by failures", current: "a b", apply: "a", removed: "b", held: "a", failed: 1,
			reason: "1 of 2 removals held: at least 1 must stay"},
		{name: "never empty by leaves", current: "a", left: "a", apply: "a", held: "a",
			reason: "1 of 1 removals held: at least 1 must stay"},
		{name: "empty by leaves when allowed", current: "a b", left: "a b", policy: guard.Policy{AllowEmpty: true, Min: 2},
			removed: "a b"},
		{name: "not empty when one of them failed", current: "a b", left: "a", policy: guard.Policy{AllowEmpty: true},
			apply: "b", removed: "a", held: "b", reason: "1 of 2 removals held: at least 1 must stay"},
		{name: "floor", current: "a b c d", wanted: "d", policy: guard.Policy{Min: 3},
			apply: "a b d", removed: "c", held: "a b", failed: 1, reason: "2 of 3 removals held: at least 3 must stay"},
		{name: "floor above the present size", current: "a b", wanted: "a", policy: guard.Policy{Min: 5},
			apply: "a b", held: "b", reason: "1 of 1 removals held: at least 2 must stay"},
		{name: "floor met by additions", current: "a b", wanted: "c d", policy: guard.Policy{Min: 2},
			apply: "c d", added: "c d", removed: "a b", failed: 2},
		{name: "floor holds who failed before who left", current: "a b c", wanted: "c", left: "a", policy: guard.Policy{Min: 2},
			apply: "b c", removed: "a", held: "b", reason: "1 of 2 removals held: at least 2 must stay"},
		{name: "floor holds leaves as well", current: "a b", wanted: "b", left: "a", policy: guard.Policy{Min: 2},
			apply: "a b", held: "a", reason: "1 of 1 removals held: at least 2 must stay"},
		{name: "budget", current: "a b c d", wanted: "d", budget: 2,
			apply: "c d", removed: "a b", held: "c", failed: 2,
			reason: "1 of 3 removals held: as many as the removal limit allows were removed already in this window"},
		{name: "budget does not count leaves", current: "a b c d", wanted: "d", left: "a b", budget: 1,
			apply: "d", removed: "a b c", failed: 1},
		{name: "budget used up", current: "a b", wanted: "b", budget: -9,
			apply: "a b", held: "a",
			reason: "1 of 1 removals held: as many as the removal limit allows were removed already in this window"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			budget := tt.budget
			switch budget {
			case 0:
				budget = -1
			case -9:
				budget = 0
			}
			d := guard.Decide(guard.Request{Known: !tt.unknown, Current: names(tt.current), Wanted: names(tt.wanted),
				Left: set(tt.left), Distrust: tt.distrust, Budget: budget, Policy: tt.policy})
			var held []string
			for _, h := range d.Held {
				held = append(held, h.Name)
			}
			for _, c := range []struct {
				what string
				got  []string
				want string
			}{{"apply", d.Apply, tt.apply}, {"added", d.Added, tt.added}, {"removed", d.Removed, tt.removed}, {"held", held, tt.held}} {
				if !slices.Equal(c.got, names(c.want)) {
					t.Errorf("%s: got %v, want %v", c.what, c.got, names(c.want))
				}
			}
			if d.Failed != tt.failed || d.Wait != tt.wait || d.Reason != tt.reason {
				t.Errorf("got failed %d, wait %t, reason %q; want %d, %t, %q", d.Failed, d.Wait, d.Reason, tt.failed, tt.wait, tt.reason)
			}
		})
	}
}

// TestDecideProperties checks what Decide promises over random requests.
func TestDecideProperties(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5000) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		pick := func(p float64) []string {
			var out []string
			for i := range 8 {
				if rnd.Float64() < p {
					out = append(out, fmt.Sprint("m", i))
				}
			}
			rnd.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
			return out
		}
		r := guard.Request{Known: rnd.IntN(4) > 0, Current: pick(.6), Wanted: pick(rnd.Float64()), Left: map[string]bool{},
			Budget: rnd.IntN(6) - 1, Policy: guard.Policy{Min: rnd.IntN(5) - 1, AllowEmpty: rnd.IntN(2) == 0, NoFloor: rnd.IntN(4) == 0}}
		for _, n := range pick(rnd.Float64()) {
			r.Left[n] = true
		}
		if rnd.IntN(3) == 0 {
			r.Distrust = "test"
		}
		d := guard.Decide(r)
		if !reflect.DeepEqual(d, guard.Decide(r)) {
			t.Fatalf("seed %d: two decisions differ", seed)
		}
		if d.Wait {
			if r.Known || r.Distrust == "" || len(d.Apply) > 0 {
				t.Fatalf("seed %d: waits for no reason: %+v -> %+v", seed, r, d)
			}
			continue
		}
		in := func(list []string, name string) bool { return slices.Contains(list, name) }
		for _, n := range r.Wanted {
			if !in(d.Apply, n) {
				t.Fatalf("seed %d: wanted %s is not applied: %+v -> %+v", seed, n, r, d)
			}
		}
		for _, n := range d.Apply {
			if !in(r.Wanted, n) && !in(r.Current, n) {
				t.Fatalf("seed %d: %s comes from nowhere: %+v -> %+v", seed, n, r, d)
			}
		}
		allLeft := true
		failed := 0
		for _, n := range r.Current {
			allLeft = allLeft && r.Left[n]
			if !in(d.Apply, n) {
				if !in(d.Removed, n) {
					t.Fatalf("seed %d: %s vanished unreported: %+v -> %+v", seed, n, r, d)
				}
				if !r.Left[n] {
					failed++
				}
			}
		}
		if failed != d.Failed || (r.Budget >= 0 && failed > r.Budget) {
			t.Fatalf("seed %d: %d failures removed, reported %d: %+v -> %+v", seed, failed, d.Failed, r, d)
		}
		if len(r.Current) > 0 && len(d.Apply) == 0 && !r.NoFloor && (!r.AllowEmpty || !allLeft) {
			t.Fatalf("seed %d: emptied: %+v -> %+v", seed, r, d)
		}
		if floor := min(r.Min, len(r.Current)); len(d.Apply) < floor && !r.NoFloor && (!r.AllowEmpty || !allLeft) {
			t.Fatalf("seed %d: below the floor of %d: %+v -> %+v", seed, floor, r, d)
		}
		if r.Distrust != "" && d.Failed > 0 {
			t.Fatalf("seed %d: removed who did not leave on an untrusted view: %+v -> %+v", seed, r, d)
		}
		if (len(d.Held) > 0) != (d.Reason != "") || !slices.IsSorted(d.Apply) || !slices.IsSorted(d.Removed) {
			t.Fatalf("seed %d: held without a reason, or unsorted: %+v -> %+v", seed, r, d)
		}
	}
}

func TestWindow(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	w := guard.Window{Length: time.Minute, Ratio: 0.34}
	check := func(at time.Duration, size, want int) {
		t.Helper()
		if got := w.Budget(start.Add(at), size); got != want {
			t.Errorf("at %v with %d: got a budget of %d, want %d", at, size, got, want)
		}
	}
	check(0, 10, 4)
	w.Spend(start, 10, 3)
	check(time.Second, 7, 1) // of the size at the beginning, not of what is left
	w.Spend(start.Add(time.Second), 7, 1)
	check(59*time.Second, 6, 0)
	check(time.Minute, 6, 3)
	w.Spend(start.Add(time.Minute), 6, 0) // spends nothing, begins nothing
	check(time.Hour, 100, 34)

	w.Spend(start.Add(time.Hour), 100, 30)
	again := guard.Window{Length: time.Minute, Ratio: 0.34}
	again.Resume(w.Spent())
	w = again
	check(time.Hour+time.Second, 70, 4)
	check(0, 70, 24) // the clock was set back
	check(time.Hour+time.Minute, 70, 24)

	var none guard.Window
	none.Spend(start, 3, 3)
	if got := none.Budget(start, 3); got != -1 {
		t.Errorf("the zero window limits to %d", got)
	}
}

func TestHolds(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	h := guard.Holds{Limit: time.Minute}
	for i, s := range []struct {
		at                    time.Duration
		current, wanted, left string
		trusted               bool
		apply, removed        string
		until                 time.Duration // after start; 0 for never
	}{
		{at: 0, current: "a b c", wanted: "a b c", apply: "a b c"},
		{at: 10 * time.Second, current: "a b c", wanted: "b c", apply: "a b c", until: 70 * time.Second},
		{at: 20 * time.Second, current: "a b c", wanted: "c", apply: "a b c", until: 70 * time.Second},
		{at: 30 * time.Second, current: "a b c", wanted: "a", left: "c", apply: "a b", removed: "c", until: 80 * time.Second},
		{at: 40 * time.Second, current: "a b", wanted: "", apply: "a b", until: 80 * time.Second}, // a was well between
		{at: 80 * time.Second, current: "a b", wanted: "", apply: "a", removed: "b", until: 100 * time.Second},
		{at: 90 * time.Second, current: "a b", wanted: "", apply: "a", removed: "b", until: 100 * time.Second}, // offered again
		{at: 100 * time.Second, current: "a", wanted: "", removed: "a"},
		{at: 110 * time.Second, current: "", wanted: "a b", apply: "a b"},
		{at: 120 * time.Second, current: "a b", wanted: "b", apply: "a b", until: 180 * time.Second}, // a hold of its own
		{at: 130 * time.Second, current: "a b", wanted: "b", trusted: true, apply: "b", removed: "a"},
	} {
		r := guard.Request{Known: true, Current: names(s.current), Wanted: names(s.wanted), Left: set(s.left), Budget: -1,
			Policy: guard.Policy{AllowEmpty: true, NoFloor: true}}
		if !s.trusted {
			r.Distrust = "test"
		}
		d := h.Decide(start.Add(s.at), r)
		var until time.Duration
		if !d.Until.IsZero() {
			until = d.Until.Sub(start)
		}
		if !slices.Equal(d.Apply, names(s.apply)) || !slices.Equal(d.Removed, names(s.removed)) || until != s.until {
			t.Errorf("step %d: got %v, removed %v, until %v; want %q, %q, %v", i, d.Apply, d.Removed, until, s.apply, s.removed, s.until)
		}
	}

	var forever guard.Holds
	for range 3 {
		start = start.Add(1000 * time.Hour)
		d := forever.Decide(start, guard.Request{Known: true, Current: names("a"), Distrust: "test", Budget: -1})
		if len(d.Held) != 1 || !d.Until.IsZero() {
			t.Errorf("without a limit: %+v", d)
		}
	}
}
