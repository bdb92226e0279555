package state

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// The protocol versions of Serf that this package speaks, and what each of them brought (Serf reference 6).
const (
	ProtocolMin     = 2
	ProtocolMax     = 5
	protocolTags    = 3
	protocolQueries = 4
	// relayMemberlist is the memberlist version that a peer must understand to be asked to relay.
	relayMemberlist = 5
)

// EventSizeMax is the largest EventSizeLimit, in bytes: above it, events no longer fit the packets that
// carry them.
const EventSizeMax = 9 * 1024

// Config is what a State must know before it starts. Start from DefaultConfig.
type Config struct {
	// Protocol is the version of Serf's protocol to speak, ProtocolMin to ProtocolMax. Below 4 there are no
	// queries.
	Protocol uint8
	// Tags of this member as configured: tag filters of queries look at these.
	Tags map[string]string

	// EventSizeLimit bounds a user event sent from here: its name and payload, and its encoded form, in bytes.
	// At most EventSizeMax.
	EventSizeLimit int
	// QuerySizeLimit and QueryResponseSizeLimit bound encoded queries and responses sent from here, in bytes.
	QuerySizeLimit, QueryResponseSizeLimit int
	// EventBuffer and QueryBuffer are how many Lamport times back user events and queries are remembered.
	EventBuffer, QueryBuffer int
	// GossipInterval and QueryTimeoutMult make the default timeout of queries (reference 2.7).
	GossipInterval   time.Duration
	QueryTimeoutMult int

	// ReapInterval and ReconnectInterval are how often the reaper and the reconnector run.
	ReapInterval, ReconnectInterval time.Duration
	// ReconnectTimeout and TombstoneTimeout are how long failed and left members are remembered.
	ReconnectTimeout, TombstoneTimeout time.Duration
	// RecentIntentTimeout is how long intents about unknown members are remembered.
	RecentIntentTimeout time.Duration
	// FlapTimeout: a failed member that is back sooner counts as flapping.
	FlapTimeout time.Duration
	// PruneDelay is how long a leaving member is kept before it is pruned: BroadcastTimeout and
	// LeavePropagateDelay of reference 2.8 together.
	PruneDelay time.Duration

	// Probation is how long a member that left must have been seen alive to be taken back without a newer join:
	// longer than it takes to find out that a member is dead. 0 takes it back at once, as Serf does.
	Probation time.Duration

	// ResolveConflicts asks the cluster who owns our name when another node claims it, and quits if the
	// majority says it is not us.
	ResolveConflicts bool
	// ProbeConflicts finds out first whether the other node is alive at all (see Probe): it may be ourselves,
	// before we moved to another address. Serf does not.
	ProbeConflicts bool

	// Rand chooses relays, query ids and members to reconnect to. Nil means a randomly seeded source.
	Rand *rand.Rand
}

// DefaultConfig returns the defaults of a Serf agent on a local network (Serf reference 6).
func DefaultConfig() Config {
	return Config{
		Protocol:               ProtocolMax,
		EventSizeLimit:         512,
		QuerySizeLimit:         1024,
		QueryResponseSizeLimit: 1024,
		EventBuffer:            512,
		QueryBuffer:            512,
		GossipInterval:         200 * time.Millisecond,
		QueryTimeoutMult:       16,
		ReapInterval:           15 * time.Second,
		ReconnectInterval:      30 * time.Second,
		ReconnectTimeout:       24 * time.Hour,
		TombstoneTimeout:       24 * time.Hour,
		RecentIntentTimeout:    5 * time.Minute,
		FlapTimeout:            60 * time.Second,
		PruneDelay:             6 * time.Second,
		ResolveConflicts:       true,
	}
}

// Validate reports the first setting that is out of range. New does not check: call this where settings are
// read.
func (c *Config) Validate() error {
	if c.Protocol < ProtocolMin || c.Protocol > ProtocolMax {
		return fmt.Errorf("protocol version %d is not between %d and %d", c.Protocol, ProtocolMin, ProtocolMax)
	}
	if c.EventSizeLimit > EventSizeMax {
		return fmt.Errorf("user event size limit exceeds limit of %d bytes", EventSizeMax)
	}
	for _, n := range []struct {
		what  string
		value int64
	}{
		{"user event size limit", int64(c.EventSizeLimit)},
		{"query size limit", int64(c.QuerySizeLimit)},
		{"query response size limit", int64(c.QueryResponseSizeLimit)},
		{"event buffer", int64(c.EventBuffer)},
		{"query buffer", int64(c.QueryBuffer)},
		{"query timeout multiplier", int64(c.QueryTimeoutMult)},
		{"gossip interval", int64(c.GossipInterval)},
		{"reap interval", int64(c.ReapInterval)},
		{"reconnect interval", int64(c.ReconnectInterval)},
	} {
		if n.value <= 0 {
			return fmt.Errorf("%s must be positive, not %d", n.what, n.value)
		}
	}
	return nil
}
