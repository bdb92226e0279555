package sim

import (
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// half is what an agent sends in a push/pull.
type half struct {
	entries []tableEntry
	serf    *serfHalf
	bytes   int
}

type tableEntry struct {
	id        int32
	inc       uint32
	condition condition
}

// serfHalf is the part that is Serf's, in one of two forms.
type serfHalf struct {
	wire    *wire.PushPull
	compact *compactState
}

// half returns our half.
func (n *node) half() *half {
	h := &half{entries: make([]tableEntry, len(n.list)), bytes: 16}
	for i, id := range n.list {
		h.entries[i] = tableEntry{id, n.incs[id], n.conditions[id]}
		h.bytes += n.w.sizeEntry(id, n.incs[id])
	}
	var size int
	h.serf, size = n.serf.half()
	h.bytes += size
	return h
}

// merge takes in a peer's half. Whom the peer takes for dead is only suspected.
func (n *node) merge(h *half) {
	for _, e := range h.entries {
		switch e.condition {
		case alive:
			// Most of it is known, and needs no message.
			if e.id == n.id || n.conditions[e.id] == unknown || e.inc > n.incs[e.id] {
				n.heardAlive(n.w.alive(e.id, e.inc))
			}
		case left:
			if !n.conditions[e.id].gone() {
				n.heardDead(n.w.accuse(deadMessage, e.id, e.id, e.inc))
			}
		default:
			if !n.conditions[e.id].gone() {
				n.heardSuspect(n.w.accuse(suspectMessage, e.id, n.id, e.inc))
			}
		}
	}
	n.serf.merge(h.serf)
}

func (n *node) pushPullInterval() time.Duration {
	return pushPullScale(n.w.cfg.Timing.PushPullInterval, len(n.list))
}

// pushPullScale stretches the interval of push/pulls in clusters above 32.
func pushPullScale(interval time.Duration, n int) time.Duration {
	times := 1
	for size := 32; size < n; size *= 2 {
		times++
	}
	return time.Duration(times) * interval
}

func (n *node) pushPullTick() {
	peers := n.pick(1, n.other)
	if len(peers) == 0 {
		n.after(n.pushPullInterval(), pushPullTick, 0)
		return
	}
	n.pushPull(peers[0], func(bool) { n.after(n.pushPullInterval(), pushPullTick, 0) })
}

// pushPull exchanges state with a peer. done is told whether it worked, unless this agent dies.
func (n *node) pushPull(peer int32, done func(ok bool)) {
	w := n.w
	limit := w.cfg.Timing.TCPTimeout
	w.counters.Streams++
	w.counters.StreamBytes += handshake
	started, life := w.now, n.life
	over := false
	finish := func(ok bool) {
		if !over {
			over = true
			done(ok)
		}
	}
	n.call(limit, func() { finish(false) })
	// Connecting takes a round trip, and our half another hop.
	w.stream(n.id, peer, 3, func(p *node) {
		if over || n.life != life || !n.up {
			return
		}
		ours := n.half()
		theirs := p.half()
		w.counters.StreamBytes += streamed(ours.bytes) + streamed(theirs.bytes)
		p.merge(ours)
		w.stream(peer, n.id, 1, func(*node) {
			if over || n.life != life || w.now.minus(started) > limit {
				return
			}
			n.merge(theirs)
			finish(true)
		})
	}, func() { finish(false) })
}

func streamed(bytes int) uint64 {
	return uint64(bytes + (bytes/segmentSize+1)*segmentHeaders)
}

// stream lets f happen at an agent after so many hops of a stream, as soon as it is not frozen. A host on which no
// agent runs refuses, if that is to be known; from a cut network nothing comes back.
func (w *World) stream(from, to int32, hops int, f func(*node), refused ...func()) {
	if !w.connected(from, to) {
		return
	}
	var d time.Duration
	for range hops {
		d += w.segment(from, to)
	}
	w.later(d, func() {
		n := &w.nodes[to]
		switch {
		case !w.connected(from, to):
		case !n.up:
			for _, r := range refused {
				w.later(w.segment(to, from), r)
			}
		case n.frozen:
			n.held = append(n.held, entry{node: to, life: n.life, what: call, f: func() { f(n) }})
		default:
			f(n)
		}
	})
}

// ring probes a member by stream; reached is called if it answers within limit.
func (n *node) ring(target int32, limit time.Duration, reached func()) {
	w := n.w
	until, life := w.now.plus(limit), n.life
	w.counters.Streams++
	w.counters.StreamBytes += handshake + 2*(100+segmentHeaders)
	w.stream(n.id, target, 3, func(*node) {
		w.stream(target, n.id, 1, func(*node) {
			if n.life == life && w.now < until {
				reached()
			}
		})
	})
}
