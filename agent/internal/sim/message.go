package sim

import (
	"fmt"

	"github.com/seed-645ce708/gossip/agent/internal/state"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// kind is what a message says.
type kind uint8

const (
	aliveMessage kind = iota
	suspectMessage
	deadMessage
	userMessage // one of Serf's
)

// message is something that is gossiped. It is shared by all agents that pass it on and never changes.
type message struct {
	kind    kind
	subject int32 // the member that it is about, if any
	from    int32 // who suspects, or declares dead
	inc     uint32
	size    int // in bytes, with the type byte

	raw     []byte // of a userMessage, as wire.Encode made it
	decoded wire.Message
}

// Sizes of packets on the wire besides those of messages, in bytes.
const (
	packetHeaders  = 28 // IPv4 and UDP
	maxPacket      = 1400
	compoundHead   = 2
	compoundEach   = 2
	userHead       = 1
	checksum       = 5   // memberlist's, on packets to members whom it knows by name
	coordinateSize = 130 // the coordinate that Serf adds to acknowledgements
	segmentHeaders = 40
	segmentSize    = 1448
	handshake      = 7 * segmentHeaders // of a TCP connection, from SYN to the last FIN
	smallest       = 16                 // no message is smaller
)

func sizeUint(v uint32) int {
	switch {
	case v < 1<<7:
		return 1
	case v < 1<<8:
		return 2
	case v < 1<<16:
		return 3
	default:
		return 5
	}
}

func sizeRaw(n int) int {
	if n < 32 {
		return n + 1
	}
	return n + 3
}

// The sizes follow memberlist's structs: a map of field names to values in msgpack.
const (
	fieldIncarnation = 12
	fieldNode        = 5
	fieldFrom        = 5
	fieldSource      = 11 + 5 + 11 + 3 + 11 // SourceAddr, SourcePort, and the key of SourceNode
)

func (w *World) sizeAlive(id int32, inc uint32) int {
	n := &w.nodes[id]
	return 2 + fieldIncarnation + sizeUint(inc) + fieldNode + sizeRaw(len(n.name)) + 5 + 5 + 5 + 3 + 5 + sizeRaw(w.metaSize) + 4 + 7
}

func (w *World) sizeAccusation(id, from int32, inc uint32) int {
	return 2 + fieldIncarnation + sizeUint(inc) + fieldNode + sizeRaw(len(w.nodes[id].name)) + fieldFrom + sizeRaw(len(w.nodes[from].name))
}

// sizeEntry is what a push/pull takes for a member.
func (w *World) sizeEntry(id int32, inc uint32) int {
	return w.sizeAlive(id, inc) + 4
}

func (w *World) sizePing(from, to int32) int {
	return 2 + 6 + 5 + fieldNode + sizeRaw(len(w.nodes[to].name)) + fieldSource + sizeRaw(len(w.nodes[from].name))
}

func (w *World) sizeIndirect(from, to int32) int { return w.sizePing(from, to) + 7 + 5 + 5 + 3 + 6 }

const (
	sizeAck  = 2 + 6 + 5 + 8 + 3 + coordinateSize
	sizeNack = 2 + 6 + 5
)

// alive returns the message that a member lives; agents that learn the same from push/pulls share one.
func (w *World) alive(id int32, inc uint32) *message {
	m := w.lastAlive[id]
	if m == nil || m.inc != inc {
		m = &message{kind: aliveMessage, subject: id, inc: inc, size: w.sizeAlive(id, inc)}
		w.lastAlive[id] = m
	}
	return m
}

func (w *World) accuse(k kind, id, from int32, inc uint32) *message {
	return &message{kind: k, subject: id, from: from, inc: inc, size: w.sizeAccusation(id, from, inc)}
}

// user returns a message of Serf's, decoded once for all who get it. That it is valid is state's promise.
func (w *World) user(raw []byte) *message {
	m, err := wire.Decode(raw)
	if err != nil {
		panic(fmt.Sprintf("a state machine sent what cannot be decoded: %v", err))
	}
	msg := &message{kind: userMessage, subject: nobody, size: userHead + len(raw), raw: raw, decoded: m}
	switch m := m.(type) {
	case *wire.Join:
		msg.subject = w.find(m.Node)
	case *wire.Leave:
		msg.subject = w.find(m.Node)
	}
	return msg
}

// queueOf returns the queue for a message that is news.
func (m *message) queueOf() state.Queue {
	switch m.decoded.(type) {
	case *wire.UserEvent:
		return state.QueueEvent
	case *wire.Query:
		return state.QueueQuery
	default:
		return state.QueueIntent
	}
}
