package state

import (
	"maps"
	"slices"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/lamport"
	"github.com/seed-645ce708/gossip/agent/internal/view"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// maxIntents bounds the intents about unknown members, which anyone can invent. Further ones are dropped.
const maxIntents = 16384

// intent is the newest join or leave that we heard of about a member that memberlist has not shown us yet
// (reference 2.4). Gossip of Serf's may well overtake memberlist's.
type intent struct {
	leave bool
	time  lamport.Time
	heard time.Time
}

// remember reports whether the intent is newer than what we knew.
func (s *State) remember(name string, leave bool, t lamport.Time) bool {
	old, known := s.intents[name]
	if known && t <= old.time {
		return false
	}
	if !known && len(s.intents) >= maxIntents {
		s.count("serf.intents.dropped", "")
		return false
	}
	s.intents[name] = intent{leave, t, s.now}
	return true
}

// applyIntent gives a new member the intent that was here before it.
func (s *State) applyIntent(m *member) {
	in, ok := s.intents[m.pub.Name]
	if !ok {
		return
	}
	delete(s.intents, m.pub.Name)
	m.statusTime = in.time
	if in.leave {
		s.startLeaving(m)
	}
}

func (s *State) startLeaving(m *member) {
	m.leavingSince = s.now
	s.members.setStatus(m, view.StatusLeaving)
}

// joinIntent handles "the member is here", and reports whether that is news to pass on (reference 2.4).
func (s *State) joinIntent(name string, t lamport.Time) bool {
	if !s.witness(&s.clocks.member, t) {
		return false
	}
	m, known := s.members.byName[name]
	if !known {
		if g, dead := s.graves[name]; dead && t <= g.statusTime {
			return false
		}
		news := s.remember(name, false, t)
		if !s.hearsay(name) {
			s.admit(name)
		}
		return news
	}
	if t <= m.statusTime {
		return false
	}
	m.statusTime = t
	switch m.pub.Status {
	case view.StatusLeaving:
		s.members.setStatus(m, view.StatusAlive)
		delete(s.prunes, name)
	case view.StatusLeft:
		m.rejoined = true
		s.admit(name)
	}
	return true
}

// leaveIntent handles "the member leaves", and reports whether that is news to pass on (reference 2.4).
func (s *State) leaveIntent(name string, t lamport.Time, prune bool) bool {
	if !s.witness(&s.clocks.member, t) {
		return false
	}
	m, known := s.members.byName[name]
	if !known {
		return s.remember(name, true, t)
	}
	if name == s.name && s.phase == PhaseAlive && t >= m.statusTime && t > 0 {
		// A leave of the very time of our join needs an answer too, which Serf does not give: whoever heard
		// the leave first dropped our join.
		s.logf(Debug, "Refuting an older leave intent")
		s.announce()
		return false
	}
	if t <= m.statusTime {
		return false
	}
	// The time moves on even where the status does not, or two agents would pass the intent to and fro for ever.
	m.statusTime = t
	switch m.pub.Status {
	case view.StatusAlive:
		s.startLeaving(m)
	case view.StatusLeft:
		m.rejoined = false
	case view.StatusFailed:
		m.rejoined = false
		s.members.setStatus(m, view.StatusLeft)
		s.logf(Info, "EventMemberLeave (forced): %s %s", name, m.pub.Addr.Unmap())
		s.emitMember(event.TypeMemberLeave, m)
	}
	if prune && name != s.name {
		s.prune(m)
	}
	return true
}

// announce says that we are here, later than anything we have heard.
func (s *State) announce() {
	t := s.clocks.member.Time()
	s.joinIntent(s.name, t)
	s.emit(Broadcast{Queue: QueueIntent, Msg: wire.Encode(&wire.Join{LTime: t, Node: s.name})})
}

func (s *State) joined() error {
	if s.phase != PhaseAlive {
		return ErrNotAlive
	}
	s.announce()
	return nil
}

func (s *State) leaveBegin() error {
	switch s.phase {
	case PhaseLeaving:
		return ErrLeaving
	case PhaseLeft:
		return ErrLeft
	case PhaseShutdown:
		return ErrShutdown
	}
	s.phase = PhaseLeaving
	s.declareLeave(s.name, false)
	return nil
}

// declareLeave handles a leave intent of our own making, and tells everyone, if there is anyone.
func (s *State) declareLeave(name string, prune bool) {
	msg := &wire.Leave{LTime: s.clocks.member.Time(), Node: name, Prune: prune}
	s.clocks.member.Increment()
	tell := s.othersAlive()
	s.leaveIntent(name, msg.LTime, prune)
	if tell {
		s.emit(Broadcast{Queue: QueueIntent, Msg: wire.Encode(msg), Notify: true})
	}
}

// prune forgets the member: at once if it is gone; if it is about to go, then after it is gone and the news
// has had PruneDelay to spread (reference 2.8). A member that turns out to be alive is kept.
func (s *State) prune(m *member) {
	if m.pub.Status == view.StatusLeaving {
		if _, pending := s.prunes[m.pub.Name]; !pending {
			s.prunes[m.pub.Name] = s.now.Add(s.cfg.PruneDelay)
		}
		return
	}
	s.logf(Info, "EventMemberReap (forced): %s %s", m.pub.Name, m.pub.Addr.Unmap())
	s.forget(m)
}

// prunePending prunes the members whose time has come.
func (s *State) prunePending() {
	if len(s.prunes) == 0 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(s.prunes)) {
		m, known := s.members.byName[name]
		switch {
		case !known:
			delete(s.prunes, name)
		case s.now.Before(s.prunes[name]), m.pub.Status == view.StatusLeaving:
			// Not yet; or memberlist still sees it alive, and its going will bring us here again.
		default:
			delete(s.prunes, name)
			s.prune(m)
		}
	}
}

// forget erases a member.
func (s *State) forget(m *member) {
	s.bury(m)
	s.members.remove(m)
	delete(s.prunes, m.pub.Name)
	s.emitMember(event.TypeMemberReap, m)
	s.emit(Reaped{Name: m.pub.Name})
}
