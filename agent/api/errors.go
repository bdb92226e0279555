package api

// ErrorText is an error that travels in ResponseHeader.Error. The texts are part of the protocol
// (Serf reference 4.2 to 4.5): clients compare them.
type ErrorText string

// Error returns the text as it travels.
func (e ErrorText) Error() string { return string(e) }

// The refusals that the protocol itself knows. Commands add errors of their own, such as the limits of Serf
// reference 2.6.
const (
	ErrHandshakeRequired  ErrorText = "Handshake required"           // and the agent closes the connection
	ErrHandshakeDone      ErrorText = "Handshake already performed"  //
	ErrUnsupportedVersion ErrorText = "Unsupported IPC version"      //
	ErrAuthRequired       ErrorText = "Authentication required"      // never followed by a body
	ErrInvalidToken       ErrorText = "Invalid authentication token" //
	ErrUnsupportedCommand ErrorText = "Unsupported command"          // and the agent closes the connection
	ErrInvalidFilter      ErrorText = "Invalid event filter"
	ErrStreamExists       ErrorText = "Stream with given sequence exists"
	ErrMonitorExists      ErrorText = "Monitor already exists"
	ErrNoSuchQuery        ErrorText = "No pending queries matching ID"
	ErrReservedQuery      ErrorText = "Queries cannot contain the '_serf_' prefix"
)

// UnknownLogLevelPrefix begins the refusal of a monitor request; the level follows in upper case.
const UnknownLogLevelPrefix = "Unknown log level: "
