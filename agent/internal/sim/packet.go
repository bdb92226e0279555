package sim

import (
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/state"
)

// purpose is what a packet is for, besides the messages that ride in it.
type purpose uint8

const (
	carry    purpose = iota // messages only
	ping                    // probe number seq
	ack                     // of probe number seq
	indirect                // asks for a probe of target
	nack                    // of an indirect probe
)

// packet is one datagram.
type packet struct {
	purpose purpose
	from    int32
	target  int32 // of an indirect probe, and who is meant by a ping
	seq     uint32
	relay   *relay // of a ping on behalf of another agent, and its ack
	msgs    []*message
}

// relay is what an agent remembers of a probe that it makes for another.
type relay struct {
	origin int32
	seq    uint32
	until  instant // when it stops waiting
	acked  bool
}

// socketBuffer is how many packets wait for a frozen agent: the usual 212,992 bytes of Linux, in packets
// of a few hundred bytes and the kernel's own overhead.
const socketBuffer = 256

func (w *World) newPacket() *packet {
	if len(w.free) == 0 {
		return &packet{}
	}
	p := w.free[len(w.free)-1]
	w.free = w.free[:len(w.free)-1]
	return p
}

func (w *World) release(p *packet) {
	clear(p.msgs)
	*p = packet{msgs: p.msgs[:0]}
	w.free = append(w.free, p)
}

// send puts a packet on the network. It is not to be used afterwards.
func (w *World) send(from, to int32, p *packet, bytes int) {
	p.from = from
	bytes += packetHeaders
	w.counters.Packets++
	w.counters.PacketBytes += uint64(bytes)
	if w.onSend != nil {
		w.onSend(from, to, p, bytes)
	}
	if !w.connected(from, to) {
		w.lose(p, &w.counters.Cut)
		return
	}
	if loss := w.loss(from, to); loss > 0 && w.rand.Float64() < loss {
		w.lose(p, &w.counters.Lost)
		return
	}
	if w.cfg.Network.Duplication > 0 && w.rand.Float64() < w.cfg.Network.Duplication {
		twin := w.newPacket()
		msgs := append(twin.msgs, p.msgs...)
		*twin = *p
		twin.msgs = msgs
		w.counters.Duplicated++
		w.agenda.push(entry{at: w.now.plus(w.cfg.Network.delay(w.rand)), node: to, what: arrive, packet: twin})
	}
	w.agenda.push(entry{at: w.now.plus(w.cfg.Network.delay(w.rand)), node: to, what: arrive, packet: p})
}

// lose counts a packet that does not arrive.
func (w *World) lose(p *packet, counter *uint64) {
	*counter++
	w.release(p)
}

// arrive is when a packet reaches its agent, if it is there.
func (w *World) arrive(n *node, e entry) {
	switch {
	case !n.up || !w.connected(e.packet.from, n.id):
		w.lose(e.packet, &w.counters.Cut)
	case !n.frozen:
		n.receive(e.packet)
	case n.heldPackets >= socketBuffer:
		w.lose(e.packet, &w.counters.Overflowed)
	default:
		n.heldPackets++
		n.held = append(n.held, e)
	}
}

// connected reports whether packets pass between two hosts.
func (w *World) connected(a, b int32) bool { return w.nodes[a].group == w.nodes[b].group }

func (w *World) loss(a, b int32) float64 {
	return max(w.cfg.Network.Loss, w.nodes[a].loss, w.nodes[b].loss)
}

// sendMessages sends messages, with what memberlist adds for members whom it knows by name.
func (n *node) sendMessages(to int32, msgs []*message) {
	p := n.w.newPacket()
	p.msgs = append(p.msgs, msgs...)
	n.w.send(n.id, to, p, sizeOf(msgs)+checksum)
}

func sizeOf(msgs []*message) int {
	if len(msgs) == 1 {
		return msgs[0].size
	}
	size := compoundHead
	for _, m := range msgs {
		size += m.size + compoundEach
	}
	return size
}

// sendWith sends a packet of the given size, filled up with what waits to be gossiped.
func (n *node) sendWith(to int32, p *packet, size int) {
	p.msgs = n.broadcasts(p.msgs, maxPacket-size-compoundHead)
	if len(p.msgs) > 0 {
		size += compoundHead + compoundEach
		for _, m := range p.msgs {
			size += m.size + compoundEach
		}
	}
	n.w.send(n.id, to, p, size)
}

// broadcasts takes from the queues what fits into room: memberlist's messages first, then Serf's by queue.
func (n *node) broadcasts(list []*message, room int) []*message {
	t := &n.w.cfg.Timing
	if n.own.count > 0 {
		list, room = n.own.take(list, room, compoundEach, limitOf(t.RetransmitMult, len(n.list)))
		n.finish(&n.own)
	}
	if n.queues[0].count+n.queues[1].count+n.queues[2].count == 0 {
		return list
	}
	for i := range n.queues {
		mult := t.RetransmitMult
		if t.Fanout > 0 && state.Queue(i) != state.QueueIntent {
			mult = t.LazyMult
		}
		limit := limitOf(mult, n.serf.members())
		list, room = n.queues[i].take(list, room, compoundEach, limit)
		n.finish(&n.queues[i])
	}
	return list
}

// finish wakes those who wait for messages to be out.
func (n *node) finish(q *queue) {
	for _, f := range q.finished {
		n.call(0, f)
	}
	q.finished = nil
}

// receive handles a packet.
func (n *node) receive(p *packet) {
	w := n.w
	if w.onArrive != nil {
		w.onArrive(n.id, p)
	}
	switch p.purpose {
	case ping:
		if p.target == n.id {
			r := w.newPacket()
			r.purpose, r.seq, r.relay = ack, p.seq, p.relay
			n.sendWith(p.from, r, n.sizeAck())
		}
	case indirect:
		n.probeFor(p)
	case ack:
		n.acked(p)
	case nack:
		if n.probing.seq == p.seq && n.probing.active {
			n.probing.nacks++
		}
	}
	for _, m := range p.msgs {
		n.hear(m)
	}
	w.release(p)
}

// hear handles a message.
func (n *node) hear(m *message) {
	switch m.kind {
	case aliveMessage:
		n.heardAlive(m)
	case suspectMessage:
		n.heardSuspect(m)
	case deadMessage:
		n.heardDead(m)
	case userMessage:
		n.serf.receive(m)
	}
}

// segment is how long a segment of a stream takes from one host to another.
func (w *World) segment(a, b int32) time.Duration {
	return w.cfg.Network.segment(w.rand, w.loss(a, b))
}
