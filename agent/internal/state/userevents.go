package state

import (
	"bytes"
	"fmt"

	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/lamport"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// maxPerTime bounds how many user events, or queries, of one Lamport time are remembered. Agents that act at
// the same moment share a time, so this allows for thousands of them. Further ones are dropped: to
// deliver what cannot be remembered would be to deliver it again and again.
const maxPerTime = 4096

// sharedTimes is how many Lamport times back a push/pull tells of, however many are remembered: as far as Serf's agents
// look.
const sharedTimes = 512

// eventRing remembers the user events of the last len(slots) Lamport times, to deliver each once and to tell
// newcomers (reference 2.6).
type eventRing struct {
	slots []*wire.EventSlot // slot t mod len holds time t; a slot is replaced, never modified
	min   lamport.Time      // older events are ignored
}

func newEventRing(size int) eventRing { return eventRing{slots: make([]*wire.EventSlot, max(size, 1))} }

// add reports whether the event is new.
func (r *eventRing) add(m *wire.UserEvent) bool {
	place := &r.slots[uint64(m.LTime)%uint64(len(r.slots))]
	next := &wire.EventSlot{LTime: m.LTime}
	if slot := *place; slot != nil {
		switch {
		case slot.LTime > m.LTime:
			return false
		case slot.LTime == m.LTime:
			for _, e := range slot.Events {
				if e.Name == m.Name && bytes.Equal(e.Payload, m.Payload) {
					return false
				}
			}
			if len(slot.Events) >= maxPerTime {
				return false
			}
			// Readers of the old slot see its length only, so both may share the memory behind.
			next.Events = slot.Events
		}
	}
	next.Events = append(next.Events, wire.SlotEvent{Name: m.Name, Payload: m.Payload})
	*place = next
	return true
}

// list returns the slots that a peer whose clock stands at now would still look at.
func (r *eventRing) list(now lamport.Time) []*wire.EventSlot {
	list := make([]*wire.EventSlot, 0, 16)
	for _, slot := range r.slots {
		if slot != nil && !tooOld(slot.LTime, now, min(len(r.slots), sharedTimes)) {
			list = append(list, slot)
		}
	}
	return list
}

// tooOld reports whether a ring of the given size, whose clock stands at now, has forgotten time t.
func tooOld(t, now lamport.Time, size int) bool {
	return uint64(now) > uint64(size) && uint64(t) < uint64(now)-uint64(size)
}

// userEvent handles a user event, and reports whether it is news to pass on.
func (s *State) userEvent(m *wire.UserEvent) bool {
	clock := &s.clocks.event
	if !s.witness(clock, m.LTime) || m.LTime < s.events.min {
		return false
	}
	if tooOld(m.LTime, clock.Time(), len(s.events.slots)) {
		s.logf(Warn, "received old event %s from time %d (current: %d)", m.Name, m.LTime, clock.Time())
		return false
	}
	if !s.events.add(m) {
		return false
	}
	s.count("serf.events", "")
	s.count("serf.events", m.Name)
	s.emitEvent(&event.User{LTime: m.LTime, Name: m.Name, Payload: m.Payload, Coalesce: m.Coalesce})
	return true
}

// sendUserEvent sends a user event of our own (reference 2.6).
func (s *State) sendUserEvent(in UserEvent) error {
	m := &wire.UserEvent{LTime: s.clocks.event.Time(), Name: in.Name, Payload: in.Payload, Coalesce: in.Coalesce}
	if n := len(in.Name) + len(in.Payload); n > s.cfg.EventSizeLimit {
		return fmt.Errorf("user event exceeds configured limit of %d bytes before encoding", s.cfg.EventSizeLimit)
	} else if n > EventSizeMax {
		return fmt.Errorf("user event exceeds sane limit of %d bytes before encoding", EventSizeMax)
	}
	raw := wire.Encode(m)
	switch {
	case len(raw) > s.cfg.EventSizeLimit:
		return fmt.Errorf("encoded user event exceeds configured limit of %d bytes after encoding", s.cfg.EventSizeLimit)
	case len(raw) > EventSizeMax:
		return fmt.Errorf("encoded user event exceeds reasonable limit of %d bytes after encoding", EventSizeMax)
	}
	s.clocks.event.Increment()
	s.userEvent(m)
	s.emit(Broadcast{Queue: QueueEvent, Msg: raw})
	return nil
}
