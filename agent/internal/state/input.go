package state

import (
	"net/netip"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/lamport"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// Input is one of the types of this file.
type Input interface{ isInput() }

// Node is what memberlist knows of a node.
type Node struct {
	Name string
	Addr netip.Addr // 4 or 16 bytes, as announced
	Port uint16
	Meta []byte // encoded tags

	// Versions of memberlist's protocol and of Serf's, as in view.Member.
	ProtocolMin, ProtocolMax, ProtocolCur uint8
	DelegateMin, DelegateMax, DelegateCur uint8
}

// From memberlist (reference 2.3, 2.4, 2.5).
type (
	// NodeJoin says that memberlist sees the node alive. It is also told about the local node.
	NodeJoin struct{ Node Node }
	// NodeUpdate says that the address or the meta of a live node changed.
	NodeUpdate struct{ Node Node }
	// NodeLeave says that memberlist sees the node dead or gone.
	NodeLeave struct{ Node Node }
	// NameConflict says that Other claims the name of Existing.
	NameConflict struct{ Existing, Other Node }
	// Probed answers a Probe effect.
	Probed struct {
		Addr  netip.AddrPort
		Alive bool
	}

	// Receive is a message from a peer: *wire.Leave, *wire.Join, *wire.UserEvent, *wire.Query,
	// *wire.QueryResponse or *wire.Relay. Raw is all of its bytes, with the type byte; they are passed on
	// unchanged.
	Receive struct {
		Msg wire.Message
		Raw []byte
	}
	// RemoteState is the peer's half of a push/pull. IgnoreOld is set if the exchange belongs to a join that
	// was asked not to replay old user events.
	RemoteState struct {
		State     *wire.PushPull
		IgnoreOld bool
	}
)

// From the local agent.
type (
	// Joined follows a join that reached at least one address: it announces us. Fails with ErrNotAlive.
	Joined struct{}
	// LeaveBegin starts a graceful leave: it announces that we go. Fails with ErrLeaving, ErrLeft or
	// ErrShutdown.
	LeaveBegin struct{}
	// LeaveDone ends it, after memberlist left and the news had time to spread.
	LeaveDone struct{}
	// Shutdown stops everything; later local requests are refused.
	Shutdown struct{}

	// ForceLeave declares a failed member to have left, and with Prune forgets it. An alive member refutes.
	// Unknown names are announced all the same, as Serf does.
	ForceLeave struct {
		Name  string
		Prune bool
	}
	// UserEvent sends a user event. Fails with an error that has Serf's text if it is too large.
	UserEvent struct {
		Name     string
		Payload  []byte
		Coalesce bool
	}
	// Query asks a question. Its effects begin with a QueryStarted. Fails with ErrNoQueries,
	// ErrReservedName, or an error that has Serf's text if it is too large.
	Query struct {
		Name        string
		Payload     []byte
		FilterNodes []string          // empty: all
		FilterTags  map[string]string // tag to regular expression; all must match
		WantAck     bool
		RelayFactor uint8         // how many members relay each answer besides the direct one
		Timeout     time.Duration // 0: State.DefaultQueryTimeout
		Internal    bool          // may use a name of wire.InternalPrefix
	}
	// QueryCancel stops collecting the answers of a query of ours; a QueryDone follows at once.
	QueryCancel struct {
		LTime lamport.Time
		ID    uint32
	}
	// Respond answers a received query, once. Fails with ErrAnswered, ErrDeadline or an error that tells the
	// size limit.
	Respond struct {
		LTime   lamport.Time
		ID      uint32
		Payload []byte
	}
	// LocalTags replaces the tags that filters of queries look at. Fails with wire.ErrTagsTooLong. Announcing
	// them is memberlist's: see wire.EncodeTags.
	LocalTags struct{ Tags map[string]string }
	// Restore sets the clocks past those of an earlier life, and ignores events and queries up to them. It
	// comes before any other input.
	Restore struct{ Member, Event, Query lamport.Time }
	// Tick lets time pass.
	Tick struct{}
)

func (NodeJoin) isInput()     {}
func (NodeUpdate) isInput()   {}
func (NodeLeave) isInput()    {}
func (NameConflict) isInput() {}
func (Probed) isInput()       {}
func (Receive) isInput()      {}
func (RemoteState) isInput()  {}
func (Joined) isInput()       {}
func (LeaveBegin) isInput()   {}
func (LeaveDone) isInput()    {}
func (Shutdown) isInput()     {}
func (ForceLeave) isInput()   {}
func (UserEvent) isInput()    {}
func (Query) isInput()        {}
func (QueryCancel) isInput()  {}
func (Respond) isInput()      {}
func (LocalTags) isInput()    {}
func (Restore) isInput()      {}
func (Tick) isInput()         {}
