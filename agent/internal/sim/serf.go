package sim

import (
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/state"
	"github.com/seed-645ce708/gossip/agent/internal/view"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// serf is the layer above memberlist's: a real state machine or a compact model of one.
type serf interface {
	join(id int32)  // memberlist sees the member alive
	leave(id int32) // memberlist sees it dead or gone
	receive(m *message)
	half() (*serfHalf, int)
	merge(h *serfHalf)
	tick()
	next() instant // when a tick has something to do
	joined()
	leaveBegin(sent func())
	leaveDone()
	userEvent(name string, payload []byte) error
	members() int // of every status
	clocks() (member, event uint64)
}

func (w *World) newSerf(n *node) serf {
	if w.isMachine(n.id) {
		return newMachine(n)
	}
	return newCompact(n)
}

// stateConfig is the settings of all state machines but for their randomness.
func (w *World) stateConfig() state.Config {
	cfg := state.DefaultConfig()
	cfg.GossipInterval = w.cfg.Timing.GossipInterval
	cfg.Probation = w.cfg.Timing.Probation
	if w.cfg.Reconnect > 0 {
		cfg.ReconnectInterval = w.cfg.Reconnect
	}
	if w.cfg.ReconnectTimeout > 0 {
		cfg.ReconnectTimeout = w.cfg.ReconnectTimeout
	}
	return cfg
}

// broadcast sends a message of Serf's to everyone: to some at once, if the timing says so, and by gossip.
func (n *node) broadcast(m *message, done func()) {
	if k := n.w.cfg.Timing.Fanout; k > 0 && m.urgent() {
		for _, to := range n.pushTo(k) {
			n.sendUser(to, m)
		}
	}
	n.queues[m.queueOf()].add(m, n.hurried(done))
	n.gossipSoon()
}

// pushTo chooses as package gossip does: the live member whose name follows ours, and others at random.
func (n *node) pushTo(k int) []int32 {
	if len(n.list)-1 < 9 {
		k = min(k, 2)
	}
	live := func(id int32) bool {
		return id != n.id && (n.conditions[id] == alive || n.conditions[id] == suspect)
	}
	next := n.id
	for i := range n.conditions {
		if id := (n.id + 1 + int32(i)) % int32(len(n.conditions)); live(id) {
			next = id
			break
		}
	}
	if next == n.id {
		return nil
	}
	return append(n.pick(k-1, func(id int32) bool { return id != next && live(id) }), next)
}

// wake puts the next tick of the Serf layer on the agenda, unless an earlier one is there.
func (n *node) wake() {
	next := max(n.serf.next(), n.w.now.plus(time.Millisecond))
	if n.tickAt > n.w.now && n.tickAt <= next {
		return
	}
	n.tickAt = n.after(next.minus(n.w.now), stateTick, 0)
}

// stateTick lets the Serf layer do what is due, unless a tick that came earlier has done it.
func (n *node) stateTick() {
	if n.tickAt > 0 && n.w.now >= n.tickAt {
		n.tickAt = 0
		n.serf.tick()
		n.wake()
	}
}

// machine is a state machine with its surroundings.
type machine struct {
	n    *node
	s    *state.State
	heal *healer // nil if healing is off
}

func newMachine(n *node) *machine {
	cfg := n.w.stateConfig()
	cfg.Rand = n.w.fork(n)
	m := &machine{n: n, s: state.New(cfg, n.w.describe(n.id))}
	if n.w.cfg.Heal {
		m.heal = newHealer(m)
	}
	return m
}

// step feeds the machine and does what it says. sent is called once a broadcast that is waited for is out, or at
// once if there is none.
func (m *machine) step(in state.Input, sent func()) error {
	n := m.n
	effects, err := m.s.Step(n.w.now.time(), in)
	if err != nil {
		return err
	}
	for _, e := range effects {
		switch e := e.(type) {
		case state.Broadcast:
			msg, ok := n.w.passing(e.Msg)
			if !ok {
				msg = n.w.user(e.Msg)
			}
			var done func()
			if e.Notify && sent != nil {
				done, sent = sent, nil
			}
			n.broadcast(msg, done)
		case state.Send:
			if to := n.w.find(e.Node); to != nobody {
				n.sendUser(to, n.w.user(e.Msg))
			}
		case state.Reconnect:
			if to := n.w.find(e.Name); to != nobody {
				n.pushPull(to, func(bool) {})
			}
		case state.Emit:
			m.emit(e.Event)
		case state.QueryAck:
			n.w.answered(n.id, e.From, true)
		case state.QueryResponse:
			n.w.answered(n.id, e.From, false)
		}
	}
	if sent != nil {
		n.call(0, sent)
	}
	if n.tickAt > n.w.now {
		n.wake()
	}
	return nil
}

// sendUser sends a message of Serf's straight to one member.
func (n *node) sendUser(to int32, m *message) {
	p := n.w.newPacket()
	p.msgs = append(p.msgs, m)
	n.w.send(n.id, to, p, m.size)
}

func (m *machine) emit(e event.Event) {
	w := m.n.w
	switch e := e.(type) {
	case *event.User:
		if w.onEvent != nil {
			w.onEvent(m.n.id, &wire.UserEvent{LTime: e.LTime, Name: e.Name, Payload: e.Payload})
		}
	case *event.Member:
		if m.heal != nil {
			m.heal.observe(e)
		}
		if w.onMember == nil || e.Kind == event.TypeMemberUpdate {
			return
		}
		for _, p := range e.Members {
			status := p.Status
			if e.Kind == event.TypeMemberReap {
				status = view.StatusNone
			}
			w.onMember(m.n.id, w.find(p.Name), status)
		}
	case *event.Query:
		in := state.Respond{LTime: e.LTime, ID: e.ID, Payload: []byte("ok")}
		m.n.call(0, func() { _ = m.step(in, nil) }) // refused only if it comes too late
	}
}

func (m *machine) do(in state.Input) {
	_ = m.step(in, nil) // only local requests are refused
}

func (m *machine) join(id int32)  { m.do(state.NodeJoin{Node: m.n.w.describe(id)}) }
func (m *machine) leave(id int32) { m.do(state.NodeLeave{Node: m.n.w.describe(id)}) }

func (m *machine) receive(msg *message) {
	w := m.n.w
	w.handling = msg
	m.do(state.Receive{Msg: msg.decoded, Raw: msg.raw})
	w.handling = nil
}

func (m *machine) half() (*serfHalf, int) {
	pp := m.s.LocalState()
	return &serfHalf{wire: pp}, sizeOfPushPull(pp)
}

// sizeOfPushPull is near enough to the encoded size, without encoding it.
func sizeOfPushPull(pp *wire.PushPull) int {
	size := 80
	for name, t := range pp.StatusLTimes {
		size += sizeRaw(len(name)) + sizeUint(uint32(t))
	}
	for _, name := range pp.LeftMembers {
		size += sizeRaw(len(name))
	}
	for _, slot := range pp.Events {
		size += 16
		for _, e := range slot.Events {
			size += 16 + len(e.Name) + len(e.Payload)
		}
	}
	return size
}

func (m *machine) merge(h *serfHalf) {
	if h.wire == nil {
		h.wire = h.compact.wire(m.n.w)
	}
	m.do(state.RemoteState{State: h.wire})
}

func (m *machine) tick()         { m.do(state.Tick{}) }
func (m *machine) next() instant { return instant(m.s.Next(m.n.w.now.time()).Sub(origin)) }

func (m *machine) joined()                { m.do(state.Joined{}) }
func (m *machine) leaveBegin(sent func()) { _ = m.step(state.LeaveBegin{}, sent) } // a second one is refused
func (m *machine) leaveDone()             { m.do(state.LeaveDone{}) }
func (m *machine) members() int           { return m.s.Counts().Total() }

func (m *machine) userEvent(name string, payload []byte) error {
	return m.step(state.UserEvent{Name: name, Payload: payload}, nil)
}

func (m *machine) clocks() (member, event uint64) {
	c := m.s.Clocks()
	return uint64(c.Member), uint64(c.Event)
}
