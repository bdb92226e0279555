package client

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/api/frame"
)

// How many records a stream holds for its reader. More are dropped and counted.
const (
	eventQueue = 512
	logQueue   = 1024
	queryQueue = 2048
)

// queue hands records from the connection's reader, which never waits, to a channel.
type queue[T any] struct {
	c       chan T // one longer than its limit, so that there is always room for a last record
	mu      sync.Mutex
	ended   bool
	err     error
	dropped uint64
}

func newQueue[T any](limit int) queue[T] { return queue[T]{c: make(chan T, limit+1)} }

// put adds a record; the last one always fits.
func (q *queue[T]) put(v T, last bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.ended:
	case len(q.c) < cap(q.c)-1 || last:
		q.c <- v
	default:
		q.dropped++
	}
}

func (q *queue[T]) end(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.ended {
		q.ended, q.err = true, err
		close(q.c)
	}
}

func (q *queue[T]) lose(n uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropped += n
}

// C returns the channel of the records. It is closed when the stream ends.
func (q *queue[T]) C() <-chan T { return q.c }

// Err tells, once C is closed, why the stream ended: nil after Close or at the natural end, else an error that is
// ErrClosed.
func (q *queue[T]) Err() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.err
}

// Dropped counts the records that were lost because C was read too slowly.
func (q *queue[T]) Dropped() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

// EventStream is a subscription to an agent's events. Read C without long breaks: 512 records wait, more are dropped
// and counted.
type EventStream struct {
	queue[api.Event]
	stop func()
}

// Stream subscribes to the events that the filter selects, as in Serf reference 3.3: "member-join,user:deploy"; "" and
// "*" select all. The filters of api.FilterRevision and api.FilterDropped are refused by stock Serf. ctx bounds the
// call; the stream lasts until Close or the end of the connection.
func (c *Client) Stream(ctx context.Context, filter string) (*EventStream, error) {
	s := &EventStream{queue: newQueue[api.Event](eventQueue)}
	stop, err := c.subscribe(ctx, api.CommandStream, api.StreamRequest{Type: filter}, s)
	if err != nil {
		return nil, err
	}
	s.stop = stop
	return s, nil
}

// Close ends the stream and closes C; what waits there can still be read.
func (s *EventStream) Close() error {
	s.stop()
	return nil
}

func (s *EventStream) record(body []byte) bool {
	ev := decodeEvent(body)
	if ev == nil {
		return false
	}
	if d, ok := ev.(*api.DroppedRecord); ok {
		s.lose(d.Dropped)
	}
	s.put(ev, false)
	return false
}

// decodeEvent returns nil for a record of unknown kind or form: an agent may be newer than this client.
func decodeEvent(body []byte) api.Event {
	var kind struct{ Event string }
	if frame.Decode(body, &kind) != nil {
		return nil
	}
	var ev api.Event
	switch {
	case strings.HasPrefix(kind.Event, "member-"):
		ev = new(api.MemberEventRecord)
	case kind.Event == "user":
		ev = new(api.UserEventRecord)
	case kind.Event == "query":
		ev = new(api.QueryEventRecord)
	case kind.Event == api.FilterRevision:
		ev = new(api.RevisionRecord)
	case kind.Event == api.FilterDropped:
		ev = new(api.DroppedRecord)
	default:
		return nil
	}
	if frame.Decode(body, ev) != nil {
		return nil
	}
	return ev
}

// LogStream is a subscription to an agent's log. 1,024 lines wait to be read, more are dropped and counted.
type LogStream struct {
	queue[string]
	stop func()
}

// Monitor subscribes to the agent's log lines of level (trace, debug, info, warn or err) and above, beginning with
// those of the recent past. A connection can have one monitor. ctx bounds the call alone.
func (c *Client) Monitor(ctx context.Context, level string) (*LogStream, error) {
	s := &LogStream{queue: newQueue[string](logQueue)}
	stop, err := c.subscribe(ctx, api.CommandMonitor, api.MonitorRequest{LogLevel: level}, s)
	if err != nil {
		return nil, err
	}
	s.stop = stop
	return s, nil
}

// Close ends the stream and closes C; what waits there can still be read.
func (s *LogStream) Close() error {
	s.stop()
	return nil
}

func (s *LogStream) record(body []byte) bool {
	var rec api.LogRecord
	if frame.Decode(body, &rec) == nil {
		s.put(rec.Log, false)
	}
	return false
}

// QueryStream is a running query. 2,048 records wait to be read, more are dropped and counted; the record that tells
// the end is never dropped.
type QueryStream struct {
	queue[api.QueryRecord]
	stop func()
}

// Query asks the cluster. Acks, if asked for, and responses arrive on C until the query's timeout has passed; then comes
// one record of type api.QueryRecordDone and C is closed. ctx bounds the call alone.
func (c *Client) Query(ctx context.Context, req api.QueryRequest) (*QueryStream, error) {
	s := &QueryStream{queue: newQueue[api.QueryRecord](queryQueue)}
	stop, err := c.subscribe(ctx, api.CommandQuery, req, s)
	if err != nil {
		return nil, err
	}
	s.stop = stop
	return s, nil
}

// Close stops listening and closes C. The query itself goes on until its timeout: the protocol cannot stop it.
func (s *QueryStream) Close() error {
	s.stop()
	return nil
}

func (s *QueryStream) record(body []byte) bool {
	var rec api.QueryRecord
	if frame.Decode(body, &rec) != nil {
		return false
	}
	last := rec.Type == api.QueryRecordDone
	if !last && rec.From == "" {
		return false // Serf sends such records of nobody now and then as a query ends
	}
	s.put(rec, last)
	return last
}

// subscribe sends a request whose records go to s, and returns what ends the subscription.
func (c *Client) subscribe(ctx context.Context, command string, req any, s sink) (stop func(), err error) {
	r, seq, err := c.roundTrip(ctx, c.timeout, &pending{command: command, sink: s}, req)
	stop = sync.OnceFunc(func() {
		s.end(nil)
		if command != api.CommandQuery {
			c.stop(seq)
		}
	})
	if err != nil {
		if seq != 0 { // the agent may still take the request in: it must not stream to nobody
			stop()
		}
		return nil, err
	}
	if r.err != nil {
		return nil, r.err
	}
	return stop, nil
}

// stop tells the agent to end a stream and does not wait for the answer, which may be behind a slow call's. The
// stream's own entry stays until then, so that late records find it.
func (c *Client) stop(seq uint64) {
	ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
	defer cancel()
	p := &pending{command: api.CommandStop, reply: make(chan reply, 1), after: func() { c.forget(seq) }}
	if _, err := c.send(ctx, p, api.StopRequest{Stop: seq}); err != nil {
		// Without a stop the stream would run on for nobody.
		c.fail(fmt.Errorf("%w: %w", ErrClosed, err))
	}
}
