package core

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/lamport"
	"github.com/seed-645ce708/gossip/agent/internal/state"
	"github.com/seed-645ce708/gossip/agent/internal/view"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// ErrStopped answers requests to a core that has stopped.
var ErrStopped = errors.New("the agent is shutting down")

// Network is what the core needs of the gossip layer. None of its methods may block.
type Network interface {
	// Send passes a message straight to one member, best effort.
	Send(to netip.AddrPort, node string, msg []byte) error
	// Broadcast queues a message for everyone; sent, if not nil, is closed once it is out.
	Broadcast(q state.Queue, msg []byte, sent chan<- struct{})
}

// Config wires a core to its surroundings. All functions are called on the core's goroutine and must not
// block, except those of which it is said otherwise.
type Config struct {
	State *state.State
	// View is where members are published.
	View *view.Store
	// Emit delivers events in order.
	Emit func(event.Event)
	// Internal carries out a key query and returns the answer to send. It runs in a goroutine of its own,
	// one query after the other, since it may write a file.
	Internal func(q state.InternalQuery) (answer []byte)
	// Reconnect tries to join a failed member again. It runs in a goroutine of its own, one attempt at a time.
	Reconnect func(name string, addr netip.AddrPort)
	// Reaped tells that a member is forgotten.
	Reaped func(name string)
	// Quit tells that the agent has lost its name and must stop.
	Quit func(reason string)
	// Probe finds out whether a node of our name answers at an address, and posts a state.Probed. It must not wait
	// for the answer.
	Probe func(addr netip.AddrPort)
	// Metric counts or measures.
	Metric func(state.Metric)
	Log    hclog.Logger
}

// Core owns the state machine. Safe for concurrent use.
type Core struct {
	cfg     Config
	net     Network
	inbox   *inbox
	queries map[queryID]*Query // owned by the loop
	limit   eventLimit         // owned by the loop
	slow    map[string]chan func()
	members atomic.Int64  // of every status
	time    atomic.Uint64 // of the member clock
	stop    chan struct{}
	once    sync.Once
	running sync.WaitGroup
}

// New returns a core that collects inputs but does nothing with them before Start.
func New(cfg Config) *Core {
	c := &Core{
		cfg:     cfg,
		inbox:   newInbox(),
		queries: map[queryID]*Query{},
		limit:   newEventLimit(),
		slow:    map[string]chan func(){},
		stop:    make(chan struct{}),
	}
	c.members.Store(1)
	return c
}

// Start runs the core on a network.
func (c *Core) Start(net Network) {
	c.net = net
	for _, kind := range []string{slowInternal, slowReconnect} {
		work := make(chan func(), slowDepth)
		c.slow[kind] = work
		c.running.Go(func() { c.work(work) })
	}
	c.running.Go(c.loop)
}

// Stop ends the core and waits for it. Requests under way get ErrStopped.
func (c *Core) Stop() {
	c.once.Do(func() {
		left := c.inbox.close()
		close(c.stop)
		for _, it := range left {
			if it.reply != nil {
				it.reply <- reply{err: ErrStopped}
			}
		}
	})
	c.running.Wait()
}

// Post hands over inputs, in order. It never blocks.
func (c *Core) Post(in ...state.Input) {
	items := make([]item, len(in))
	for i := range in {
		items[i].in = in[i]
	}
	c.inbox.put(items...)
}

// NumMembers is the number of members of every status, ourselves included.
func (c *Core) NumMembers() int { return int(c.members.Load()) }

// MemberTime is the time of the member clock.
func (c *Core) MemberTime() lamport.Time { return lamport.Time(c.time.Load()) }

// Inspect runs f between inputs, with the state to itself. It returns false if the core has stopped.
func (c *Core) Inspect(f func(*state.State)) bool {
	done := make(chan reply, 1)
	if !c.inbox.put(item{call: func() { f(c.cfg.State) }, reply: done}) {
		return false
	}
	select {
	case r := <-done:
		return r.err == nil
	case <-c.stop:
		return false
	}
}

// LocalState returns our half of a push/pull, or nil if the core has stopped.
func (c *Core) LocalState() []byte {
	var msg *wire.PushPull
	if !c.Inspect(func(s *state.State) { msg = s.LocalState() }) {
		return nil
	}
	return wire.Encode(msg)
}

// loop applies inputs batch by batch. Publishing once per batch keeps a burst of ten thousand joins from
// making ten thousand snapshots.
func (c *Core) loop() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	defer func() {
		for id := range c.queries {
			c.endQuery(id)
		}
	}()
	for {
		var later []func() // what may be seen only after the view is published
		select {
		case <-c.inbox.wake:
		case <-timer.C:
			later = c.step(item{in: state.Tick{}}, later)
		case <-c.stop:
			return
		}
		items, dropped := c.inbox.take()
		if dropped > 0 {
			c.cfg.Metric(state.Metric{Name: "gossip.inbox.dropped", Kind: state.Counter, Value: float64(dropped)})
			c.cfg.Log.Warn("dropped messages that came faster than they can be handled", "count", dropped)
		}
		for _, it := range items {
			later = c.step(it, later)
		}
		c.publish()
		c.time.Store(uint64(c.cfg.State.Clocks().Member))
		for _, f := range later {
			f()
		}
		now := time.Now()
		timer.Reset(max(c.cfg.State.Next(now).Sub(now), time.Millisecond))
	}
}

// publish makes members the newest view if they changed.
func (c *Core) publish() {
	if !c.cfg.State.Changed() {
		return
	}
	members := c.cfg.State.Members()
	c.members.Store(int64(len(members)))
	c.cfg.View.Publish(members)
}
