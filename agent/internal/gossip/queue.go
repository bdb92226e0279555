package gossip

import (
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-metrics"
	"github.com/hashicorp/memberlist"

	"github.com/seed-645ce708/gossip/agent/internal/state"
)

// Limits of the broadcast queues (Serf reference 1.8).
const (
	queueCheckInterval = 30 * time.Second
	queueWarnDepth     = 128
	queueMaxDepth      = 4096

	// pushedMaxDepth bounds a queue whose messages have been pushed already. Gossip, which then only repairs, carries a
	// few hundred a second: a longer queue would send what everyone has known for long.
	pushedMaxDepth = 1024
)

// queues are the three broadcast queues of Serf. memberlist drains them in the order intents, queries,
// events, so that membership is never held up by what applications send.
type queues [3]*memberlist.TransmitLimitedQueue

var queueOrder = [...]state.Queue{state.QueueIntent, state.QueueQuery, state.QueueEvent}

var queueNames = map[state.Queue]string{
	state.QueueIntent: "Intent", state.QueueQuery: "Query", state.QueueEvent: "Event",
}

// newQueues makes queues that send a message so many times the number of digits of the cluster's size.
func newQueues(intents, others int, numNodes func() int) queues {
	var q queues
	for i := range q {
		q[i] = &memberlist.TransmitLimitedQueue{RetransmitMult: others, NumNodes: numNodes}
	}
	q[state.QueueIntent].RetransmitMult = intents
	return q
}

// add queues a message. If messages were pushed too, those sent most often are dropped when the queue is full.
func (q *queues) add(name state.Queue, b *broadcast, pushed bool) {
	q[name].QueueBroadcast(b)
	if pushed && name != state.QueueIntent && q[name].NumQueued() > pushedMaxDepth+pushedMaxDepth/8 {
		q[name].Prune(pushedMaxDepth)
	}
}

// drain returns messages of at most limit bytes in all, each counted with overhead bytes more.
func (q *queues) drain(overhead, limit int) [][]byte {
	var msgs [][]byte
	for _, name := range queueOrder {
		for _, msg := range q[name].GetBroadcasts(overhead, limit) {
			limit -= len(msg) + overhead
			msgs = append(msgs, msg)
		}
	}
	return msgs
}

// check samples the depth of each queue and cuts one that has grown past the limit down to its freshest.
func (q *queues) check(log hclog.Logger) {
	for _, name := range queueOrder {
		depth := q[name].NumQueued()
		metrics.AddSample([]string{"serf", "queue", queueNames[name]}, float32(depth))
		switch {
		case depth > queueMaxDepth:
			log.Warn("queue depth exceeds its limit, dropping the oldest messages",
				"queue", queueNames[name], "depth", depth, "limit", queueMaxDepth)
			q[name].Prune(queueMaxDepth)
		case depth >= queueWarnDepth:
			log.Warn("queue is deep: broadcasts arrive faster than gossip spreads them",
				"queue", queueNames[name], "depth", depth)
		}
	}
}

// broadcast is one message in a queue. None invalidates another.
type broadcast struct {
	msg  []byte
	sent chan<- struct{} // closed when the message has been sent as often as it will be; may be nil
	done func()          // called then; may be nil
}

// Invalidates is always false: every message of Serf's stands for itself.
func (b *broadcast) Invalidates(memberlist.Broadcast) bool { return false }

// Message returns the bytes to send.
func (b *broadcast) Message() []byte { return b.msg }

// Finished wakes whoever waits for the message to be out.
func (b *broadcast) Finished() {
	if b.sent != nil {
		close(b.sent)
	}
	if b.done != nil {
		b.done()
	}
}

// UniqueBroadcast tells the queue that it need not look for messages that this one invalidates.
func (b *broadcast) UniqueBroadcast() {}
