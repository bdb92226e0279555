package gossip

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hashicorp/go-metrics"

	"github.com/seed-645ce708/gossip/agent/internal/rate"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// Bounds of what is pushed. A message beyond them is not lost: gossip carries it, more slowly.
const (
	// pushQueueDepth bounds the messages that wait while packets are being sent.
	pushQueueDepth = 8192
	// pushRate and pushBurst bound the messages that one agent pushes, whatever others make it hear for the first
	// time. The rate is twice what the cluster accepts (package core).
	pushRate, pushBurst = 8192, 8192
	// pushPause is the least time between two rounds of sending, so that in a burst messages go together.
	pushPause = 2 * time.Millisecond
	// stockRate bounds the messages a second that all of our agents together push to one agent of Serf's. Its own
	// gossip carries about as many.
	stockRate  = 100
	stockBurst = 32
)

// smallCluster is up to how many members the number of digits, by which Serf counts retransmits, is one. Pushing to
// three there would send more than Serf does; and two are nearly all.
const smallCluster = 9

// pusher sends fresh messages at once to a few members. What is pushed shortly after waits and goes out together, so that
// messages are sent singly when there are few, and many to a packet when there are many.
type pusher struct {
	roster *roster
	fanout int                       // members to push to; 0 pushes nothing
	limit  int                       // bytes of a message that fill a packet
	send   func(to peer, msg []byte) // may take as long as a socket does
	metric func(name string, n int)  // counts
	intn   func(int) int             // random number below n
	all    rate.Bucket
	stock  rate.Bucket

	mu      sync.Mutex
	pending [][]byte
	dropped int
	busy    bool          // somebody is sending
	due     time.Time     // not before this
	wake    chan struct{} // capacity 1
}

func newPusher(r *roster, fanout, limit int, send func(peer, []byte)) *pusher {
	return &pusher{
		roster: r, fanout: fanout, limit: limit, send: send,
		metric: func(name string, n int) { metrics.IncrCounter([]string{"gossip", "push", name}, float32(n)) },
		intn:   rand.IntN, //nolint:gosec // picks peers, protects nothing
		all:    rate.Bucket{PerSecond: pushRate, Burst: pushBurst},
		stock:  rate.Bucket{PerSecond: stockRate, Burst: stockBurst},
		wake:   make(chan struct{}, 1),
	}
}

// urgent reports whether somebody may wait for messages of the type. A join says nothing that memberlist has not said,
// but for the order of things, and joins come in bursts.
func urgent(t wire.Type) bool { return t != wire.TypeJoin && wire.Spreads(t) }

// push sends a message, if it is urgent, or queues it if others were sent just now. It keeps msg.
func (p *pusher) push(msg []byte) {
	if p.fanout == 0 || !urgent(wire.Type(msg[0])) {
		return
	}
	p.mu.Lock()
	if len(p.pending) < pushQueueDepth {
		p.pending = append(p.pending, msg)
	} else {
		p.dropped++
	}
	first := len(p.pending) == 1
	p.mu.Unlock()
	// Whoever brings the first message sends it: to wake another goroutine costs more than that.
	if first && p.sendPending() == 0 {
		return
	}
	p.notify()
}

// notify wakes run.
func (p *pusher) notify() {
	select {
	case p.wake <- struct{}{}:
	default: // it has not seen the last wake-up yet
	}
}

// run sends what push leaves, until stop is closed.
func (p *pusher) run(stop <-chan struct{}) {
	for {
		select {
		case <-p.wake:
		case <-stop:
			return
		}
		for pause := p.sendPending(); pause > 0; pause = p.sendPending() {
			if !sleep(pause, stop) {
				return
			}
		}
	}
}

// sendPending sends what waits, if it is time, or else returns how long to wait. Whoever is sending already will see to
// what comes meanwhile.
func (p *pusher) sendPending() (pause time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy || len(p.pending) == 0 {
		return 0
	}
	now := time.Now()
	if pause = p.due.Sub(now); pause > 0 {
		return pause
	}
	msgs, dropped := p.pending, p.dropped
	p.pending, p.dropped, p.busy = nil, 0, true
	p.mu.Unlock()
	p.flush(now, msgs, dropped)
	p.mu.Lock()
	p.busy, p.due = false, time.Now().Add(pushPause)
	if len(p.pending) > 0 {
		p.notify()
	}
	return 0
}

// flush sends messages, and counts those that are left to gossip.
func (p *pusher) flush(now time.Time, msgs [][]byte, dropped int) {
	for i := range msgs {
		if !p.all.Take(now, 1) {
			dropped += len(msgs) - i
			msgs = msgs[:i]
			break
		}
	}
	others, ours := p.roster.size()
	if stock := others - ours; stock > 0 {
		p.stock.PerSecond = stockRate * float64(stock) / float64(ours+1)
	}
	packets := 0
	for _, group := range pack(msgs, p.limit) {
		batch := group[0]
		if len(group) > 1 {
			batch = wire.BeginBatch(make([]byte, 0, p.limit))
			for _, msg := range group {
				batch = wire.AppendToBatch(batch, msg)
			}
		}
		for _, to := range p.roster.choose(fanout(p.fanout, others), p.intn) {
			if to.ours {
				p.send(to, batch)
				packets++
				continue
			}
			for _, msg := range group {
				if p.stock.Take(now, 1) {
					p.send(to, msg)
					packets++
				}
			}
		}
	}
	if packets > 0 {
		p.metric("packets", packets)
	}
	if dropped > 0 {
		p.metric("dropped", dropped)
	}
}

// fanout is how many of the others a message is pushed to.
func fanout(most, others int) int {
	if others < smallCluster {
		return min(most, 2)
	}
	return most
}

// pack groups messages, in order, so that each group fits a batch of at most limit bytes. A message that does not fit
// one by itself is a group of its own.
func pack(msgs [][]byte, limit int) [][][]byte {
	var groups [][][]byte
	start, size := 0, 1
	for i, msg := range msgs {
		n := len(msg) + wire.BatchItemOverhead
		if i > start && size+n > limit {
			groups = append(groups, msgs[start:i])
			start, size = i, 1
		}
		size += n
	}
	if start < len(msgs) {
		groups = append(groups, msgs[start:])
	}
	return groups
}
