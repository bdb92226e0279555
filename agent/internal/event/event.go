// Package event is what happens in a cluster as ordered values: member events, user events and queries,
// the filters that select them, the coalescer that thins them, and the log from which streams and handlers
// read at their own pace. It knows members (package view) and nothing of how events come about.
package event

import (
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/lamport"
	"github.com/seed-645ce708/gossip/agent/internal/view"
)

// Type is the kind of an event as handlers, streams and filters spell it.
type Type string

// The types of Serf reference 3.3.
const (
	TypeMemberJoin   Type = "member-join"
	TypeMemberLeave  Type = "member-leave"
	TypeMemberFailed Type = "member-failed"
	TypeMemberUpdate Type = "member-update"
	TypeMemberReap   Type = "member-reap"
	TypeUser         Type = "user"
	TypeQuery        Type = "query"
)

// Event is one of Member, User or Query. Events are immutable and may be shared between goroutines.
type Event interface {
	Type() Type
	// String is the form of Serf's log lines: "member-join", "user-event: NAME" or "query: NAME".
	String() string
}

// Member tells that one or more members changed in the same way.
type Member struct {
	Kind    Type // one of the TypeMember constants
	Members []*view.Member
}

// User is a user event.
type User struct {
	LTime    lamport.Time
	Name     string
	Payload  []byte // nil if the event carries none
	Coalesce bool   // only the newest of several events of this name matters
}

// Query is a question that this agent may answer until Deadline.
type Query struct {
	LTime    lamport.Time
	ID       uint32 // as chosen by the asking agent
	Name     string
	Payload  []byte
	From     string // name of the asking member
	Deadline time.Time
	// Respond answers the query. It may be called from any goroutine; only the first answer is sent, later
	// ones get an error, as does an answer past Deadline or above the size limit (Serf reference 2.7).
	Respond func(payload []byte) error
}

// Type returns e.Kind.
func (e *Member) Type() Type { return e.Kind }

// Type returns TypeUser.
func (e *User) Type() Type { return TypeUser }

// Type returns TypeQuery.
func (e *Query) Type() Type { return TypeQuery }

func (e *Member) String() string { return string(e.Kind) }
func (e *User) String() string   { return "user-event: " + e.Name }
func (e *Query) String() string  { return "query: " + e.Name }
