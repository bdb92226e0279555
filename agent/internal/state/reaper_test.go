package state_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/state"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

func TestReap(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		from   string
		change func(*state.Config)
		after  time.Duration
		want   string
	}{
		{"failed", nil, 24*time.Hour + 15*time.Second, "member-reap x(failed); reaped x"},
		{"failed", nil, 24 * time.Hour, ""},
		{"left", nil, 24*time.Hour + 15*time.Second, "member-reap x(left); reaped x"},
		{"left", nil, 24 * time.Hour, ""},
		{"alive", nil, 240 * time.Hour, ""},
		{"leaving", nil, 240 * time.Hour, "send leave(x,11) to x 10.0.0.120:7946"},
		{"failed", func(c *state.Config) { c.ReconnectTimeout = time.Minute }, 2 * time.Minute, "member-reap x(failed); reaped x"},
		{"left", func(c *state.Config) { c.ReconnectTimeout = time.Minute }, 2 * time.Minute, ""},
		{"left", func(c *state.Config) { c.TombstoneTimeout = time.Minute }, 2 * time.Minute, "member-reap x(left); reaped x"},
		{"failed", func(c *state.Config) { c.TombstoneTimeout = time.Minute }, 2 * time.Minute, ""},
	} {
		r := newRig(t, func(c *state.Config) {
			c.ReconnectInterval = 1000 * time.Hour
			if tt.change != nil {
				tt.change(c)
			}
		})
		r.put(tt.from)
		effects := r.sleep(tt.after)
		r.want(fmt.Sprintf("%s for %v", tt.from, tt.after), told(effects), tt.want)
		if strings.Contains(tt.want, "reap") {
			r.want("log", logs(effects), "EventMemberReap: x")
			r.want("status", r.status("x"), "unknown")
		}
	}
}

func TestReapNeverTakesOurselves(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.step(state.LeaveBegin{})
	r.step(state.NodeLeave{Node: node("self")})
	r.want("told", told(r.sleep(48*time.Hour)), "")
	if r.s.Local() == nil {
		t.Error("no local member")
	}
}

func TestReapsEveryInterval(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *state.Config) { c.TombstoneTimeout = time.Second })
	if next := r.s.Next(r.now); next.After(r.now) {
		t.Errorf("before the first step, the next tick is at %v", next)
	}
	r.sleep(0)
	if next := r.s.Next(r.now); !next.Equal(r.now.Add(15 * time.Second)) {
		t.Errorf("next tick in %v, want 15s", next.Sub(r.now))
	}
	r.put("left")
	r.want("between", told(r.sleep(15*time.Second-1)), "")
	r.want("in time", told(r.sleep(1)), "member-reap x(left); reaped x")
}

func TestReconnect(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put("failed") // one failed, one alive: certain
	r.want("too early", told(r.sleep(30*time.Second-1)), "")
	effects := r.sleep(1)
	r.want("told", told(effects), "reconnect x 10.0.0.120:7946")
	r.want("log", logs(effects), "attempting reconnect to x 10.0.0.120:7946")
	r.want("soon again", told(r.sleep(15*time.Second)), "")
	r.want("again", told(r.sleep(15*time.Second)), "reconnect x 10.0.0.120:7946")

	r = newRig(t)
	r.put("left")
	effects = r.sleep(30 * time.Second)
	r.want("nobody failed", told(effects)+logs(effects), "")
}

// A member that only we see as leaving is asked again, and refutes.
func TestStuckLeaving(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put("leaving")
	r.want("not yet", told(r.sleep(59*time.Second)), "")
	r.want("asked", told(r.sleep(15*time.Second)), "send leave(x,11) to x 10.0.0.120:7946")
	r.want("asked again", told(r.sleep(15*time.Second)), "send leave(x,12) to x 10.0.0.120:7946")
	r.want("status", r.status("x"), "leaving@10")
	r.hear(&wire.Join{LTime: 13, Node: "x"})
	r.want("status", r.status("x"), "alive@13")
	r.want("content", told(r.sleep(15*time.Second)), "")

	r = newRig(t)
	r.step(state.LeaveBegin{})
	r.want("not ourselves", told(r.sleep(time.Hour)), "")
}

// The chance is the number of failed members to the number of live ones, and all failed ones have their turn.
func TestReconnectChance(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *state.Config) { c.Rand = rand.New(rand.NewPCG(7, 7)); c.ReconnectTimeout = 1e6 * time.Hour })
	for i := range 19 {
		r.joins(fmt.Sprintf("up%d", i))
	}
	for i := range 5 {
		r.joins(fmt.Sprintf("down%d", i))
		r.step(state.NodeLeave{Node: node(fmt.Sprintf("down%d", i))})
	}
	tries, picked := 0, map[string]int{}
	for range 4000 {
		effects := r.sleep(30 * time.Second)
		for _, e := range all[state.Reconnect](effects) {
			tries++
			picked[e.Name]++
		}
		if told(effects) == "" && logs(effects) != "forgoing reconnect for random throttling" {
			t.Fatalf("log %q", logs(effects))
		}
	}
	if tries < 900 || tries > 1100 { // 4000 * 5/20
		t.Errorf("%d tries, want about 1000", tries)
	}
	for name, n := range picked {
		if n < 150 || n > 250 {
			t.Errorf("%s picked %d times, want about 200", name, n)
		}
	}
	if len(picked) != 5 {
		t.Errorf("picked %v", picked)
	}
}
