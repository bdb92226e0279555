package state

import (
	"net/netip"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/lamport"
)

// Effect is one of the types of this file: something that the owner of the State must do.
type Effect interface{ isEffect() }

// Queue is one of the three queues of messages to gossip, drained in this order (reference 1.8).
type Queue uint8

// The queues.
const (
	QueueIntent Queue = iota
	QueueQuery
	QueueEvent
)

// String returns the queue's name as Serf's metrics and warnings spell it.
func (q Queue) String() string {
	switch q {
	case QueueIntent:
		return "Intent"
	case QueueQuery:
		return "Query"
	default:
		return "Event"
	}
}

// Messages to send.
type (
	// Broadcast queues a message for gossip to everyone.
	Broadcast struct {
		Queue Queue
		Msg   []byte
		// Notify: the local request is complete only when the message has been sent out, or the broadcast
		// timeout is over. At most one effect of a Step has it set.
		Notify bool
	}
	// Send sends a message to one member, best effort (a UDP user message).
	Send struct {
		To   netip.AddrPort
		Node string
		Msg  []byte
	}
	// Reconnect asks memberlist to try and join a failed member. Its name may hold a slash, which the address
	// form "name/ip:port" cannot carry.
	Reconnect struct {
		Name string
		Addr netip.AddrPort
	}
)

// What happened.
type (
	// Emit delivers an event to handlers and streams. In an *event.Query, Respond is nil: fill it so that it
	// feeds a Respond input with the query's LTime and ID.
	Emit struct{ Event event.Event }
	// Reaped says that the member is forgotten: forget what belongs to it, such as its coordinate.
	Reaped struct{ Name string }
	// Quit says that the agent must shut down, since it lost its name.
	Quit struct{ Reason string }
	// Probe asks whether a node of our name answers at an address; tell by a Probed input.
	Probe struct{ Addr netip.AddrPort }
)

// Queries.
type (
	// InternalQuery is a key management query to carry out; answer it with a Respond input. Its name is one of
	// wire.InstallKey, wire.UseKey, wire.RemoveKey and wire.ListKeys.
	InternalQuery struct {
		LTime   lamport.Time
		ID      uint32
		Name    string
		Payload []byte
		From    string
	}
	// QueryStarted is the first effect of a Query input. LTime and ID name the query in what follows.
	QueryStarted struct {
		LTime    lamport.Time
		ID       uint32
		Deadline time.Time
		// Expect is how many live members pass the query's filters as far as we know: when so many have
		// answered, there is hardly a reason to wait on.
		Expect int
	}
	// QueryAck says that a member got the query. At most one for each member.
	QueryAck struct {
		LTime lamport.Time
		ID    uint32
		From  string
	}
	// QueryResponse is the answer of a member. At most one for each member.
	QueryResponse struct {
		LTime   lamport.Time
		ID      uint32
		From    string
		Payload []byte
	}
	// QueryDone says that the deadline is over or the query was cancelled. Nothing follows.
	QueryDone struct {
		LTime lamport.Time
		ID    uint32
	}
)

// MetricKind says what a Metric's value means.
type MetricKind uint8

// The kinds of metrics.
const (
	Counter MetricKind = iota
	Gauge
	Sample
)

// Level is how much a Log effect matters.
type Level uint8

// The levels, as Serf's log lines spell them: [DEBUG], [INFO], [WARN] and [ERR].
const (
	Debug Level = iota
	Info
	Warn
	Error
)

// Observability.
type (
	// Metric counts or measures. Name is Serf's, with dots between its parts ("serf.member.join"); Detail is
	// a last part that others chose and that may hold anything (the name of a user event or a query), or "".
	Metric struct {
		Name   string
		Detail string
		Kind   MetricKind
		Value  float64
	}
	// Log is a line for the log, in Serf's words, without level and time.
	Log struct {
		Level Level
		Text  string
	}
)

func (Broadcast) isEffect()     {}
func (Send) isEffect()          {}
func (Reconnect) isEffect()     {}
func (Emit) isEffect()          {}
func (Reaped) isEffect()        {}
func (Quit) isEffect()          {}
func (Probe) isEffect()         {}
func (InternalQuery) isEffect() {}
func (QueryStarted) isEffect()  {}
func (QueryAck) isEffect()      {}
func (QueryResponse) isEffect() {}
func (QueryDone) isEffect()     {}
func (Metric) isEffect()        {}
func (Log) isEffect()           {}
