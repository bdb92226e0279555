package state_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/lamport"
	"github.com/seed-645ce708/gossip/agent/internal/state"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

func probation(c *state.Config) {
	c.Probation = 30 * time.Second
	c.ReconnectInterval = 1000 * time.Hour
}

// gone brings x, last heard of at time 10, into a state in which it left.
func (r *rig) gone(how string) {
	r.t.Helper()
	switch how {
	case "left":
		r.put("left")
	case "forced":
		r.put("failed")
		r.hear(&wire.Leave{LTime: 10 + 1, Node: "x"})
	case "pruned":
		r.put("failed")
		r.hear(&wire.Leave{LTime: 11, Node: "x", Prune: true})
	case "reaped":
		r.put("left")
		r.sleep(25 * time.Hour)
		r.want("reaped", r.status("x"), "unknown")
	}
}

// Who left does not come back because somebody says that it is alive, but at once with a newer join, whichever is
// heard first, and in the end because it is still there.
func TestNoReturnOnHearsay(t *testing.T) {
	t.Parallel()
	joined := "member-join x(alive)"
	for _, how := range []string{"left", "forced", "pruned", "reaped"} {
		start := func(t *testing.T) *rig {
			r := newRig(t, probation)
			r.gone(how)
			return r
		}
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			r := start(t)
			before := r.status("x")
			r.want("said to be alive", told(r.step(state.NodeJoin{Node: node("x")})), "")
			r.want("said so again", told(r.step(state.NodeJoin{Node: node("x")})), "")
			r.want("it has another tag", told(r.step(state.NodeUpdate{Node: node("x")})), "")
			r.want("status", r.status("x"), before)
			old := &wire.PushPull{LTime: 9, StatusLTimes: map[string]lamport.Time{"x": 9}}
			r.want("an old state", told(r.step(state.RemoteState{State: old})), "")
			r.want("found out", told(r.step(state.NodeLeave{Node: node("x")}))+logs(nil), "")
			r.want("nothing is left of it", told(r.sleep(time.Minute)), "")
			r.want("status", r.status("x"), before)
		})
		t.Run(how+", asked", func(t *testing.T) {
			t.Parallel()
			r := start(t)
			r.step(state.NodeJoin{Node: node("x")})
			if next := r.s.Next(r.now).Sub(r.now); next > time.Second {
				t.Errorf("next tick in %v", next)
			}
			at := uint64(r.s.Clocks().Member)
			r.want("asked", told(r.sleep(time.Second)), fmt.Sprintf("send leave(x,%d) to x 10.0.0.120:7946", at))
			r.want("patience", told(r.sleep(4*time.Second)), "")
			r.want("asked again", told(r.sleep(time.Second)), fmt.Sprintf("send leave(x,%d) to x 10.0.0.120:7946", at+1))
			r.want("says no", told(r.hear(&wire.Join{LTime: wireTime(at + 2), Node: "x"})), joined+fmt.Sprintf("; broadcast join(x,%d)", at+2))
			r.want("status", r.status("x"), fmt.Sprintf("alive@%d", at+2))
			r.want("content", told(r.sleep(7*time.Second)), "")
		})
		t.Run(how+", join first", func(t *testing.T) {
			t.Parallel()
			r := start(t)
			r.hear(&wire.Join{LTime: 40, Node: "x"})
			r.want("then memberlist", told(r.step(state.NodeJoin{Node: node("x")})), joined)
			r.want("status", r.status("x"), "alive@40")
		})
		t.Run(how+", join by push/pull", func(t *testing.T) {
			t.Parallel()
			r := start(t)
			r.step(state.NodeJoin{Node: node("x")})
			pp := &wire.PushPull{LTime: 50, StatusLTimes: map[string]lamport.Time{"x": 40}}
			r.want("told", told(r.step(state.RemoteState{State: pp})), joined)
		})
		t.Run(how+", join older than the leave", func(t *testing.T) {
			t.Parallel()
			r := start(t)
			r.hear(&wire.Join{LTime: 10, Node: "x"})
			r.want("told", told(r.step(state.NodeJoin{Node: node("x")})), "")
		})
		t.Run(how+", still there", func(t *testing.T) {
			t.Parallel()
			r := start(t)
			r.step(state.NodeJoin{Node: node("x")})
			r.hear(&wire.Leave{LTime: 41, Node: "x"}) // what others think of it
			r.sleep(29 * time.Second)
			r.want("time over", told(r.sleep(time.Second)), joined)
			r.want("fails as others do", told(r.step(state.NodeLeave{Node: node("x")})), "member-failed x(failed)")
		})
	}
	t.Run("failed", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, probation)
		r.put("failed")
		r.sleep(25 * time.Hour)
		r.want("reaped", r.status("x"), "unknown")
		r.want("welcome", told(r.step(state.NodeJoin{Node: node("x")})), joined)
	})
	t.Run("left twice", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, probation)
		r.put("left")
		r.hear(&wire.Join{LTime: 20, Node: "x"})
		r.step(state.NodeJoin{Node: node("x")})
		r.hear(&wire.Leave{LTime: 30, Node: "x"})
		r.step(state.NodeLeave{Node: node("x")})
		r.want("status", r.status("x"), "left@30")
		r.want("said to be alive", told(r.step(state.NodeJoin{Node: node("x")})), "")
	})
	t.Run("ourselves", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, probation)
		r.step(state.LeaveBegin{})
		r.step(state.NodeLeave{Node: node("self")})
		r.want("told", told(r.step(state.NodeJoin{Node: node("self")})), "member-join self(alive)")
	})
}

// Peers that were away when a member was pruned are told that it left, for as long as Serf tells of such members.
func TestPrunedAreTold(t *testing.T) {
	t.Parallel()
	r := newRig(t, probation)
	r.gone("pruned")
	away := newRig(t, probation)
	away.put("failed")
	exchange := func() []state.Effect {
		pp, err := wire.DecodePushPull(wire.Encode(r.s.LocalState()))
		if err != nil {
			t.Fatal(err)
		}
		return away.step(state.RemoteState{State: pp})
	}
	away.want("told", told(exchange()), "member-leave x(left)")
	r.want("unmoved", told(r.step(state.RemoteState{State: away.s.LocalState()})), "")
	r.sleep(24*time.Hour + time.Second)
	if pp := r.s.LocalState(); len(pp.LeftMembers) != 0 || len(pp.StatusLTimes) != 1 {
		t.Errorf("after a day: %+v", pp)
	}
	r = newRig(t, probation)
	r.gone("reaped")
	if pp := r.s.LocalState(); len(pp.LeftMembers) != 0 {
		t.Errorf("all have known for a day: %+v", pp)
	}
}

func TestGravesAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, probation)
	for i := range 1030 {
		name := fmt.Sprint("n", i)
		r.joins(name)
		r.step(state.NodeLeave{Node: node(name)})
		r.hear(&wire.Leave{LTime: wireTime(uint64(100 + i)), Node: name, Prune: true})
		r.now = r.now.Add(time.Millisecond)
	}
	if n := len(r.s.LocalState().LeftMembers); n != 1024 {
		t.Errorf("%d are remembered, want 1024", n)
	}
	r.want("the first is forgotten", told(r.step(state.NodeJoin{Node: node("n5")})), "member-join n5(alive)")
	r.want("the last is not", told(r.step(state.NodeJoin{Node: node("n1029")})), "")
	r.sleep(31 * 24 * time.Hour) // takes the last back, who is still alive
	r.want("after a month", told(r.step(state.NodeJoin{Node: node("n900")})), "member-join n900(alive)")
}
