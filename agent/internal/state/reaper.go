package state

import (
	"net/netip"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/view"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// reap forgets members that have been gone for long enough, and intents about members that never came
// (reference 2.8).
func (s *State) reap() {
	for _, pub := range s.members.publish() {
		var keep = s.cfg.TombstoneTimeout
		switch pub.Status {
		case view.StatusFailed:
			keep = s.cfg.ReconnectTimeout
		case view.StatusLeft:
		default:
			continue
		}
		m := s.members.byName[pub.Name]
		if pub.Name == s.name || s.now.Sub(m.leaveTime) <= keep {
			continue
		}
		s.logf(Info, "EventMemberReap: %s", pub.Name)
		s.forget(m)
	}
	for name, in := range s.intents {
		if s.now.Sub(in.heard) > s.cfg.RecentIntentTimeout {
			delete(s.intents, name)
		}
	}
	s.clearGraves()
	s.dropOverdue()
}

// stuckAfter is how long a leave may take at most, by far: an agent that announces it goes within seconds.
const stuckAfter = time.Minute

// challenge asks members that have been leaving for too long whether they mean it. A leave and a join that
// cross may leave a live member as leaving with some agents and alive with others, and push/pulls do not mend
// that, for they do not tell leaving from alive. A new leave intent, sent to that member alone, does: it
// refutes it, to everyone. Stock agents answer like ours.
func (s *State) challenge() {
	if s.members.counts.Leaving == 0 {
		return
	}
	for _, pub := range s.members.sorted {
		if pub.Status != view.StatusLeaving || pub.Name == s.name || s.now.Sub(s.members.byName[pub.Name].leavingSince) < stuckAfter {
			continue
		}
		s.doubt(pub.AddrPort(), pub.Name)
	}
}

// doubt sends a member, and nobody else, word that it leaves, which it denies to everyone if it is alive.
func (s *State) doubt(addr netip.AddrPort, name string) {
	msg := &wire.Leave{LTime: s.clocks.member.Time(), Node: name}
	s.clocks.member.Increment()
	s.emit(Send{To: addr, Node: name, Msg: wire.Encode(msg)})
}

// reconnect picks a failed member to try again, the more likely the more of the cluster has failed, so that
// the agents of a large cluster do not all call the same few dead nodes (reference 2.8).
func (s *State) reconnect() {
	c := s.members.counts
	if c.Failed == 0 {
		return
	}
	alive := max(c.Total()-c.Failed-c.Left, 1)
	if s.rand.Float64() > float64(c.Failed)/float64(alive) {
		s.logf(Debug, "forgoing reconnect for random throttling")
		return
	}
	pick := s.rand.IntN(c.Failed)
	for _, m := range s.members.sorted {
		if m.Status != view.StatusFailed {
			continue
		}
		if pick == 0 {
			addr := netip.AddrPortFrom(m.Addr.Unmap(), m.Port)
			s.logf(Info, "attempting reconnect to %s %s", m.Name, addr)
			s.emit(Reconnect{Name: m.Name, Addr: addr})
			return
		}
		pick--
	}
}
