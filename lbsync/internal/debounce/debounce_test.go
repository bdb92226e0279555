package debounce_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/debounce"
)

func TestGate(t *testing.T) {
	t.Parallel()
	waits := debounce.Waits{Add: 300 * time.Millisecond, Leave: 100 * time.Millisecond, Fail: time.Second, Max: 2 * time.Second}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	const none = -1
	type step struct {
		at      int // ms
		pending [3]string
		due     int // ms, or none
	}
	tests := []struct {
		name  string
		steps []step
	}{
		{"nothing pending", []step{{0, [3]string{}, none}}},
		{"one addition", []step{{0, [3]string{"a", "", ""}, 300}, {250, [3]string{"a", "", ""}, 300}}},
		{"a further addition starts the wait again", []step{{0, [3]string{"a", "", ""}, 300}, {200, [3]string{"ab", "", ""}, 500}}},
		{"but not past the maximum", []step{{0, [3]string{"a", "", ""}, 300}, {1900, [3]string{"b", "", ""}, 2000}}},
		{"a leave is quicker than a failure", []step{{0, [3]string{"", "", "a"}, 1000}, {500, [3]string{"", "b", "a"}, 600}}},
		{"what went away no longer waits", []step{{0, [3]string{"", "", "a"}, 1000}, {500, [3]string{}, none}, {900, [3]string{"", "", "a"}, 1900}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var g debounce.Gate
			for i, s := range tt.steps {
				due, ok := g.Due(start.Add(time.Duration(s.at)*time.Millisecond), waits, s.pending)
				got := none
				if ok {
					got = int(due.Sub(start).Milliseconds())
				}
				if got != s.due {
					t.Errorf("step %d: due at %d ms, want %d", i, got, s.due)
				}
			}
		})
	}
}

// TestNoStarvation: however often things change, the gate opens within the maximum.
func TestNoStarvation(t *testing.T) {
	t.Parallel()
	waits := debounce.Waits{Add: 300 * time.Millisecond, Max: 2 * time.Second}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var g debounce.Gate
	opened := now
	for i := range 1000 {
		now = now.Add(10 * time.Millisecond)
		due, _ := g.Due(now, waits, [3]string{string(rune('a' + i%20))})
		if !now.Before(due) {
			g.Reset()
			opened = now
		}
		if now.Sub(opened) > 2100*time.Millisecond {
			t.Fatalf("closed for %v", now.Sub(opened))
		}
	}
}

// TestQuiescence feeds random changes of one kind to the gate and to consul-template's rule written down plainly: the
// first change starts a timer and sets a deadline; each further one starts the timer again, or for what is left until the deadline; when it
// fires all is forgotten. Both act at the same moments.
func TestQuiescence(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		wait := time.Duration(1+r.IntN(500)) * time.Millisecond
		limit := wait + time.Duration(r.IntN(2000))*time.Millisecond
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		var g debounce.Gate
		var timer, deadline time.Time
		pending := ""
		next := now
		for range 500 {
			if now.Equal(next) { // a change
				pending += "x"
				if deadline.IsZero() {
					deadline = now.Add(limit)
				}
				timer = now.Add(min(wait, deadline.Sub(now)))
				next = now.Add(time.Duration(1+r.IntN(2*int(wait/time.Millisecond))) * time.Millisecond)
			}
			due, waits := g.Due(now, debounce.Waits{Add: wait, Max: limit}, [3]string{pending})
			if waits != (pending != "") || waits && !due.Equal(timer) {
				t.Fatalf("wait %v, max %v: due %v, want %v", wait, limit, due, timer)
			}
			if waits && !now.Before(due) { // both fire
				g.Reset()
				pending, timer, deadline = "", time.Time{}, time.Time{}
			}
			if now = next; !timer.IsZero() && timer.Before(next) {
				now = timer
			}
		}
	}
}
