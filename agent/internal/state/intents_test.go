package state_test

import (
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/lamport"
	"github.com/seed-645ce708/gossip/agent/internal/state"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

func wireTime(t uint64) lamport.Time { return lamport.Time(t) }

// The table of Serf reference 2.1.
func TestClocks(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.wantClocks(1, 1, 1)
	r.want("never joined", r.status("self"), "alive@0")
	r.want("join", told(r.step(state.Joined{})), "broadcast join(self,1)")
	r.wantClocks(2, 1, 1)
	r.want("joined", r.status("self"), "alive@1")
	r.step(state.UserEvent{Name: "e"})
	r.wantClocks(2, 2, 1)
	r.step(state.Query{Name: "q"})
	r.wantClocks(2, 2, 2)
	r.step(state.ForceLeave{Name: "nobody"})
	r.wantClocks(3, 2, 2)
	r.hear(&wire.Join{LTime: 10, Node: "x"})
	r.hear(&wire.UserEvent{LTime: 20, Name: "e"})
	r.hear(&wire.Query{LTime: 30, Name: "q"})
	r.wantClocks(11, 21, 31)
	r.hear(&wire.Leave{LTime: 11, Node: "x"})
	r.wantClocks(12, 21, 31)
	r.hear(&wire.Join{LTime: 3, Node: "x"}) // old, yet witnessed
	r.wantClocks(12, 21, 31)
	r.step(state.RemoteState{State: &wire.PushPull{LTime: 50, EventLTime: 60, QueryLTime: 70}})
	r.wantClocks(50, 60, 70)
	r.step(state.RemoteState{State: &wire.PushPull{}})
	r.wantClocks(50, 60, 70)
}

func TestRestore(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.step(state.Restore{Member: 100, Event: 200, Query: 300})
	r.wantClocks(101, 201, 301)
	r.want("an event of the earlier life", told(r.hear(&wire.UserEvent{LTime: 200, Name: "old"})), "")
	r.want("a new event", told(r.hear(&wire.UserEvent{LTime: 201, Name: "new"})), "user-event: new; broadcast event(new,201)")
	r.want("a query of the earlier life", told(r.hear(&wire.Query{LTime: 300, Name: "old"})), "")
	r.want("a new query", told(r.hear(&wire.Query{LTime: 301, Name: "new"})), "query: new; broadcast query(new,301)")
}

func TestRefute(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.step(state.Joined{})
	effects := r.hear(&wire.Leave{LTime: 41, Node: "self", Prune: true})
	r.want("told", told(effects), "broadcast join(self,42)")
	r.want("log", logs(effects), "Refuting an older leave intent")
	r.want("status", r.status("self"), "alive@42")
	r.want("again", told(r.hear(&wire.Leave{LTime: 41, Node: "self"})), "")
	r.want("of the same time", told(r.hear(&wire.Leave{LTime: 42, Node: "self"})), "broadcast join(self,43)")

	// A peer that has us as left says so in push/pulls.
	effects = r.step(state.RemoteState{State: &wire.PushPull{
		LTime: 60, LeftMembers: []string{"self"}, StatusLTimes: map[string]lamport.Time{"self": 50},
	}})
	r.want("push/pull", told(effects), "broadcast join(self,60)")
}

func TestLeave(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("x")
	r.step(state.Joined{})
	effects := r.step(state.LeaveBegin{})
	r.want("told", told(effects), "broadcast leave(self,2)")
	if b := all[state.Broadcast](effects); !b[0].Notify || b[0].Queue != state.QueueIntent {
		t.Errorf("broadcast %+v", b[0])
	}
	r.want("status", r.status("self"), "leaving@2")
	if r.s.Phase() != state.PhaseLeaving {
		t.Errorf("phase %v", r.s.Phase())
	}
	r.want("twice", r.refused(state.LeaveBegin{}), "Leave already in progress")
	r.want("join", r.refused(state.Joined{}), "Serf can't Join after Leave or Shutdown")
	r.want("no refutation", told(r.hear(&wire.Leave{LTime: 9, Node: "self"})), "broadcast leave(self,9)")
	r.step(state.NodeLeave{Node: node("self")})
	r.want("status", r.status("self"), "left@9")
	r.step(state.LeaveDone{})
	r.want("after success", r.refused(state.LeaveBegin{}), "already left")
	r.want("join", r.refused(state.Joined{}), "Serf can't Join after Leave or Shutdown")
	r.want("shutdown", logs(r.step(state.Shutdown{})), "")
	r.want("leave", r.refused(state.LeaveBegin{}), "Leave called after Shutdown")
	r.want("join", r.refused(state.Joined{}), "Serf can't Join after Leave or Shutdown")
}

func TestLeaveAlone(t *testing.T) {
	t.Parallel()
	for _, others := range []string{"unknown", "leaving", "left", "failed"} {
		r := newRig(t)
		r.put(others)
		r.want("nobody to tell beside one that is "+others, told(r.step(state.LeaveBegin{})), "")
		r.want("status", r.member("self").Status.String(), "leaving")
	}
}

func TestShutdownWithoutLeave(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want("log", logs(r.step(state.Shutdown{})), "Shutdown without a Leave")
	r.step(state.LeaveDone{})
	if r.s.Phase() != state.PhaseShutdown {
		t.Errorf("phase %v", r.s.Phase())
	}
}

func TestForceLeave(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("y")
	r.put("failed")
	effects := r.step(state.ForceLeave{Name: "x"})
	r.want("failed", told(effects), "member-leave x(left); broadcast leave(x,11)")
	if b := all[state.Broadcast](effects); !b[0].Notify {
		t.Error("nobody waits for the broadcast")
	}
	r.want("again, with prune", told(r.step(state.ForceLeave{Name: "x", Prune: true})), "member-reap x(left); reaped x; broadcast prune(x,12)")
	r.want("unknown", told(r.step(state.ForceLeave{Name: "nobody"})), "broadcast leave(nobody,13)")
	r.want("ourselves", told(r.step(state.ForceLeave{Name: "self"})), "broadcast join(self,15); broadcast leave(self,14)")
	r.want("status", r.status("self"), "alive@15")
	r.want("alive", told(r.step(state.ForceLeave{Name: "y"})), "broadcast leave(y,16)")
	r.want("its refutation", told(r.hear(&wire.Join{LTime: 17, Node: "y"})), "broadcast join(y,17)")
	r.want("status", r.status("y"), "alive@17")

	alone := newRig(t)
	alone.put("failed")
	alone.want("nobody to tell", told(alone.step(state.ForceLeave{Name: "x"})), "member-leave x(left)")
}

func TestPruneWaits(t *testing.T) {
	t.Parallel()
	gone := "member-leave x(left)"
	pruned := "member-reap x(left); reaped x"
	start := func(t *testing.T) *rig {
		r := newRig(t)
		r.put("alive")
		r.want("told", told(r.step(state.ForceLeave{Name: "x", Prune: true})), "broadcast prune(x,11)")
		return r
	}
	t.Run("gone before its time", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		r.sleep(2 * time.Second)
		r.want("leaves", told(r.step(state.NodeLeave{Node: node("x")})), gone)
		if next, want := r.s.Next(r.now), r.now.Add(4*time.Second); !next.Equal(want) {
			t.Errorf("next tick in %v, want 4s", next.Sub(r.now))
		}
		r.want("too early", told(r.sleep(4*time.Second-1)), "")
		r.want("in time", told(r.sleep(1)), pruned)
		r.want("status", r.status("x"), "unknown")
	})
	t.Run("gone after its time", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		r.want("still there", told(r.sleep(10*time.Second)), "")
		if next := r.s.Next(r.now); !next.After(r.now) {
			t.Error("asks for ticks while it waits for memberlist")
		}
		r.want("leaves", told(r.step(state.NodeLeave{Node: node("x")})), gone+"; "+pruned)
	})
	t.Run("refuted", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		r.hear(&wire.Join{LTime: 12, Node: "x"})
		r.want("time over", told(r.sleep(7*time.Second)), "")
		r.want("status", r.status("x"), "alive@12")
		r.step(state.NodeLeave{Node: node("x")})
		r.want("fails later", r.status("x"), "failed@12")
	})
	t.Run("joins again", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		r.joins("x")
		r.want("time over", told(r.sleep(7*time.Second)), "")
		r.want("status", r.status("x"), "alive@11")
	})
	t.Run("a second prune does not start the wait again", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		r.sleep(5 * time.Second)
		r.hear(&wire.Leave{LTime: 12, Node: "x", Prune: true})
		r.step(state.NodeLeave{Node: node("x")})
		r.want("told", told(r.sleep(time.Second)), pruned)
	})
}
