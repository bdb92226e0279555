package rpc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/view"
)

// maxTasks bounds the streams and running queries of one connection.
const maxTasks = 256

// errTooMany refuses what maxTasks rules out.
var errTooMany = fmt.Errorf("too many streams and queries on one connection: at most %d", maxTasks)

// streams are a connection's streams and monitor, by the number of the request that started them. The connection's mu
// guards them.
type streams struct {
	running map[uint64]*stream
	monitor bool // one of them is the monitor
	tasks   int  // goroutines of streams and queries
}

type stream struct {
	cancel  context.CancelFunc
	done    chan struct{} // closed when nothing more will be sent
	monitor bool
}

// addStream makes room for a stream. The caller has to start it or remove it.
func (c *conn) addStream(seq uint64, monitor bool) (ctx context.Context, st *stream, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case monitor && c.streams.monitor:
		return nil, nil, api.ErrMonitorExists
	case c.streams.running[seq] != nil:
		return nil, nil, api.ErrStreamExists
	case c.streams.tasks >= maxTasks:
		return nil, nil, errTooMany
	}
	if c.streams.running == nil {
		c.streams.running = make(map[uint64]*stream)
	}
	st = &stream{done: make(chan struct{}), monitor: monitor}
	ctx, st.cancel = context.WithCancel(c.ctx)
	c.streams.running[seq] = st
	c.streams.tasks++
	c.streams.monitor = c.streams.monitor || monitor
	return ctx, st, nil
}

func (c *conn) removeStream(seq uint64, st *stream) {
	st.cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.streams.running, seq)
	c.streams.tasks--
	if st.monitor {
		c.streams.monitor = false
	}
	close(st.done)
}

// stopStream ends a stream or the monitor. A number that none has is no error. After the answer no record comes.
func (c *conn) stopStream(_ uint64, req api.StopRequest) answer {
	c.mu.Lock()
	st := c.streams.running[req.Stop]
	c.mu.Unlock()
	if st != nil {
		st.cancel()
		<-st.done
	}
	return answer{}
}

// streamFilter is a parsed api.StreamRequest.
type streamFilter struct {
	events    event.Filter
	noEvents  bool // there are extensions alone
	revisions bool
	dropped   bool
}

func parseStreamFilter(text string) (f streamFilter, err error) {
	var rest []string
	for _, element := range strings.Split(text, ",") {
		switch element {
		case api.FilterRevision:
			f.revisions = true
		case api.FilterDropped:
			f.dropped = true
		default:
			rest = append(rest, element)
		}
	}
	if len(rest) == 0 {
		f.noEvents = true
		return f, nil
	}
	f.events, err = event.ParseFilter(strings.Join(rest, ","))
	if err != nil {
		return f, api.ErrInvalidFilter // Serf's text and no more: clients compare it
	}
	return f, nil
}

// startStream subscribes to events. Records begin after the answer, but nothing that happens after the request is
// missed.
func (c *conn) startStream(seq uint64, req api.StreamRequest) answer {
	f, err := parseStreamFilter(req.Type)
	if err != nil {
		return answer{err: err}
	}
	ctx, st, err := c.addStream(seq, false)
	if err != nil {
		return answer{err: err}
	}
	cursor := c.srv.events.Subscribe()
	_, changed := c.srv.backend.View().Watch()
	return answer{then: func() {
		c.tasks.Go(func() {
			defer c.removeStream(seq, st)
			var revisions sync.WaitGroup
			defer revisions.Wait()
			if f.revisions {
				revisions.Go(func() { c.streamRevisions(ctx, seq, changed) })
			}
			if !f.noEvents {
				c.streamEvents(ctx, seq, cursor, f)
			}
		})
	}}
}

// streamRevisions tells that there is a newer snapshot, each time that there is one, the newest only.
func (c *conn) streamRevisions(ctx context.Context, seq uint64, changed <-chan struct{}) {
	for {
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
		var snap *view.Snapshot
		snap, changed = c.srv.backend.View().Watch()
		if !c.record(seq, api.RevisionRecord{Event: api.FilterRevision, Revision: snap.Rev}) {
			return
		}
	}
}

// streamEvents sends the events that the filter selects. The log is the queue: a client that is further behind than
// its length loses the oldest events, which is logged and, if it asked for that, told to the client.
func (c *conn) streamEvents(ctx context.Context, seq uint64, cursor *event.Cursor, f streamFilter) {
	told := overflow{conn: c, what: "event"}
	for {
		e, err := cursor.Next(ctx)
		var lost *event.LostError
		switch {
		case errors.As(err, &lost):
			told.add(lost.Lost)
			if f.dropped && !c.record(seq, api.DroppedRecord{Event: api.FilterDropped, Dropped: lost.Lost}) {
				return
			}
			continue
		case err != nil: // the client, the stream or the agent ends
			return
		}
		if !f.events.Match(e) {
			continue
		}
		if body := c.eventRecord(e); body != nil && !c.record(seq, body) {
			return
		}
	}
}

// eventRecord returns the body of an event's record, or nil if the protocol has none.
func (c *conn) eventRecord(e event.Event) any {
	switch e := e.(type) {
	case *event.Member:
		return appendMemberEvent(nil, string(e.Kind), e.Members)
	case *event.User:
		return api.UserEventRecord{
			Event: string(event.TypeUser), LTime: uint64(e.LTime), Name: e.Name, Payload: e.Payload, Coalesce: e.Coalesce,
		}
	case *event.Query:
		return api.QueryEventRecord{
			Event: string(event.TypeQuery), ID: c.addQuery(e), LTime: uint64(e.LTime), Name: e.Name, Payload: e.Payload,
		}
	default:
		return nil
	}
}

// overflow logs what a slow client loses, a line a second at most.
type overflow struct {
	conn *conn
	what string
	lost uint64
	last time.Time
}

func (o *overflow) add(n uint64) {
	o.lost += n
	if n == 0 || time.Since(o.last) < time.Second {
		return
	}
	o.last = time.Now()
	o.conn.srv.cfg.Logger.Warn(fmt.Sprintf("Dropping %s to ipc.client: %s", o.what, o.conn.name), "dropped", o.lost)
}
