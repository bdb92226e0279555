package state

import (
	"net/netip"

	"github.com/seed-645ce708/gossip/agent/internal/view"
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
	s.dropOverdue()
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
