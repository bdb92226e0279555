package core

import (
	"context"
	"errors"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/lamport"
	"github.com/seed-645ce708/gossip/agent/internal/state"
)

// ErrBroadcast tells that a broadcast was not sent out in time. It will still be, once a member is reachable.
var ErrBroadcast = errors.New("timed out broadcasting")

// Do applies a local request and waits for its answer, and, if others are alive to hear of it, until its
// broadcast is out or timeout is over. With a timeout of 0 it does not wait for the broadcast. It returns the
// refusals of package state, ErrBroadcast, ErrStopped, or the error of ctx.
func (c *Core) Do(ctx context.Context, in state.Input, timeout time.Duration) error {
	r, err := c.request(ctx, in)
	if err != nil || r.sent == nil || timeout == 0 {
		return err
	}
	limit := time.NewTimer(timeout)
	defer limit.Stop()
	select {
	case <-r.sent:
		return nil
	case <-limit.C:
		return ErrBroadcast
	case <-ctx.Done():
		return ctx.Err()
	case <-c.stop:
		return ErrStopped
	}
}

// UserEvent sends a user event and returns it with its Lamport time. It does not wait for the broadcast.
func (c *Core) UserEvent(ctx context.Context, in state.UserEvent) (*event.User, error) {
	r, err := c.request(ctx, in)
	switch {
	case err != nil:
		return nil, err
	case r.event == nil:
		return nil, ErrDuplicate
	}
	return r.event, nil
}

func (c *Core) request(ctx context.Context, in state.Input) (reply, error) {
	done := make(chan reply, 1)
	if !c.inbox.put(item{in: in, reply: done}) {
		return reply{}, ErrStopped
	}
	select {
	case r := <-done:
		return r, r.err
	case <-ctx.Done():
		return reply{}, ctx.Err()
	case <-c.stop:
		return reply{}, ErrStopped
	}
}

// ErrDuplicate tells that a user event was known already, though its Lamport time is new: a peer has made use of the time.
var ErrDuplicate = errors.New("the user event is known already")

type queryID struct {
	ltime lamport.Time
	id    uint32
}

// Answer is one thing that a running query heard: an acknowledgement or a response. A member sends at most one
// of each.
type Answer struct {
	From    string
	Ack     bool
	Payload []byte // of a response; may be nil
}

// Query is a running query of ours.
type Query struct {
	// Answers yields what members say and is closed when the query or the core ends.
	Answers <-chan Answer
	// Deadline is when it ends by itself.
	Deadline time.Time
	// Expect is how many live members the query is for, as far as we know.
	Expect int

	core    *Core
	id      queryID
	answers chan Answer
}

// answerRoom is how many answers may wait beyond the two that each expected member can send: members that
// joined meanwhile answer too.
const answerRoom = 64

// Query asks the cluster. Whoever calls it reads Answers until it is closed, or calls Cancel.
func (c *Core) Query(ctx context.Context, in state.Query) (*Query, error) {
	r, err := c.request(ctx, in)
	if err != nil {
		return nil, err
	}
	return r.query, nil
}

// Cancel ends the query before its deadline. It may be called at any time, more than once.
func (q *Query) Cancel() { q.core.Post(state.QueryCancel{LTime: q.id.ltime, ID: q.id.id}) }

func (c *Core) startQuery(e state.QueryStarted) *Query {
	answers := make(chan Answer, 2*e.Expect+answerRoom)
	q := &Query{
		Answers: answers, Deadline: e.Deadline, Expect: e.Expect,
		core: c, id: queryID{e.LTime, e.ID}, answers: answers,
	}
	c.queries[q.id] = q
	return q
}

// deliver never blocks: a reader that is away loses answers, which are counted.
func (c *Core) deliver(id queryID, a Answer) {
	q, ok := c.queries[id]
	if !ok {
		return
	}
	select {
	case q.answers <- a:
	default:
		c.cfg.Metric(state.Metric{Name: "gossip.query.answers_dropped", Kind: state.Counter, Value: 1})
	}
}

func (c *Core) endQuery(id queryID) {
	if q, ok := c.queries[id]; ok {
		delete(c.queries, id)
		close(q.answers)
	}
}
