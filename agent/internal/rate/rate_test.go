package rate

import (
	"testing"
	"time"
)

func TestBucket(t *testing.T) {
	t.Parallel()
	b := Bucket{PerSecond: 10, Burst: 5}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 5 {
		if !b.Take(now, 1) {
			t.Fatalf("token %d of a full bucket is missing", i)
		}
	}
	if b.Take(now, 1) {
		t.Error("a token too many")
	}
	if w := b.Wait(now, 2); w != 200*time.Millisecond {
		t.Errorf("two tokens take %v", w)
	}
	now = now.Add(200 * time.Millisecond)
	if b.Wait(now, 2) != 0 || !b.Take(now, 2) || b.Take(now, 1) {
		t.Error("two tokens came back, no more and no less")
	}
	if b.Take(now.Add(-time.Hour), 1) {
		t.Error("a clock that goes back brings tokens")
	}
	now = now.Add(time.Hour)
	if b.Take(now, 6) || !b.Take(now, 5) {
		t.Error("an hour fills the bucket, and does not overfill it")
	}
	now = now.Add(100 * time.Millisecond)
	b.Drain(now, 100)
	if w := b.Wait(now, 5); w != 500*time.Millisecond {
		t.Errorf("an empty bucket, drained, takes %v to fill", w)
	}
}
