package wire

import (
	"net/netip"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/lamport"
)

// Type is the first byte of a message (Serf reference 1.4).
type Type uint8

// The message types. Conflict and key messages travel inside the payloads of queries and their responses,
// push/pull states in memberlist's TCP exchange, and all others as memberlist user messages.
const (
	TypeLeave         Type = 0
	TypeJoin          Type = 1
	TypePushPull      Type = 2
	TypeUserEvent     Type = 3
	TypeQuery         Type = 4
	TypeQueryResponse Type = 5
	TypeConflict      Type = 6
	TypeKeyRequest    Type = 7
	TypeKeyResponse   Type = 8
	TypeRelay         Type = 9
)

// String returns the name that Serf's log messages use.
func (t Type) String() string {
	switch t {
	case TypeLeave:
		return "leave"
	case TypeJoin:
		return "join"
	case TypePushPull:
		return "push/pull"
	case TypeUserEvent:
		return "user event"
	case TypeQuery:
		return "query"
	case TypeQueryResponse:
		return "query response"
	case TypeConflict:
		return "conflict response"
	case TypeKeyRequest:
		return "key request"
	case TypeKeyResponse:
		return "key response"
	case TypeRelay:
		return "relay"
	default:
		return "unknown"
	}
}

// Message is one of *Leave, *Join, *PushPull, *UserEvent, *Query, *QueryResponse, *Member, *KeyRequest,
// *KeyResponse and *Relay.
type Message interface {
	Type() Type
	// append adds the message's bytes after the type byte.
	append(b []byte) []byte
}

// Leave says that a member means to leave, or is made to.
type Leave struct {
	LTime lamport.Time
	Node  string
	Prune bool // forget the member at once instead of keeping it as left
}

// Join says that a member is here, more recently than any leave with a smaller LTime.
type Join struct {
	LTime lamport.Time
	Node  string
}

// PushPull is what two agents tell each other when memberlist exchanges full states.
type PushPull struct {
	LTime        lamport.Time            // the sender's member clock
	StatusLTimes map[string]lamport.Time // of every member that the sender knows, in any status
	LeftMembers  []string
	EventLTime   lamport.Time // the sender's event clock
	Events       []*EventSlot // recent user events in any order; nil elements are empty slots
	QueryLTime   lamport.Time // the sender's query clock
}

// EventSlot is all user events that carry the same LTime.
type EventSlot struct {
	LTime  lamport.Time
	Events []SlotEvent
}

// SlotEvent is one user event in a slot.
type SlotEvent struct {
	Name    string
	Payload []byte
}

// UserEvent is a user event.
type UserEvent struct {
	LTime    lamport.Time
	Name     string
	Payload  []byte
	Coalesce bool // "CC" on the wire
}

// The bits of Query.Flags and QueryResponse.Flags.
const (
	FlagAck         uint32 = 1 // on a query: an acknowledgement is wanted; on a response: this is one
	FlagNoBroadcast uint32 = 2 // on a query: do not pass it on
)

// Query is a question to the members that pass its filters.
type Query struct {
	LTime       lamport.Time
	ID          uint32
	Addr        netip.Addr // where answers go; the zero Addr if the message held no valid address
	Port        uint16
	SourceNode  string
	Filters     [][]byte // see EncodeNodeFilter, EncodeTagFilter and Filters
	Flags       uint32
	RelayFactor uint8
	Timeout     time.Duration
	Name        string
	Payload     []byte
}

// WantsAck reports whether FlagAck is set.
func (m *Query) WantsAck() bool { return m.Flags&FlagAck != 0 }

// NoBroadcast reports whether FlagNoBroadcast is set.
func (m *Query) NoBroadcast() bool { return m.Flags&FlagNoBroadcast != 0 }

// QueryResponse acknowledges or answers a query.
type QueryResponse struct {
	LTime   lamport.Time // of the query
	ID      uint32       // of the query
	From    string
	Flags   uint32
	Payload []byte
}

// IsAck reports whether FlagAck is set.
func (m *QueryResponse) IsAck() bool { return m.Flags&FlagAck != 0 }

// Member is the answer to a _serf_conflict query: the asked member's record. A nil *Member encodes as "not
// known".
type Member struct {
	Name   string
	Addr   netip.Addr
	Port   uint16
	Tags   map[string]string
	Status int64 // numbered as view.Status

	ProtocolMin, ProtocolMax, ProtocolCur uint8
	DelegateMin, DelegateMax, DelegateCur uint8
}

// KeyRequest is the payload of the _serf_*-key queries.
type KeyRequest struct {
	Key []byte // empty for a list
}

// KeyResponse is the payload of their answers.
type KeyResponse struct {
	Result     bool
	Message    string
	Keys       []string // base64; only in answers to a list
	PrimaryKey string   // base64; only in answers to a list
}

// Relay asks its receiver to send Inner, a whole message with its type byte, to another member.
type Relay struct {
	DestAddr netip.AddrPort
	DestName string
	Inner    []byte
}

// Type returns TypeLeave.
func (*Leave) Type() Type { return TypeLeave }

// Type returns TypeJoin.
func (*Join) Type() Type { return TypeJoin }

// Type returns TypePushPull.
func (*PushPull) Type() Type { return TypePushPull }

// Type returns TypeUserEvent.
func (*UserEvent) Type() Type { return TypeUserEvent }

// Type returns TypeQuery.
func (*Query) Type() Type { return TypeQuery }

// Type returns TypeQueryResponse.
func (*QueryResponse) Type() Type { return TypeQueryResponse }

// Type returns TypeConflict.
func (*Member) Type() Type { return TypeConflict }

// Type returns TypeKeyRequest.
func (*KeyRequest) Type() Type { return TypeKeyRequest }

// Type returns TypeKeyResponse.
func (*KeyResponse) Type() Type { return TypeKeyResponse }

// Type returns TypeRelay.
func (*Relay) Type() Type { return TypeRelay }
