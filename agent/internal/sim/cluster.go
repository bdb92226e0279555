package sim

import (
	"slices"
	"time"
)

// This file is what an operator, or fate, does to a cluster.

// Start starts an agent that knows only itself. Its earlier life, if any, must be over.
func (w *World) Start(id int) { w.nodes[id].start() }

// StartAll starts all agents but the last spare ones as a cluster that is complete: each knows the others. Nothing
// is gossiped, and tickers stand at random points, as in a cluster that has run for long.
func (w *World) StartAll(spare int) {
	size := len(w.nodes) - spare
	t := &w.cfg.Timing
	hook := w.onMember
	w.onMember = nil
	for i := range size {
		n := &w.nodes[i]
		n.reset()
		n.list = slices.Grow(n.list, size)
		for id := range int32(size) {
			if id != n.id {
				n.conditions[id], n.incs[id] = alive, 1
				n.list = append(n.list, id)
				n.serf.join(id)
			}
		}
		w.rand.Shuffle(size, func(i, j int) { n.list[i], n.list[j] = n.list[j], n.list[i] })
		n.probeGrid, n.gossipGrid = w.now.plus(-n.random(t.ProbeInterval)), w.now.plus(-n.random(t.GossipInterval))
		n.after(untilNext(w.now, n.probeGrid, t.ProbeInterval), probeTick, 0)
		n.after(n.random(n.pushPullInterval()), pushPullTick, 0)
		n.tickAt = n.after(n.random(15*time.Second)+time.Millisecond, stateTick, 0)
	}
	w.onMember = hook
}

// Join lets an agent join by way of another. done, if not nil, is told whether that was reached.
func (w *World) Join(id, seed int, done func(ok bool)) {
	n := &w.nodes[id]
	n.pushPull(int32(seed), func(ok bool) {
		if ok {
			n.serf.joined()
			n.settle(0, n.news)
		}
		if done != nil {
			done(ok)
		}
	})
}

// settle makes the exchanges that follow a join. heard is the count of members' comings and goings at the last one.
func (n *node) settle(i, heard int) {
	means := n.w.cfg.Timing.Settle
	if i == len(means) {
		return
	}
	n.call(means[i]/2+n.random(means[i]), func() {
		now := n.news
		if peers := n.pick(1, n.other); now != heard && len(peers) > 0 {
			n.pushPull(peers[0], func(bool) {})
		}
		n.settle(i+1, now)
	})
}

// JoinUntil lets an agent try seeds in turn, with a pause between tries, until one is reached.
func (w *World) JoinUntil(id int, seeds []int, pause time.Duration) {
	n := &w.nodes[id]
	try := 0
	var next func()
	next = func() {
		seed := seeds[try%len(seeds)]
		try++
		w.Join(id, seed, func(ok bool) {
			if !ok {
				n.call(pause, next)
			}
		})
	}
	next()
}

// Up reports whether an agent runs, frozen or not.
func (w *World) Up(id int) bool { return w.nodes[id].up }

// Kill ends an agent at once. Its host stays up and refuses streams.
func (w *World) Kill(id int) { w.nodes[id].stop() }

// Leave lets an agent leave in peace and then end: it waits for each of its two messages to be out, as an agent
// does, and then for the news to spread.
func (w *World) Leave(id int) {
	n := &w.nodes[id]
	t := &w.cfg.Timing
	left := n.once(func() {
		n.call(t.Propagate, func() {
			n.serf.leaveDone()
			n.stop()
		})
	})
	intent := n.once(func() {
		n.leaving = true
		n.onLeft = n.hurried(left)
		n.heardDead(w.accuse(deadMessage, n.id, n.id, n.inc))
		n.call(t.Broadcast, left)
	})
	n.serf.leaveBegin(intent)
	n.call(t.Broadcast, intent)
}

// once returns f as a function that does nothing the second time.
func (n *node) once(f func()) func() {
	over := false
	return func() {
		if !over {
			over = true
			f()
		}
	}
}

// leaveSent is what to do when memberlist's news about a member is out.
func (n *node) leaveSent(id int32) func() {
	if id != n.id {
		return nil
	}
	return n.onLeft
}

// Freeze stops an agent for d, as SIGSTOP does: packets wait in its socket, timers come late.
func (w *World) Freeze(id int, d time.Duration) {
	n := &w.nodes[id]
	if !n.up || n.frozen {
		return
	}
	n.frozen = true
	life := n.life
	w.later(d, func() {
		if n.life != life || !n.frozen {
			return
		}
		n.frozen = false
		held := n.held
		n.held, n.heldPackets = nil, 0
		for _, e := range held {
			e.at = w.now
			w.agenda.push(e)
		}
	})
}

// Partition puts agents into groups between which nothing passes; group says which. Packets under way are cut too.
func (w *World) Partition(group func(id int) int) {
	for i := range w.nodes {
		w.nodes[i].group = int32(group(i))
	}
}

// Heal ends all partitions.
func (w *World) Heal() { w.Partition(func(int) int { return 0 }) }

// Loss sets the share of packets that are lost everywhere.
func (w *World) Loss(share float64) { w.cfg.Network.Loss = share }

// LossAt sets the share of packets that an agent's host loses, in both directions.
func (w *World) LossAt(id int, share float64) { w.nodes[id].loss = share }

// Duplicate sets the share of packets that arrive twice.
func (w *World) Duplicate(share float64) { w.cfg.Network.Duplication = share }

// UserEvent lets an agent send a user event. It returns the refusal of package state, if there is one.
func (w *World) UserEvent(id int, name string, payload []byte) error {
	return w.nodes[id].serf.userEvent(name, payload)
}
