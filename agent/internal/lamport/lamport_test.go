package lamport_test

import (
	"testing"
	"testing/quick"

	"github.com/seed-645ce708/gossip/agent/internal/lamport"
)

const last = ^lamport.Time(0)

func TestWitness(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ start, heard, want lamport.Time }{
		{0, 0, 1},
		{1, 0, 1},
		{5, 4, 5},
		{5, 5, 6},
		{5, 9, 10},
		{5, last - 1, last},
		{5, last, last},
		{last, 3, last},
		{last, last, last},
	} {
		var c lamport.Clock
		if tt.start > 0 {
			c.Witness(tt.start - 1)
		}
		if c.Time() != tt.start {
			t.Fatalf("clock stands at %d, want %d", c.Time(), tt.start)
		}
		c.Witness(tt.heard)
		if c.Time() != tt.want {
			t.Errorf("at %d, Witness(%d) gives %d, want %d", tt.start, tt.heard, c.Time(), tt.want)
		}
	}
}

func TestIncrementStopsAtTheEnd(t *testing.T) {
	t.Parallel()
	var c lamport.Clock
	if got := c.Increment(); got != 1 {
		t.Fatalf("first Increment gives %d, want 1", got)
	}
	c.Witness(last - 1)
	if got := c.Increment(); got != last {
		t.Fatalf("Increment at the end gives %d, want %d", got, last)
	}
}

// Never back, and always past what was heard, unless that is the end.
func TestLaws(t *testing.T) {
	t.Parallel()
	law := func(heard []uint64, act []bool) bool {
		var c lamport.Clock
		for i, v := range heard {
			before := c.Time()
			if i < len(act) && act[i] {
				c.Increment()
			} else {
				c.Witness(lamport.Time(v))
				if lamport.Time(v) != last && c.Time() <= lamport.Time(v) {
					return false
				}
			}
			if c.Time() < before {
				return false
			}
		}
		return true
	}
	if err := quick.Check(law, nil); err != nil {
		t.Error(err)
	}
}
