package sim

import (
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/rate"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// courier is what package gossip calls so: who hears news of members pings a few others, whose packets take it along.
type courier struct {
	budget  rate.Bucket
	due     bool // a round is on the agenda
	waiting int  // news of our own that somebody waits for
}

const hurryPause = 20 * time.Millisecond

func newCourier() courier { return courier{budget: rate.Bucket{PerSecond: 1, Burst: 4}} }

// courierSoon makes sure that there is a round soon.
func (n *node) courierSoon(pause time.Duration) {
	if n.courier.due || n.w.cfg.Timing.Fanout == 0 {
		return
	}
	n.courier.due = true
	n.call(pause, func() {
		n.courier.due = false
		if n.courier.waiting == 0 && (pause > 0 || !n.courier.budget.Take(n.w.now.time(), 1)) {
			return
		}
		for _, to := range n.pushTo(n.w.cfg.Timing.Fanout) {
			n.pingIdly(to)
		}
		if n.courier.waiting > 0 {
			n.courierSoon(hurryPause)
		}
	})
}

// hurried counts somebody who waits until done is called.
func (n *node) hurried(done func()) func() {
	if done == nil {
		return nil
	}
	n.courier.waiting++
	n.courierSoon(0)
	return n.once(func() {
		n.courier.waiting--
		done()
	})
}

// accused answers a suspicion.
func (n *node) accused(by int32) {
	if n.w.cfg.Timing.Fanout == 0 || by < 0 {
		return
	}
	n.call(0, func() {
		if n.other(by) {
			n.pingIdly(by)
		}
	})
	n.courierSoon(0)
}

// pingIdly pings a member, whose answer does not matter.
func (n *node) pingIdly(to int32) {
	p := n.w.newPacket()
	p.purpose, p.target = ping, to
	n.sendWith(to, p, n.w.sizePing(n.id, to))
}

// sizeAck is that of an answer to a probe; it carries a coordinate if it is time.
func (n *node) sizeAck() int {
	if n.payloadAt > 0 && n.w.now.minus(n.payloadAt) < n.w.cfg.Timing.PayloadPause {
		return sizeAck - coordinateSize
	}
	n.payloadAt = max(n.w.now, 1)
	return sizeAck
}

// urgent reports whether a message is pushed.
func (m *message) urgent() bool {
	_, join := m.decoded.(*wire.Join)
	return !join
}
