package budget_test

import (
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/budget"
)

func TestBucket(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	b := budget.Bucket{Interval: 10 * time.Second, Burst: 2}
	for i, step := range []struct{ at, ready int }{{0, 0}, {0, 0}, {0, 10}, {10, 10}, {10, 20}, {15, 20}, {60, 60}, {60, 60}, {60, 70}} {
		now := start.Add(time.Duration(step.at) * time.Second)
		ready := b.Ready(now)
		if want := start.Add(time.Duration(step.ready) * time.Second); ready.Sub(want).Abs() > time.Millisecond {
			t.Errorf("step %d: ready at %v, want %v", i, ready.Sub(start), want.Sub(start))
		}
		if !ready.After(now) {
			b.Take(now)
		}
	}
	var free budget.Bucket
	for range 5 {
		if free.Take(start); free.Ready(start).After(start) {
			t.Error("without an interval there is a limit")
		}
	}
}

// TestRate: over a long time no more go than the burst and one each interval.
func TestRate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	b := budget.Bucket{Interval: time.Second, Burst: 3}
	n := 0
	for range 100_000 {
		if now = now.Add(7 * time.Millisecond); !b.Ready(now).After(now) {
			b.Take(now)
			n++
		}
	}
	if n < 695 || n > 703 {
		t.Errorf("%d in 700 seconds", n)
	}
}
