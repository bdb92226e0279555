// Package api holds the requests, responses and records of the RPC protocol, which is Serf's
// (Serf reference section 4), shared by the agent's server and by package client. It imports the standard
// library alone, so that whoever speaks the protocol pulls in nothing else.
//
// Every struct travels as a msgpack map whose keys are the Go field names.
package api

import (
	"net"
	"time"
)

// Version is the only version of the RPC protocol.
const Version = 1

// DefaultAddr is where an agent listens for RPC unless told otherwise.
const DefaultAddr = "127.0.0.1:7373"

// The commands of Serf reference 4.3.
const (
	CommandHandshake       = "handshake"
	CommandAuth            = "auth"
	CommandEvent           = "event"
	CommandForceLeave      = "force-leave"
	CommandJoin            = "join"
	CommandMembers         = "members"
	CommandMembersFiltered = "members-filtered"
	CommandTags            = "tags"
	CommandStream          = "stream"
	CommandMonitor         = "monitor"
	CommandStop            = "stop"
	CommandLeave           = "leave"
	CommandQuery           = "query"
	CommandRespond         = "respond"
	CommandInstallKey      = "install-key"
	CommandUseKey          = "use-key"
	CommandRemoveKey       = "remove-key"
	CommandListKeys        = "list-keys"
	CommandStats           = "stats"
	CommandGetCoordinate   = "get-coordinate"
)

// RequestHeader precedes every request.
type RequestHeader struct {
	Command string
	Seq     uint64 // chosen by the client, echoed in the response
}

// ResponseHeader precedes every response and every record of a stream.
type ResponseHeader struct {
	Seq   uint64
	Error string // empty on success
}

// HandshakeRequest must be the first request of a connection.
type HandshakeRequest struct{ Version int32 }

// AuthRequest carries the agent's rpc_auth token.
type AuthRequest struct{ AuthKey string }

// EventRequest fires a user event.
type EventRequest struct {
	Name     string
	Payload  []byte
	Coalesce bool
}

// ForceLeaveRequest turns a failed member into one that left; Prune also forgets it at once.
type ForceLeaveRequest struct {
	Node  string
	Prune bool
}

// JoinRequest makes the agent join others. Replay asks for the user events they remember.
type JoinRequest struct {
	Existing []string
	Replay   bool
}

// JoinResponse counts the addresses that were reached. It follows the header even on error.
type JoinResponse struct{ Num int32 }

// MembersFilteredRequest selects members. Each field is a regular expression that must match as a whole;
// empty means any.
type MembersFilteredRequest struct {
	Tags   map[string]string
	Status string
	Name   string
}

// MembersResponse lists members.
type MembersResponse struct {
	// Confidence is how far the agent trusts the list. Stock Serf agents do not say.
	Confidence *Confidence `codec:",omitempty"`
	Members    []Member
}

// Confidence is how far an agent trusts its own view of the members.
type Confidence struct {
	// Evidence says in words what speaks for Isolated; empty if nothing does.
	Evidence string
	// Isolated tells that most likely the agent is cut off, rather than that everyone else failed.
	Isolated bool
	// Synced tells that the agent has heard from a cluster, or was not told to join one.
	Synced bool
	// VisibleShare is the share, above 0 up to 1, of the members seen alive in the last ten minutes that are alive
	// now. Members that left do not count.
	VisibleShare float64
}

// Doubt says why the absence of a member must not be believed, as a clause such as "the agent looks cut off: ..."; empty
// means that it may be. A nil Confidence, of an agent that does not say, has no doubts.
func (c *Confidence) Doubt() string {
	switch {
	case c == nil:
		return ""
	case !c.Synced:
		return "the agent has not joined its cluster yet"
	case c.Isolated:
		return "the agent looks cut off: " + c.Evidence
	default:
		return ""
	}
}

// Member is one member as RPC shows it.
type Member struct {
	Name        string
	Addr        net.IP // 4 or 16 bytes; an IPv4 address may come in its 16-byte form
	Port        uint16
	Tags        map[string]string
	Status      string // alive, leaving, left, failed or none
	ProtocolMin uint8
	ProtocolMax uint8
	ProtocolCur uint8
	DelegateMin uint8
	DelegateMax uint8
	DelegateCur uint8

	// What follows stock Serf agents never say, and ours only where there is something to say.

	// Damped members are alive but come and go: they are to be kept out of answers until Until.
	Damped bool `codec:",omitempty"`
	// Note says why the member has its status, or is damped.
	Note string `codec:",omitempty"`
	// Since is when the agent saw the member take its status, or when the damping began; Until is when that ends,
	// as things stand. Both are in Unix seconds of the agent's clock, 0 if unknown.
	Since uint64 `codec:",omitempty"`
	Until uint64 `codec:",omitempty"`
}

