package rpc

import (
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/internal/event"
)

// startQuery asks the cluster and passes on what comes back. Nothing but the end of the connection stops it early.
func (c *conn) startQuery(seq uint64, req api.QueryRequest) answer {
	if reserved(req) {
		return answer{err: api.ErrReservedQuery}
	}
	if !c.addTask() {
		return answer{err: errTooMany}
	}
	records, err := c.srv.backend.Query(c.ctx, req)
	if err != nil {
		c.removeTask()
		return answer{err: err}
	}
	return answer{then: func() {
		c.tasks.Go(func() {
			defer c.removeTask()
			for {
				select {
				case r, ok := <-records:
					if !ok || !c.record(seq, r) {
						return
					}
				case <-c.ctx.Done():
					return
				}
			}
		})
	}}
}

func (c *conn) addTask() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streams.tasks >= maxTasks {
		return false
	}
	c.streams.tasks++
	return true
}

func (c *conn) removeTask() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.streams.tasks--
}

// maxPending bounds the queries that a connection can answer; the oldest is forgotten first.
const maxPending = 1024

// pendingQueries are those that were streamed to a connection and may be answered on it, by the IDs that they have
// there: 1, 2, 3 and so on. The connection's mu guards them.
type pendingQueries struct {
	last  uint64 // the newest ID
	first uint64 // no ID below it is there
	byID  map[uint64]*event.Query
}

// addQuery gives a query its ID on this connection.
func (c *conn) addQuery(q *event.Query) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := &c.queries
	if p.byID == nil {
		p.byID, p.first = make(map[uint64]*event.Query), 1
	}
	now := time.Now()
	for ; p.first <= p.last; p.first++ { // mostly in order, so this finds nearly all that are over
		if old := p.byID[p.first]; old != nil && now.Before(old.Deadline) && p.last-p.first < maxPending-1 {
			break
		}
		delete(p.byID, p.first)
	}
	p.last++
	p.byID[p.last] = q
	return p.last
}

// respond answers a query of one of this connection's streams.
func (c *conn) respond(_ uint64, req api.RespondRequest) answer {
	c.mu.Lock()
	q := c.queries.byID[req.ID]
	if q != nil && !time.Now().Before(q.Deadline) {
		delete(c.queries.byID, req.ID)
		q = nil
	}
	c.mu.Unlock()
	if q == nil {
		return answer{err: api.ErrNoSuchQuery}
	}
	return answer{err: q.Respond(req.Payload)}
}
