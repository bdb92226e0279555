package trust_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/trust"
	"github.com/seed-645ce708/gossip/agent/internal/view"
)

const quiet = 5 * time.Second

// world drives a tracker through virtual time. Member 0 is ourselves.
type world struct {
	t       *trust.Tracker
	now     time.Time
	members []*view.Member
}

func name(i int) string { return fmt.Sprintf("m%03d", i) }

func addr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 7946)
}

// newWorld has n members, all alive.
func newWorld(n int) *world {
	w := &world{
		t:   trust.New(trust.Config{Quiet: quiet, Damping: trust.DefaultDamping()}, name(0)),
		now: time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC),
	}
	for i := range n {
		w.members = append(w.members, &view.Member{Name: name(i), Addr: addr(i).Addr(), Port: 7946, Status: view.StatusAlive})
	}
	w.t.Members(w.now, w.members)
	return w
}

// set gives members from..to another status.
func (w *world) set(from, to int, s view.Status) {
	next := append([]*view.Member(nil), w.members...)
	for i := from; i <= to; i++ {
		m := *next[i]
		m.Status = s
		next[i] = &m
	}
	w.members = next
	w.t.Members(w.now, next)
}

// pass lets time go by, with ticks and, if talk, contacts.
func (w *world) pass(d time.Duration, talk bool) view.Verdict {
	const step = 500 * time.Millisecond
	for end := w.now.Add(d); w.now.Before(end); {
		w.now = w.now.Add(step)
		w.t.Tick(w.now)
		if talk {
			w.t.Contact(w.now, "")
		}
		w.t.Judge(w.now, true)
	}
	return w.judge()
}

func (w *world) judge() view.Verdict { return w.t.Judge(w.now, true) }

func TestIsolated(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		size  int
		run   func(w *world)
		want  bool
		words string // in the evidence
	}{
		{"healthy", 5, func(w *world) { w.pass(time.Minute, true) }, false, ""},
		{"not long enough", 5, func(w *world) { w.pass(time.Minute, true); w.pass(quiet-time.Second, false) }, false, ""},
		{"silence", 5, func(w *world) { w.pass(time.Minute, true); w.pass(quiet, false) },
			true, "any of 4 other members since 12:01:00"},
		{"silence from the start", 3, func(w *world) { w.pass(quiet, false) }, true, "any of 2 other members since 12:00:00"},
		{"silence, then everyone failed", 5, func(w *world) {
			w.pass(quiet, false)
			w.set(1, 4, view.StatusFailed)
			w.pass(time.Hour, false)
		}, true, "any of 4 other members"},
		{"alone", 1, func(w *world) { w.pass(time.Hour, false) }, false, ""},
		{"one other member", 2, func(w *world) { w.pass(quiet, false); w.set(1, 1, view.StatusFailed); w.pass(time.Minute, false) }, false, ""},
		{"everyone left", 5, func(w *world) { w.set(1, 4, view.StatusLeft); w.pass(time.Minute, false) }, false, ""},
		{"we did not run", 5, func(w *world) {
			w.pass(time.Minute, true)
			w.now = w.now.Add(time.Hour)
			w.pass(quiet/2, false)
		}, false, ""},
		{"contact ends it", 5, func(w *world) { w.pass(time.Minute, false); w.pass(quiet+time.Second, true) }, false, ""},
		{"contact ends it after a while", 5, func(w *world) { w.pass(time.Minute, false); w.pass(quiet-time.Second, true) }, true, "cut off until 12:01:00"},
		{"minority", 5, func(w *world) { w.set(2, 4, view.StatusFailed); w.pass(time.Second, true) },
			true, "3 members vanished within a minute, which is more than the 2 that are left"},
		{"minority, one by one within the minute", 5, func(w *world) {
			for i := 2; i <= 4; i++ {
				w.set(i, i, view.StatusFailed)
				w.pass(20*time.Second, true)
			}
		}, true, "3 members"},
		{"half", 4, func(w *world) { w.set(2, 3, view.StatusFailed); w.pass(time.Minute, true) }, false, ""},
		{"majority", 5, func(w *world) { w.set(3, 4, view.StatusFailed); w.pass(time.Minute, true) }, false, ""},
		{"one by one over minutes", 9, func(w *world) {
			for i := 2; i <= 8; i++ {
				w.set(i, i, view.StatusFailed)
				w.pass(40*time.Second, true)
			}
		}, false, ""},
		{"minority is forgotten", 5, func(w *world) { w.set(2, 4, view.StatusFailed); w.pass(trust.Memory+time.Minute, true) }, false, ""},
		{"minority comes back", 5, func(w *world) {
			w.set(2, 4, view.StatusFailed)
			w.pass(time.Second, true)
			w.set(2, 3, view.StatusAlive)
			w.pass(2*quiet, true)
		}, false, ""},
		{"left while failed", 5, func(w *world) {
			w.set(2, 4, view.StatusFailed)
			w.set(2, 4, view.StatusLeft)
			w.pass(time.Second, true)
		}, false, ""},
		{"all agents were killed", 5, func(w *world) {
			w.pass(time.Minute, true)
			for i := 1; i <= 4; i++ {
				w.t.Refused(w.now, addr(i))
			}
			w.pass(5*time.Second, false)
			w.set(1, 4, view.StatusFailed)
			w.pass(time.Hour, false)
		}, false, ""},
		{"one was killed an hour ago, now silence", 5, func(w *world) {
			w.t.Refused(w.now, addr(1))
			w.set(1, 1, view.StatusFailed)
			w.pass(time.Hour, true)
			w.pass(quiet, false)
		}, true, "any of 3 other members"},
		{"a killed agent came back, and then silence", 3, func(w *world) {
			w.t.Refused(w.now, addr(1))
			w.pass(time.Second, true)
			w.t.Contact(w.now, name(1))
			w.pass(time.Second, true)
			w.pass(quiet, false)
		}, true, "any of 2 other members"},
		{"refused by a stranger", 5, func(w *world) {
			w.pass(time.Minute, true)
			w.t.Refused(w.now, netip.MustParseAddrPort("192.0.2.1:7946"))
			w.pass(quiet, false)
		}, true, "any of 4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(tt.size)
			tt.run(w)
			c := w.judge().Confidence
			if c.Isolated != tt.want || !strings.Contains(c.Evidence, tt.words) || c.Isolated != (c.Evidence != "") {
				t.Errorf("got %t, %q; want %t, %q", c.Isolated, c.Evidence, tt.want, tt.words)
			}
		})
	}
}

