package sim

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/state"
	"github.com/seed-645ce708/gossip/agent/internal/view"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// Config describes a simulation.
type Config struct {
	// Nodes is how many agents there are at most. They are numbered from 0.
	Nodes int
	// Seed decides all that is random.
	Seed    uint64
	Timing  Timing
	Network Network
	// Machines is how many agents, evenly spread, are real state machines; the others are compact models. Below
	// 0 all are real.
	Machines int
	// Reconnect is how often state machines try a failed member again, and ReconnectTimeout how long they
	// remember it; 0 means Serf's defaults.
	Reconnect, ReconnectTimeout time.Duration
	// Heal lets state machines look for members that they have forgotten, as package agent does. Compact models do not.
	Heal bool
}

// Counters count what happened on the network since the start.
type Counters struct {
	Packets, PacketBytes uint64 // sent, with IP and UDP headers
	Streams, StreamBytes uint64 // connections made, with headers
	Lost, Duplicated     uint64 // packets, by chance
	Cut                  uint64 // packets into another partition, or to an agent that is not running
	Overflowed           uint64 // packets to a frozen agent beyond its socket's buffer
}

// World is a simulated cluster. It is used by one goroutine.
type World struct {
	cfg      Config
	now      instant
	agenda   agenda
	rand     *rand.Rand
	nodes    []node
	index    map[string]int32
	counters Counters
	steps    uint64 // entries of the agenda that came to pass

	nextProbe uint32
	metaSize  int
	lastAlive []*message
	free      []*packet
	handling  *message // what a state machine is being fed
	scratch   []*message
	picked    []int32
	batch     []int32

	// Hooks; nil means that nobody looks.
	onEvent  func(at int32, e *wire.UserEvent)           // a user event is delivered
	onMember func(at, subject int32, status view.Status) // a member's status changes; StatusNone: it is reaped
	onAnswer func(at int32, from string, ack bool)       // an answer to a query arrives
	onSend   func(from, to int32, p *packet, bytes int)  // a packet is sent
	onArrive func(at int32, p *packet)                   // a packet arrives
}

// New returns a world in which no agent runs yet.
func New(cfg Config) *World {
	w := &World{
		cfg:       cfg,
		rand:      rand.New(rand.NewPCG(cfg.Seed, 0x676f73736970)), //nolint:gosec // repeatable by design
		nodes:     make([]node, cfg.Nodes),
		index:     make(map[string]int32, cfg.Nodes),
		lastAlive: make([]*message, cfg.Nodes),
		metaSize:  len(meta),
	}
	for i := range w.nodes {
		n := &w.nodes[i]
		n.w, n.id, n.name = w, int32(i), fmt.Sprintf("n%05d", i)
		w.index[n.name] = n.id
	}
	return w
}

// meta is the tags of all agents: none, as Serf encodes it.
var meta = []byte{0xff, 0x80}

// isMachine spreads real state machines evenly.
func (w *World) isMachine(id int32) bool {
	k, n := int64(w.cfg.Machines), int64(len(w.nodes))
	if k < 0 || k >= n {
		return true
	}
	return int64(id)*k/n != (int64(id)+1)*k/n
}

// describe is what memberlist knows of a node.
func (w *World) describe(id int32) state.Node {
	return state.Node{
		Name: w.nodes[id].name, Addr: netip.AddrFrom4([4]byte{10, byte(id >> 16), byte(id >> 8), byte(id)}), Port: 7946, Meta: meta,
		ProtocolMin: 1, ProtocolMax: 5, ProtocolCur: 2, DelegateMin: 2, DelegateMax: 6, DelegateCur: 5,
	}
}

// fork returns a source of randomness for one life of an agent's Serf layer, which real and compact ones use alike.
func (w *World) fork(n *node) *rand.Rand {
	return rand.New(rand.NewPCG(w.cfg.Seed, uint64(n.id)<<32|uint64(n.life))) //nolint:gosec // repeatable by design
}

// passing returns the message that is being handled, if raw is it: it is passed on as it is.
func (w *World) passing(raw []byte) (*message, bool) {
	if m := w.handling; m != nil && len(raw) == len(m.raw) && &raw[0] == &m.raw[0] {
		return m, true
	}
	return nil, false
}

func (w *World) answered(at int32, from string, ack bool) {
	if w.onAnswer != nil {
		w.onAnswer(at, from, ack)
	}
}

// find returns the number of a node, or nobody.
func (w *World) find(name string) int32 {
	if id, ok := w.index[name]; ok {
		return id
	}
	return nobody
}

// Now is how much time has passed.
func (w *World) Now() time.Duration { return time.Duration(w.now) }

// Counters returns what was counted so far.
func (w *World) Counters() Counters { return w.counters }

// Steps is how many things have happened, as a measure of work.
func (w *World) Steps() uint64 { return w.steps }

// Run lets d pass.
func (w *World) Run(d time.Duration) {
	end := w.now.plus(d)
	for len(w.agenda.heap) > 0 && w.agenda.heap[0].at <= end {
		w.step()
	}
	w.now = end
}

// RunUntil lets time pass until done, which is asked after all that happens, or until limit is over. It returns
// what done said last.
func (w *World) RunUntil(done func() bool, limit time.Duration) bool {
	end := w.now.plus(limit)
	for !done() {
		if len(w.agenda.heap) == 0 || w.agenda.heap[0].at > end {
			w.now = end
			return done()
		}
		w.step()
	}
	return true
}

func (w *World) step() {
	e := w.agenda.pop()
	w.now = e.at
	w.steps++
	if e.node == nobody {
		e.f()
		return
	}
	n := &w.nodes[e.node]
	if e.what == arrive {
		w.arrive(n, e)
		return
	}
	if !n.up || e.life != 0 && e.life != n.life {
		return
	}
	if n.frozen {
		n.held = append(n.held, e)
		return
	}
	n.happen(e)
}

func (n *node) happen(e entry) {
	switch e.what {
	case probeTick:
		n.probeTick()
	case probeTimeout:
		n.probeTimeout(e.x)
	case probeEnd:
		n.probeEnd(e.x)
	case gossipTick:
		n.gossip()
	case pushPullTick:
		n.pushPullTick()
	case suspicionEnd:
		n.suspicionEnd(int32(e.x))
	case stateTick:
		n.stateTick()
	case call:
		e.f()
	case arrive:
		n.receive(e.packet)
	}
}

// after schedules something for this life of the node.
func (n *node) after(d time.Duration, what occasion, x uint32) instant {
	at := n.w.now.plus(d)
	n.w.agenda.push(entry{at: at, node: n.id, life: n.life, what: what, x: x})
	return at
}

func (n *node) call(d time.Duration, f func()) {
	n.w.agenda.push(entry{at: n.w.now.plus(d), node: n.id, life: n.life, what: call, f: f})
}

// later schedules something that concerns no agent in particular.
func (w *World) later(d time.Duration, f func()) {
	w.agenda.push(entry{at: w.now.plus(d), node: nobody, f: f})
}