// TagsRequest changes the agent's own tags: deletes first, then sets.
type TagsRequest struct {
	Tags       map[string]string
	DeleteTags []string
}

// StreamRequest subscribes to events. Type is a filter as in Serf reference 3.3; "" and "*" select all.
type StreamRequest struct{ Type string }

// MonitorRequest subscribes to the agent's log from LogLevel up.
type MonitorRequest struct{ LogLevel string }

// StopRequest ends the stream or monitor that was started by the request numbered Stop.
type StopRequest struct{ Stop uint64 }

// QueryRequest asks the cluster a question.
type QueryRequest struct {
	FilterNodes []string
	FilterTags  map[string]string
	RequestAck  bool
	RelayFactor uint8
	Timeout     time.Duration // 0 means the agent's default
	Name        string
	Payload     []byte
}

// RespondRequest answers a query that arrived on a stream of the same connection under ID.
type RespondRequest struct {
	ID      uint64
	Payload []byte
}

// KeyRequest names a gossip key in standard base64.
type KeyRequest struct{ Key string }

// KeyResponse sums up what the members did with a key request. It follows the header even on error.
type KeyResponse struct {
	Messages map[string]string // by node name
	Keys     map[string]int    // base64 key to the number of nodes that have it
	NumNodes int
	NumErr   int
	NumResp  int
	// PrimaryKeys counts for each key how many members encrypt with it, in answers to list-keys. Stock Serf agents do
	// not say.
	PrimaryKeys map[string]int `codec:",omitempty"`
}

// CoordinateRequest asks for the network coordinate of Node.
type CoordinateRequest struct{ Node string }

// Coordinate is a Vivaldi network coordinate in seconds (Serf reference 2.12).
type Coordinate struct {
	Vec        []float64
	Error      float64
	Adjustment float64
	Height     float64
}

// CoordinateResponse holds the coordinate if Ok.
type CoordinateResponse struct {
	Coord Coordinate
	Ok    bool
}

// Event is a record of an event stream: one of *MemberEventRecord, *UserEventRecord, *QueryEventRecord or, on
// streams that asked for them, *RevisionRecord and *DroppedRecord. More kinds may come; ignore the unknown.
type Event interface {
	// EventType is the record's Event field: "member-join", "user", "query", ...
	EventType() string
}

// MemberEventRecord is a stream record for a member event.
type MemberEventRecord struct {
	Event   string
	Members []Member
}

// UserEventRecord is a stream record for a user event.
type UserEventRecord struct {
	Event    string
	LTime    uint64
	Name     string
	Payload  []byte
	Coalesce bool
}

// QueryEventRecord is a stream record for a query, to be answered with RespondRequest.
type QueryEventRecord struct {
	Event   string
	ID      uint64
	LTime   uint64
	Name    string
	Payload []byte
}

// Extensions of the stream filter that stock Serf does not know and refuses with ErrInvalidFilter. They stand in
// the filter's comma-separated list beside Serf's own.
const (
	// FilterRevision asks for a RevisionRecord after each change of the agent's member list.
	FilterRevision = "x-gossip-revision"
	// FilterDropped asks for a DroppedRecord when the agent had to drop events of this stream.
	FilterDropped = "x-gossip-dropped"
)

// RevisionRecord tells that the agent's member list changed and now has this revision; its Event is FilterRevision.
// It is level-triggered: a reader that is slow is told the newest revision only.
type RevisionRecord struct {
	Event    string
	Revision uint64
}

// DroppedRecord tells that Dropped events were lost at this place of the stream because the reader was too slow;
// its Event is FilterDropped. What the stream was used to follow must be read anew.
type DroppedRecord struct {
	Dropped uint64
	Event   string
}

// EventType returns r.Event.
func (r *MemberEventRecord) EventType() string { return r.Event }

// EventType returns r.Event.
func (r *UserEventRecord) EventType() string { return r.Event }

// EventType returns r.Event.
func (r *QueryEventRecord) EventType() string { return r.Event }

// EventType returns r.Event.
func (r *RevisionRecord) EventType() string { return r.Event }

// EventType returns r.Event.
func (r *DroppedRecord) EventType() string { return r.Event }

// LogRecord is a monitor record: one line of the agent's log.
type LogRecord struct{ Log string }

// The types of QueryRecord.
const (
	QueryRecordAck      = "ack"
	QueryRecordResponse = "response"
	QueryRecordDone     = "done"
)

// QueryRecord is a record of a running query.
type QueryRecord struct {
	Type    string
	From    string
	Payload []byte
}

// Stats are the agent's figures by section and key.
type Stats map[string]map[string]string
