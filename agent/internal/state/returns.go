package state

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/lamport"
	"github.com/seed-645ce708/gossip/agent/internal/view"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// Who left or was removed does not come back on hearsay. A peer that was cut off or asleep still takes such a
// member for alive, and says so; memberlist believes it, until probes fail. Serf shows the member as alive again,
// and then as failed for a day. We show it again when there is a sign of life: a join intent newer than its
// leave. Without one it is asked, by a leave intent of which every live agent, stock or ours, says that it is
// wrong; and if it is still there when Config.Probation is over, which no dead member is, it is taken back
// unasked.

const (
	// maxGraves and graveAge bound what is remembered of members that were forgotten.
	maxGraves = 1024
	graveAge  = 30 * 24 * time.Hour
	// askAfter is how long a join intent may take, and how long an answer may.
	askAfter, askAgain = time.Second, 5 * time.Second
)

// grave is all that is kept of a member that left, or was pruned, and is forgotten.
type grave struct {
	statusTime lamport.Time
	dug        time.Time
	pruned     bool // before TombstoneTimeout was over: others may not know yet
}

// visitor is a member that memberlist sees alive, though it left.
type visitor struct {
	node  Node
	since time.Time
	ask   time.Time // when to ask it next
}

// bury remembers that a member is gone for good. A failed one is not: it may be back at any time.
func (s *State) bury(m *member) {
	if s.cfg.Probation == 0 || m.pub.Status == view.StatusFailed {
		return
	}
	s.graves[m.pub.Name] = grave{
		statusTime: m.statusTime, dug: s.now, pruned: s.now.Sub(m.leaveTime) < s.cfg.TombstoneTimeout,
	}
	if len(s.graves) <= maxGraves {
		return
	}
	oldest := m.pub.Name
	for name, g := range s.graves {
		if cmp.Or(g.dug.Compare(s.graves[oldest].dug), cmp.Compare(name, oldest)) < 0 {
			oldest = name
		}
	}
	delete(s.graves, oldest)
}

// hearsay tells whether a node that memberlist sees alive left, as far as we know, and has not joined since.
func (s *State) hearsay(name string) bool {
	if s.cfg.Probation == 0 || name == s.name {
		return false
	}
	if m, known := s.members.byName[name]; known {
		return m.pub.Status == view.StatusLeft && !m.rejoined
	}
	g, dead := s.graves[name]
	if !dead {
		return false
	}
	in, heard := s.intents[name]
	return !heard || in.leave || in.time <= g.statusTime
}

// wait lets a node wait until there is a sign of life.
func (s *State) wait(n Node) {
	v := s.visitors[n.Name]
	if v == nil {
		v = &visitor{since: s.now, ask: s.now.Add(askAfter)}
		s.visitors[n.Name] = v
		s.logf(Debug, "%s left, and is said to be alive: waiting for a sign of life", n.Name)
	}
	v.node = n
}

// admit takes a waiting node back, if there is one.
func (s *State) admit(name string) {
	v, waits := s.visitors[name]
	if !waits {
		return
	}
	delete(s.visitors, name)
	s.welcome(v.node)
}

// visit asks those who wait, and takes back those who have waited long enough.
func (s *State) visit() {
	if len(s.visitors) == 0 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(s.visitors)) {
		v := s.visitors[name]
		if !s.now.Before(v.since.Add(s.cfg.Probation)) {
			if s.intents[name].leave {
				delete(s.intents, name)
			}
			s.admit(name)
			continue
		}
		if s.now.Before(v.ask) {
			continue
		}
		v.ask = s.now.Add(askAgain)
		s.doubt(netip.AddrPortFrom(v.node.Addr.Unmap(), v.node.Port), name)
	}
}

// nextVisit returns when visit has something to do, if that is before next.
func (s *State) nextVisit(next time.Time) time.Time {
	for _, v := range s.visitors {
		for _, t := range []time.Time{v.ask, v.since.Add(s.cfg.Probation)} {
			if t.Before(next) {
				next = t
			}
		}
	}
	return next
}

// tell adds to a push/pull those who were pruned lately, as having left: a peer that was away then must not keep
// them for failed and look for them.
func (s *State) tell(pp *wire.PushPull) {
	for _, name := range slices.Sorted(maps.Keys(s.graves)) {
		g := s.graves[name]
		if _, waits := s.visitors[name]; waits || !g.pruned || s.now.Sub(g.dug) > s.cfg.TombstoneTimeout {
			continue
		}
		pp.StatusLTimes[name] = g.statusTime
		pp.LeftMembers = append(pp.LeftMembers, name)
	}
}

// clearGraves drops those that are old.
func (s *State) clearGraves() {
	maps.DeleteFunc(s.graves, func(_ string, g grave) bool { return s.now.Sub(g.dug) > graveAge })
}
