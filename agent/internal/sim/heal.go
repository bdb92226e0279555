package sim

import (
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/heal"
	"github.com/seed-645ce708/gossip/agent/internal/view"
)

// healer looks for lost members as package agent does: what package heal plans, one exchange of state at a time. It
// knows no seeds.
type healer struct {
	n    *node
	s    interface{ Members() []*view.Member }
	plan *heal.Planner
}

func newHealer(m *machine) *healer {
	h := &healer{n: m.n, s: m.s, plan: heal.New(heal.Config{Interval: time.Minute, Rand: m.n.w.fork(m.n)})}
	h.wait()
	return h
}

// observe follows who is forgotten, and how.
func (h *healer) observe(e *event.Member) {
	w := h.n.w
	for _, m := range e.Members {
		switch {
		case e.Kind == event.TypeMemberReap && m.Status == view.StatusFailed:
			h.plan.Lost(m.Name, m.AddrPort().String(), w.now.time().Add(-w.stateConfig().ReconnectTimeout), time.Time{})
		case e.Kind == event.TypeMemberReap, e.Kind == event.TypeMemberJoin:
			h.plan.Forget(m.Name)
		}
	}
}

// alive returns how many members are, and whom the agent knows at all.
func (h *healer) alive() (int, *view.Snapshot) {
	snap := &view.Snapshot{Members: h.s.Members()}
	return snap.Count(view.StatusAlive), snap
}

func (h *healer) wait() {
	alive, _ := h.alive()
	h.n.call(h.plan.Wait(alive), h.turn)
}

func (h *healer) turn() {
	n := h.n
	alive, snap := h.alive()
	targets := h.plan.Turn(n.w.now.time(), alive, func(t heal.Target) bool {
		_, known := snap.Member(t.Name)
		return !known
	})
	var next func(bool)
	next = func(bool) {
		if len(targets) == 0 || n.leaving {
			h.wait()
			return
		}
		t := targets[0]
		targets = targets[1:]
		n.pushPull(n.w.find(t.Name), func(ok bool) {
			outcome := heal.Failed
			if ok {
				outcome = heal.Reached
			}
			h.plan.Done(t, outcome)
			next(ok)
		})
	}
	next(true)
}
