package core

import (
	"context"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/state"
)

// Work that may take long runs in a goroutine for each kind, with room for slowDepth pieces; beyond it they
// are dropped: a reconnect is tried again anyway, and a key query that is not answered counts as failed with
// whoever asked.
const (
	slowInternal  = "key query"
	slowReconnect = "reconnect"
	slowDepth     = 16
)

// work runs pieces of slow work until the core stops.
func (c *Core) work(pieces <-chan func()) {
	for {
		select {
		case f := <-pieces:
			f()
		case <-c.stop:
			return
		}
	}
}

func (c *Core) slowly(kind string, f func()) {
	select {
	case c.slow[kind] <- f:
	default:
		c.cfg.Log.Warn("too much to do, dropping work", "kind", kind)
	}
}

// step applies one item and carries out its effects. What others may see only after the view is published
// is added to later.
func (c *Core) step(it item, later []func()) []func() {
	if it.call != nil {
		it.call()
		it.reply <- reply{}
		return later
	}
	effects, err := c.advance(time.Now(), it.in)
	r := reply{err: err}
	for _, e := range effects {
		later = c.apply(e, &r, later)
	}
	if it.reply != nil {
		// After the publication too, so that whoever asked sees what it asked for.
		later = append(later, func() { it.reply <- r })
	}
	return later
}

// advance applies one input to the state, unless it is a user event too many.
func (c *Core) advance(now time.Time, in state.Input) ([]state.Effect, error) {
	if e, ok := in.(state.UserEvent); ok {
		if err := c.limit.admit(now, len(e.Name)+len(e.Payload)); err != nil {
			c.cfg.Metric(state.Metric{Name: "gossip.events.refused", Kind: state.Counter, Value: 1})
			return nil, err
		}
	}
	return c.cfg.State.Step(now, in)
}

func (c *Core) apply(e state.Effect, r *reply, later []func()) []func() {
	switch e := e.(type) {
	case state.Broadcast:
		var sent chan struct{}
		if e.Notify {
			sent = make(chan struct{})
			r.sent = sent
		}
		if e.Queue == state.QueueEvent {
			c.limit.passed(time.Now(), len(e.Msg))
		}
		c.net.Broadcast(e.Queue, e.Msg, sent)
	case state.Send:
		if err := c.net.Send(e.To, e.Node, e.Msg); err != nil {
			c.cfg.Log.Debug("cannot send a message", "node", e.Node, "addr", e.To, "err", err)
		}
	case state.Reconnect:
		c.slowly(slowReconnect, func() { c.cfg.Reconnect(e.Name, e.Addr) })
	case state.Emit:
		ev := e.Event
		if q, ok := ev.(*event.Query); ok {
			q.Respond = c.responder(q)
		}
		r.event, _ = ev.(*event.User)
		return append(later, func() { c.cfg.Emit(ev) })
	case state.Reaped:
		c.cfg.Reaped(e.Name)
	case state.Quit:
		c.cfg.Quit(e.Reason)
	case state.Probe:
		c.cfg.Probe(e.Addr)
	case state.InternalQuery:
		c.slowly(slowInternal, func() {
			answer := c.cfg.Internal(e)
			if answer == nil {
				return
			}
			in := state.Respond{LTime: e.LTime, ID: e.ID, Payload: answer}
			if err := c.Do(context.Background(), in, 0); err != nil {
				c.cfg.Log.Warn("cannot answer a key query", "query", e.Name, "err", err)
			}
		})
	case state.QueryStarted:
		r.query = c.startQuery(e)
	case state.QueryAck:
		c.deliver(queryID{e.LTime, e.ID}, Answer{From: e.From, Ack: true})
	case state.QueryResponse:
		c.deliver(queryID{e.LTime, e.ID}, Answer{From: e.From, Payload: e.Payload})
	case state.QueryDone:
		c.endQuery(queryID{e.LTime, e.ID})
	case state.Metric:
		c.cfg.Metric(e)
	case state.Log:
		c.log(e)
	}
	return later
}

// responder answers a query through the state machine, which knows whether it may still be answered.
func (c *Core) responder(q *event.Query) func([]byte) error {
	return func(payload []byte) error {
		return c.Do(context.Background(), state.Respond{LTime: q.LTime, ID: q.ID, Payload: payload}, 0)
	}
}

func (c *Core) log(e state.Log) {
	switch e.Level {
	case state.Debug:
		c.cfg.Log.Debug(e.Text)
	case state.Info:
		c.cfg.Log.Info(e.Text)
	case state.Warn:
		c.cfg.Log.Warn(e.Text)
	case state.Error:
		c.cfg.Log.Error(e.Text)
	}
}