func TestVisibleShare(t *testing.T) {
	t.Parallel()
	w := newWorld(8)
	share := func(what string, want float64) {
		t.Helper()
		if got := w.judge().Confidence.VisibleShare; got != want {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	share("all", 1)
	w.set(1, 2, view.StatusFailed)
	share("two failed", 0.75)
	w.set(3, 4, view.StatusLeft)
	share("two left", 4.0/6)
	w.set(1, 1, view.StatusAlive)
	share("one is back", 5.0/6)
	w.members = append(w.members[:2:2], w.members[3:]...) // the other failed one is forgotten
	w.t.Members(w.now, w.members)
	share("reaped", 5.0/6)
	w.pass(trust.Memory+time.Second, true)
	share("ten minutes later", 1)
}

func TestMarks(t *testing.T) {
	t.Parallel()
	w := newWorld(6)
	at := w.now
	w.set(1, 2, view.StatusFailed)
	w.t.Refused(w.now, addr(2))
	w.set(3, 3, view.StatusLeaving)
	w.set(4, 4, view.StatusLeft)
	w.set(1, 1, view.StatusLeft)
	got := w.judge().Marks
	want := map[string]view.Mark{
		name(1): {Since: at, Reason: "it had failed, and was told to be gone"},
		name(2): {Since: at, Reason: "no answer to probes; its host refuses connections, so only the agent is gone"},
		name(3): {Since: at, Reason: "it announced that it goes"},
		name(4): {Since: at, Reason: "it announced that it goes"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	w.set(1, 4, view.StatusAlive)
	if got := w.judge().Marks; len(got) != 0 {
		t.Errorf("all are alive: got %+v", got)
	}
}

// flap makes member 1 fail and come back.
func (w *world) flap() {
	w.set(1, 1, view.StatusFailed)
	w.pass(5*time.Second, true)
	w.set(1, 1, view.StatusAlive)
}

func TestDamping(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		flaps int
		every time.Duration // 5 s at least
		out   bool
		back  time.Duration // how long after the last return it is out, to the second below
	}{
		{"once", 1, time.Minute, false, 0},
		{"twice at once", 2, 5 * time.Second, false, 0},
		{"thrice in a minute", 3, 20 * time.Second, true, 170 * time.Second},
		{"thrice, a minute apart", 3, time.Minute, true, 137 * time.Second},
		{"for ever, every two minutes", 50, 2 * time.Minute, false, 0},
		{"for ever, every 90 seconds", 50, 90 * time.Second, true, 156 * time.Second},
		{"for ever, as fast as can be", 500, 5 * time.Second, true, 10 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(5)
			for i := range tt.flaps {
				if i > 0 {
					w.pass(tt.every-5*time.Second, true)
				}
				w.flap()
			}
			m := w.judge().Marks[name(1)]
			if m.Suppressed != tt.out {
				t.Fatalf("got %+v, want suppressed %t", m, tt.out)
			}
			if !tt.out {
				return
			}
			if got := m.Until.Sub(w.now).Truncate(time.Second); got != tt.back || m.Reason != "flapping" {
				t.Errorf("out for %v, want %v: %+v", got, tt.back, m)
			}
			w.pass(m.Until.Sub(w.now)-time.Second, true)
			if !w.judge().Marks[name(1)].Suppressed {
				t.Error("back too early")
			}
			w.pass(2*time.Second, true)
			if len(w.judge().Marks) != 0 {
				t.Error("not back in time")
			}
		})
	}
}

func TestDampingSparesWhoDoesNotFlap(t *testing.T) {
	t.Parallel()
	t.Run("restarts with a leave", func(t *testing.T) {
		t.Parallel()
		w := newWorld(5)
		for range 20 {
			w.set(1, 1, view.StatusLeaving)
			w.set(1, 1, view.StatusLeft)
			w.pass(time.Second, true)
			w.set(1, 1, view.StatusAlive)
		}
		if m := w.judge().Marks; len(m) != 0 {
			t.Errorf("got %+v", m)
		}
	})
	t.Run("we flap", func(t *testing.T) {
		t.Parallel()
		w := newWorld(5)
		for range 20 {
			w.pass(quiet, false)
			w.set(1, 4, view.StatusFailed)
			w.pass(time.Second, false)
			w.set(1, 4, view.StatusAlive)
		}
		w.pass(time.Minute, true)
		if m := w.judge().Marks; len(m) != 0 {
			t.Errorf("got %+v", m)
		}
	})
	t.Run("turned off", func(t *testing.T) {
		t.Parallel()
		w := newWorld(5)
		w.t = trust.New(trust.Config{Quiet: quiet}, name(0))
		for range 20 {
			w.flap()
		}
		if m := w.judge().Marks; len(m) != 0 {
			t.Errorf("got %+v", m)
		}
	})
}

// TestProperties holds for whatever happens.
func TestProperties(t *testing.T) {
	t.Parallel()
	statuses := []view.Status{view.StatusAlive, view.StatusAlive, view.StatusFailed, view.StatusLeaving, view.StatusLeft}
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		size := 1 + rnd.IntN(8)
		w := newWorld(size)
		for range 200 {
			if i := 1 + rnd.IntN(size); i < size {
				switch rnd.IntN(4) {
				case 0, 1:
					w.set(i, i, statuses[rnd.IntN(len(statuses))])
				case 2:
					w.t.Refused(w.now, addr(i))
				case 3:
					w.t.Contact(w.now, name(i))
				}
			}
			v := w.pass(time.Duration(rnd.IntN(20))*time.Second, rnd.IntN(2) == 0)
			c := v.Confidence
			if c.Isolated != (c.Evidence != "") {
				t.Fatalf("seed %d: isolated %t without evidence, or the reverse: %q", seed, c.Isolated, c.Evidence)
			}
			if size < 3 && c.Isolated {
				t.Fatalf("seed %d: isolated with %d members: %s", seed, size, c.Evidence)
			}
			if c.VisibleShare <= 0 || c.VisibleShare > 1 {
				t.Fatalf("seed %d: share of %v", seed, c.VisibleShare)
			}
			if again := w.judge(); !reflect.DeepEqual(v, again) {
				t.Fatalf("seed %d: another verdict at the same time:\n%+v\n%+v", seed, v, again)
			}
			for _, m := range w.members[1:] {
				mark, ok := v.Marks[m.Name]
				if ok != (m.Status != view.StatusAlive || mark.Suppressed) {
					t.Fatalf("seed %d: %s is %v and has mark %+v", seed, m.Name, m.Status, mark)
				}
				if mark.Suppressed && (m.Status != view.StatusAlive || !mark.Until.After(w.now) || mark.Until.Sub(w.now) > 10*time.Minute) {
					t.Fatalf("seed %d: %v until %v, now %v", seed, m.Status, mark.Until, w.now)
				}
			}
		}
		// Whatever was before: when all is well for a while, nothing is left of it.
		if size > 1 {
			w.set(1, size-1, view.StatusAlive)
		}
		for i := range size {
			w.t.Contact(w.now, name(i))
		}
		w.pass(trust.Memory+quiet+time.Second, true)
		v := w.judge()
		if v.Confidence.Isolated || v.Confidence.VisibleShare != 1 || len(v.Marks) > 0 {
			t.Fatalf("seed %d: not healed: %+v", seed, v)
		}
	}
}
