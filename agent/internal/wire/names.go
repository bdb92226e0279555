package wire

// InternalPrefix begins the names of queries that agents ask each other and that no application sees
// (Serf reference 2.10).
const InternalPrefix = "_serf_"

// The internal queries.
const (
	Ping       = InternalPrefix + "ping"
	Conflict   = InternalPrefix + "conflict"
	InstallKey = InternalPrefix + "install-key"
	UseKey     = InternalPrefix + "use-key"
	RemoveKey  = InternalPrefix + "remove-key"
	ListKeys   = InternalPrefix + "list-keys"
)
