package sim

import (
	"testing"
	"time"
)

// TestMeasure holds the model to what stock Serf was measured to need: an event reaches 100 agents after 614 ms at the
// median and 904 ms at worst, and a crash is seen by 30 agents after 8 s.
func TestMeasure(t *testing.T) {
	t.Parallel()
	serf, ours := Measure(100, -1, 1, SerfLAN(), LAN(), nil), Measure(100, -1, 1, Ours(), LAN(), nil)
	t.Logf("%+v", serf)
	t.Logf("%+v", ours)
	if e := serf.Event.All; e < 400*time.Millisecond || e > 1100*time.Millisecond {
		t.Errorf("an event takes %v, far from what Serf takes", e)
	}
	if e := ours.Event.All; e > serf.Event.All/20 {
		t.Errorf("an event takes %v, and Serf's %v", e, serf.Event.All)
	}
	for _, r := range []Report{serf, ours} {
		for _, s := range []Spread{r.Event, r.Join, r.Leave, r.Crash} {
			if !s.Complete() {
				t.Errorf("not everyone was reached: %v", s)
			}
		}
		if r.False > 0 {
			t.Errorf("%d false positives", r.False)
		}
	}
	thirty := Measure(30, -1, 1, SerfLAN(), LAN(), nil)
	if c := thirty.Crash; c.First < 5*time.Second || c.All > 11*time.Second {
		t.Errorf("a crash among 30: %v", c)
	}
}
