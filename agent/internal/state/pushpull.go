package state

import (
	"cmp"
	"slices"

	"github.com/seed-645ce708/gossip/agent/internal/lamport"
	"github.com/seed-645ce708/gossip/agent/internal/view"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// LocalState returns our half of a push/pull. Unlike Serf, which sends its whole ring, it leaves out empty
// slots; receivers accept any length (reference 1.5).
func (s *State) LocalState() *wire.PushPull {
	pp := &wire.PushPull{
		LTime:        s.clocks.member.Time(),
		StatusLTimes: make(map[string]lamport.Time, len(s.members.sorted)),
		LeftMembers:  make([]string, 0, s.members.counts.Left),
		EventLTime:   s.clocks.event.Time(),
		Events:       s.events.list(s.clocks.event.Time()),
		QueryLTime:   s.clocks.query.Time(),
	}
	for _, m := range s.members.sorted {
		own := s.members.byName[m.Name]
		pp.StatusLTimes[m.Name] = own.statusTime
		// Who left and has announced itself since is only waiting for memberlist to show it: to list it would make
		// a leave, and a newer one, out of its join.
		if m.Status == view.StatusLeft && !own.rejoined {
			pp.LeftMembers = append(pp.LeftMembers, m.Name)
		}
	}
	s.tell(pp)
	return pp
}

// mergeRemote takes in the peer's half (reference 2.5). Nothing of it is passed on: everyone gets such states.
func (s *State) mergeRemote(pp *wire.PushPull, ignoreOld bool) {
	if pp == nil {
		return
	}
	s.witnessRemote(&s.clocks.member, pp.LTime)
	s.witnessRemote(&s.clocks.event, pp.EventLTime)
	s.witnessRemote(&s.clocks.query, pp.QueryLTime)

	// Those who left come first: a leave counts as one later than the time that the peer has for the member.
	left := make(map[string]bool, len(pp.LeftMembers))
	for _, name := range pp.LeftMembers {
		if !left[name] {
			left[name] = true
			s.leaveIntent(name, successor(pp.StatusLTimes[name]), false)
		}
	}
	// Then the others, in an order that does not depend on the map's.
	var strangers []string
	for name, t := range pp.StatusLTimes {
		if left[name] {
			continue
		}
		if m, known := s.members.byName[name]; known && t <= m.statusTime && t < s.clocks.member.Time() {
			continue // nothing to learn, as for nearly all of them
		}
		strangers = append(strangers, name)
	}
	slices.Sort(strangers)
	for _, name := range strangers {
		s.joinIntent(name, pp.StatusLTimes[name])
	}

	if ignoreOld {
		s.events.min = max(s.events.min, min(pp.EventLTime, s.clocks.event.Time()))
	}
	slots := slices.DeleteFunc(slices.Clone(pp.Events), func(slot *wire.EventSlot) bool { return slot == nil })
	slices.SortStableFunc(slots, func(a, b *wire.EventSlot) int { return cmp.Compare(a.LTime, b.LTime) })
	for _, slot := range slots {
		for _, e := range slot.Events {
			s.userEvent(&wire.UserEvent{LTime: slot.LTime, Name: e.Name, Payload: e.Payload})
		}
	}
	s.clocks.synced = true
}
