package api

// ProtocolError is an error that travels in ResponseHeader.Error. The texts are part of the protocol
// (Serf reference 4.2 to 4.5): clients compare them.
type ProtocolError string

// Error returns the text as it travels.
func (e ProtocolError) Error() string { return string(e) }

// The refusals that the protocol itself knows. Commands add errors of their own, such as the limits of Serf
// reference 2.6.
const (
	ErrHandshakeRequired  ProtocolError = "Handshake required"           // and the agent closes the connection
	ErrHandshakeDone      ProtocolError = "Handshake already performed"  //
	ErrUnsupportedVersion ProtocolError = "Unsupported IPC version"      //
	ErrAuthRequired       ProtocolError = "Authentication required"      // never followed by a body
	ErrInvalidToken       ProtocolError = "Invalid authentication token" //
	ErrUnsupportedCommand ProtocolError = "Unsupported command"          // and the agent closes the connection
	ErrInvalidFilter      ProtocolError = "Invalid event filter"
	ErrStreamExists       ProtocolError = "Stream with given sequence exists"
	ErrMonitorExists      ProtocolError = "Monitor already exists"
	ErrNoSuchQuery        ProtocolError = "No pending queries matching ID"
	ErrReservedQuery      ProtocolError = "Queries cannot contain the '_serf_' prefix"
)

// UnknownLogLevelPrefix begins the refusal of a monitor request; the level follows in upper case.
const UnknownLogLevelPrefix = "Unknown log level: "
