package client

import (
	"errors"

	"github.com/seed-645ce708/gossip/agent/api"
)

var (
	// ErrClosed is in every error that comes of the connection being gone, whoever ended it.
	ErrClosed = errors.New("connection to the agent is closed")
	// ErrAuth is in the RemoteError of an agent that wants a token, or another one than Config.AuthKey.
	ErrAuth = errors.New("the agent refused the RPC token")
	// ErrUnsupported is in the RemoteError of an agent that does not know the command: a stock Serf agent asked for what
	// only ours can do, or an older one of ours.
	ErrUnsupported = errors.New("the agent does not know the command")
)

// RemoteError is an agent's refusal of a command. errors.Is finds the api.ProtocolError constants and ErrAuth in it.
type RemoteError struct {
	Command string // one of the api.Command constants
	Message string // the agent's words
}

// Error returns the agent's words alone: that is what Serf's own client shows and what scripts compare.
func (e *RemoteError) Error() string { return e.Message }

// Is reports whether the refusal is target.
func (e *RemoteError) Is(target error) bool {
	switch target {
	case ErrAuth:
		return e.Message == string(api.ErrAuthRequired) || e.Message == string(api.ErrInvalidToken)
	case ErrUnsupported:
		return e.Message == string(api.ErrUnsupportedCommand)
	}
	text, ok := target.(api.ProtocolError)
	return ok && e.Message == string(text)
}
