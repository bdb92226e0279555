package sim

import (
	"bytes"
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/lamport"
	"github.com/seed-645ce708/gossip/agent/internal/state"
	"github.com/seed-645ce708/gossip/agent/internal/view"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// compact follows the rules of package state for members, intents and user events on flat tables. It takes part
// in no queries.
type compact struct {
	n     *node
	cfg   state.Config
	rand  *rand.Rand
	phase state.Phase
	compactState
	counts  state.Counts
	intents map[int32]compactIntent
	gone    map[int32]instant // when memberlist saw it go
	leaving map[int32]instant // since when it has been leaving
	ring    []*wire.EventSlot

	nextReap, nextReconnect instant
}

// compactState is what a push/pull carries.
type compactState struct {
	member, event lamport.Clock
	statuses      []view.Status
	times         []uint32 // of the newest intents
	events        []*wire.EventSlot
}

type compactIntent struct {
	leave bool
	time  uint32
	heard instant
}

// compactRing is how many user events are remembered.
const compactRing = 512

func newCompact(n *node) *compact {
	c := &compact{
		n: n, cfg: n.w.stateConfig(), rand: n.w.fork(n),
		intents: map[int32]compactIntent{}, gone: map[int32]instant{}, leaving: map[int32]instant{},
		ring: make([]*wire.EventSlot, compactRing),
	}
	c.statuses, c.times = make([]view.Status, len(n.w.nodes)), make([]uint32, len(n.w.nodes))
	c.member.Increment()
	c.event.Increment()
	c.set(n.id, view.StatusAlive)
	c.nextReap, c.nextReconnect = n.w.now.plus(c.cfg.ReapInterval), n.w.now.plus(c.cfg.ReconnectInterval)
	return c
}

func (c *compact) set(id int32, s view.Status) {
	c.count(c.statuses[id], -1)
	c.count(s, 1)
	c.statuses[id] = s
}

func (c *compact) count(s view.Status, by int) {
	switch s {
	case view.StatusAlive:
		c.counts.Alive += by
	case view.StatusLeaving:
		c.counts.Leaving += by
	case view.StatusLeft:
		c.counts.Left += by
	case view.StatusFailed:
		c.counts.Failed += by
	}
}

func (c *compact) emit(id int32, s view.Status) {
	if f := c.n.w.onMember; f != nil {
		f(c.n.id, id, s)
	}
}

func (c *compact) join(id int32) {
	known := c.statuses[id] != view.StatusNone
	c.set(id, view.StatusAlive)
	delete(c.gone, id)
	if !known {
		if in, ok := c.intents[id]; ok {
			delete(c.intents, id)
			c.times[id] = in.time
			if in.leave {
				c.startLeaving(id)
			}
		}
	}
	c.emit(id, c.statuses[id])
}

func (c *compact) leave(id int32) {
	switch c.statuses[id] {
	case view.StatusLeaving:
		c.set(id, view.StatusLeft)
	case view.StatusAlive:
		c.set(id, view.StatusFailed)
	default:
		return
	}
	c.gone[id] = c.n.w.now
	c.emit(id, c.statuses[id])
}

func (c *compact) startLeaving(id int32) {
	c.leaving[id] = c.n.w.now
	c.set(id, view.StatusLeaving)
}

func (c *compact) remember(id int32, leave bool, t uint32) bool {
	if old, ok := c.intents[id]; ok && t <= old.time {
		return false
	}
	c.intents[id] = compactIntent{leave, t, c.n.w.now}
	return true
}

func (c *compact) joinIntent(id int32, t uint32) bool {
	c.member.Witness(lamport.Time(t))
	if c.statuses[id] == view.StatusNone {
		return c.remember(id, false, t)
	}
	if t <= c.times[id] {
		return false
	}
	c.times[id] = t
	if c.statuses[id] == view.StatusLeaving {
		c.set(id, view.StatusAlive)
	}
	return true
}

func (c *compact) leaveIntent(id int32, t uint32) bool {
	c.member.Witness(lamport.Time(t))
	if c.statuses[id] == view.StatusNone {
		return c.remember(id, true, t)
	}
	if id == c.n.id && c.phase == state.PhaseAlive && t >= c.times[id] && t > 0 {
		c.announce()
		return false
	}
	if t <= c.times[id] {
		return false
	}
	c.times[id] = t
	switch c.statuses[id] {
	case view.StatusAlive:
		c.startLeaving(id)
	case view.StatusFailed:
		c.set(id, view.StatusLeft)
		c.emit(id, view.StatusLeft)
	}
	return true
}

func (c *compact) announce() {
	t := c.member.Time()
	c.joinIntent(c.n.id, uint32(t))
	c.n.broadcast(c.n.w.user(wire.Encode(&wire.Join{LTime: t, Node: c.n.name})), nil)
}

func (c *compact) joined() {
	if c.phase == state.PhaseAlive {
		c.announce()
	}
}

func (c *compact) leaveBegin(sent func()) {
	if c.phase != state.PhaseAlive {
		return
	}
	c.phase = state.PhaseLeaving
	msg := &wire.Leave{LTime: c.member.Time(), Node: c.n.name}
	c.member.Increment()
	others := c.counts.Alive
	if c.statuses[c.n.id] == view.StatusAlive {
		others--
	}
	c.leaveIntent(c.n.id, uint32(msg.LTime))
	if others > 0 {
		c.n.broadcast(c.n.w.user(wire.Encode(msg)), sent)
	} else {
		c.n.call(0, sent)
	}
}

func (c *compact) leaveDone() { c.phase = state.PhaseLeft }

func (c *compact) receive(m *message) {
	news := false
	switch d := m.decoded.(type) {
	case *wire.Join:
		news = m.subject != nobody && c.joinIntent(m.subject, uint32(d.LTime))
	case *wire.Leave:
		news = m.subject != nobody && c.leaveIntent(m.subject, uint32(d.LTime))
	case *wire.UserEvent:
		news = c.deliver(d)
	}
	if news {
		c.n.broadcast(m, nil)
	}
}

func (c *compact) userEvent(name string, payload []byte) error {
	e := &wire.UserEvent{LTime: c.event.Time(), Name: name, Payload: payload}
	c.event.Increment()
	c.deliver(e)
	c.n.broadcast(c.n.w.user(wire.Encode(e)), nil)
	return nil
}

// deliver reports whether the event is news.
func (c *compact) deliver(e *wire.UserEvent) bool {
	c.event.Witness(e.LTime)
	if now := c.event.Time(); now > compactRing && e.LTime < now-compactRing {
		return false
	}
	place := &c.ring[e.LTime%compactRing]
	next := &wire.EventSlot{LTime: e.LTime}
	if s := *place; s != nil {
		if s.LTime > e.LTime {
			return false
		}
		if s.LTime == e.LTime {
			for _, old := range s.Events {
				if old.Name == e.Name && bytes.Equal(old.Payload, e.Payload) {
					return false
				}
			}
			next.Events = s.Events
		}
	}
	next.Events = append(next.Events, wire.SlotEvent{Name: e.Name, Payload: e.Payload})
	*place = next
	if f := c.n.w.onEvent; f != nil {
		f(c.n.id, e)
	}
	return true
}

func (c *compact) half() (*serfHalf, int) {
	s := &compactState{member: c.member, event: c.event, statuses: slices.Clone(c.statuses), times: slices.Clone(c.times)}
	size := 80
	for i, status := range s.statuses {
		if status != view.StatusNone {
			size += sizeRaw(len(c.n.w.nodes[i].name)) + sizeUint(s.times[i])
		}
		if status == view.StatusLeft {
			size += sizeRaw(len(c.n.w.nodes[i].name))
		}
	}
	now := c.event.Time()
	for _, slot := range c.ring {
		if slot == nil || now > compactRing && slot.LTime < now-compactRing {
			continue
		}
		s.events = append(s.events, slot)
		size += 16
		for _, e := range slot.Events {
			size += 16 + len(e.Name) + len(e.Payload)
		}
	}
	return &serfHalf{compact: s}, size
}

// wire is what a real state machine would have sent.
func (s *compactState) wire(w *World) *wire.PushPull {
	pp := &wire.PushPull{
		LTime: s.member.Time(), EventLTime: s.event.Time(), QueryLTime: 1, Events: s.events,
		StatusLTimes: make(map[string]lamport.Time, len(s.statuses)),
	}
	for i, status := range s.statuses {
		if status == view.StatusNone {
			continue
		}
		name := w.nodes[i].name
		pp.StatusLTimes[name] = lamport.Time(s.times[i])
		if status == view.StatusLeft {
			pp.LeftMembers = append(pp.LeftMembers, name)
		}
	}
	return pp
}

// unwire turns what a real state machine sent into tables.
func unwire(pp *wire.PushPull, w *World) *compactState {
	s := &compactState{events: pp.Events, statuses: make([]view.Status, len(w.nodes)), times: make([]uint32, len(w.nodes))}
	if pp.LTime > 0 {
		s.member.Witness(pp.LTime - 1)
	}
	if pp.EventLTime > 0 {
		s.event.Witness(pp.EventLTime - 1)
	}
	for i := range w.nodes {
		if t, ok := pp.StatusLTimes[w.nodes[i].name]; ok {
			s.statuses[i], s.times[i] = view.StatusAlive, uint32(t)
		}
	}
	for _, name := range pp.LeftMembers {
		if id := w.find(name); id != nobody {
			s.statuses[id] = view.StatusLeft
		}
	}
	return s
}

func (c *compact) merge(h *serfHalf) {
	if h.compact == nil {
		h.compact = unwire(h.wire, c.n.w)
	}
	theirs := h.compact
	c.member.Witness(theirs.member.Time() - 1)
	c.event.Witness(theirs.event.Time() - 1)
	for i, s := range theirs.statuses {
		if s == view.StatusLeft {
			c.leaveIntent(int32(i), theirs.times[i]+1)
		}
	}
	now := uint32(c.member.Time())
	for i, s := range theirs.statuses {
		t := theirs.times[i]
		if s == view.StatusNone || s == view.StatusLeft || c.statuses[i] != view.StatusNone && t <= c.times[i] && t < now {
			continue
		}
		c.joinIntent(int32(i), t)
	}
	slots := slices.Clone(theirs.events)
	slices.SortStableFunc(slots, func(a, b *wire.EventSlot) int { return cmp.Compare(a.LTime, b.LTime) })
	for _, slot := range slots {
		for _, e := range slot.Events {
			c.deliver(&wire.UserEvent{LTime: slot.LTime, Name: e.Name, Payload: e.Payload})
		}
	}
}

func (c *compact) members() int { return c.counts.Total() }

func (c *compact) clocks() (member, event uint64) {
	return uint64(c.member.Time()), uint64(c.event.Time())
}

func (c *compact) next() instant { return min(c.nextReap, c.nextReconnect) }

func (c *compact) tick() {
	now := c.n.w.now
	if now >= c.nextReap {
		c.nextReap = now.plus(c.cfg.ReapInterval)
		c.reap()
		c.challenge()
	}
	if now >= c.nextReconnect {
		c.nextReconnect = now.plus(c.cfg.ReconnectInterval)
		c.reconnect()
	}
}

func (c *compact) reap() {
	now := c.n.w.now
	if c.counts.Failed+c.counts.Left > 0 {
		for i, s := range c.statuses {
			id := int32(i)
			keep := c.cfg.TombstoneTimeout
			switch s {
			case view.StatusFailed:
				keep = c.cfg.ReconnectTimeout
			case view.StatusLeft:
			default:
				continue
			}
			if id == c.n.id || now.minus(c.gone[id]) <= keep {
				continue
			}
			c.set(id, view.StatusNone)
			c.times[id] = 0
			delete(c.gone, id)
			c.emit(id, view.StatusNone)
		}
	}
	for id, in := range c.intents {
		if now.minus(in.heard) > c.cfg.RecentIntentTimeout {
			delete(c.intents, id)
		}
	}
}

// challenge asks members that have been leaving for long whether they mean it.
func (c *compact) challenge() {
	if c.counts.Leaving == 0 {
		return
	}
	for i, s := range c.statuses {
		id := int32(i)
		if s != view.StatusLeaving || id == c.n.id || c.n.w.now.minus(c.leaving[id]) < time.Minute {
			continue
		}
		t := c.member.Time()
		c.member.Increment()
		c.n.sendUser(id, c.n.w.user(wire.Encode(&wire.Leave{LTime: t, Node: c.n.w.nodes[id].name})))
	}
}

func (c *compact) reconnect() {
	if c.counts.Failed == 0 {
		return
	}
	live := max(c.counts.Total()-c.counts.Failed-c.counts.Left, 1)
	if c.rand.Float64() > float64(c.counts.Failed)/float64(live) {
		return
	}
	pick := c.rand.IntN(c.counts.Failed)
	for i, s := range c.statuses {
		if s != view.StatusFailed {
			continue
		}
		if pick == 0 {
			c.n.pushPull(int32(i), func(bool) {})
			return
		}
		pick--
	}
}
