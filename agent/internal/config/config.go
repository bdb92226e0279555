// Package config is every setting of an agent: its name, type, default, merge rule and check, read from
// Serf's JSON files, from HCL files and from the command line (Serf reference 3.2). It turns text into one
// typed value and stops there: nothing is opened, listened on or started here.
//
// A configuration grows in layers, each laid over the one before: Default, then files and directories in the
// order given, then flags. Complete ends it: it fills what is left empty and checks the whole.
package config

import "time"

// The protocol versions an agent can speak (Serf reference 6).
const (
	ProtocolMin     = 2
	ProtocolMax     = 5
	ProtocolDefault = 5
)

// Default ports and addresses.
const (
	DefaultBindPort = 7946
	DefaultBind     = "0.0.0.0:7946"
	DefaultRPCAddr  = "127.0.0.1:7373"
	DefaultDNSAddr  = "127.0.0.1:8600"
	DefaultDNSZone  = "gossip."
)

// UserEventSizeMax is the hard upper limit of UserEventSizeLimit in bytes (Serf reference 6).
const UserEventSizeMax = 9 * 1024

// ClusterMax is the greatest length of Cluster in bytes, which goes with every packet.
const ClusterMax = 255

// The timing profiles. Those of the prefix "serf-" keep Serf's timing (Serf reference 1.2) and push nothing; the others
// are faster (docs/timing.md).
const (
	ProfileLAN       = "lan"
	ProfileWAN       = "wan"
	ProfileLocal     = "local"
	ProfileSerfLAN   = "serf-lan"
	ProfileSerfWAN   = "serf-wan"
	ProfileSerfLocal = "serf-local"
)

// Profiles returns the names of the timing profiles.
func Profiles() []string {
	return []string{ProfileLAN, ProfileWAN, ProfileLocal, ProfileSerfLAN, ProfileSerfWAN, ProfileSerfLocal}
}

// The values of LogFormat.
const (
	LogText = "text"
	LogJSON = "json"
)

// Secret is text that must not show up in logs and errors: printing it shows only whether there is one. Convert
// it to a string to use it.
type Secret string

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(secret)"
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// Config is one agent's settings. Start from Default, change fields or lay files and flags over it, then call
// Complete once. It is a plain value; Clone copies what it shares.
type Config struct {
	// NodeName is unique in the cluster. Empty means the host's name (filled in by Complete).
	NodeName string
	// Role is the deprecated spelling of the tag "role". Complete moves it into Tags, over a role given there.
	Role string
	// Tags are published to all members. May be nil before Complete. Not allowed together with TagsFile.
	Tags map[string]string
	// TagsFile keeps tags that were changed at run time, as a JSON object; "" means none.
	TagsFile string

	// Bind is the gossip address, UDP and TCP: HOST[:PORT], a host name, or a go-sockaddr template. The
	// default port is 7946; port 0 lets the kernel choose. Use Addresses to resolve it.
	Bind string
	// Interface names a network interface. With a Bind of 0.0.0.0 its first usable address is bound; otherwise
	// it must carry Bind's address. It is also where mDNS listens, unless MDNS.Interface is set.
	Interface string
	// Advertise is the address told to other members, in the form of Bind; "" means the bound one.
	Advertise string

	// EncryptKey encrypts gossip: 16, 24 or 32 bytes in standard base64; "" means no encryption unless there
	// is a KeyringFile. Not allowed together with KeyringFile. SecretKey decodes it.
	EncryptKey Secret
	// KeyringFile holds the gossip keys, the primary one first (Serf reference 3.6), and must exist; "" means
	// none.
	KeyringFile string

	// LogLevel is trace, debug, info, warn or err, in any case; Complete makes it upper case. "ERROR" becomes
	// "ERR".
	LogLevel string
	// LogFormat is LogText or LogJSON.
	LogFormat string
	// EnableSyslog sends the log to syslog too, under SyslogFacility.
	EnableSyslog   bool
	SyslogFacility string

	// Cluster is the name of the cluster: gossip from members with another name, or none, is turned away. At most
	// ClusterMax bytes; "" means no name, which is what Serf has.
	Cluster string

	// Profile sets the timing: one of Profiles.
	Profile string
	// Protocol is the version of Serf's protocol to speak, ProtocolMin to ProtocolMax; 0 or less means
	// ProtocolDefault.
	Protocol int

	// RPCAddr is where RPC listens: HOST:PORT or a template of that form.
	RPCAddr string
	// RPCAuth is the token that RPC clients must show; "" asks for none.
	RPCAuth Secret

	// EventHandlers are specifications [FILTER=]COMMAND (Serf reference 3.3), in order.
	EventHandlers []string
	// HandlerTimeout ends a handler's process that runs longer. 0, the default and what Serf does, sets no
	// limit.
	HandlerTimeout time.Duration
	// HandlerConcurrency is how many handlers' commands may run at the same time; 0 means 16. One command is always
	// given its events in order, one by one.
	HandlerConcurrency int

	// StartJoin are addresses to join at the start: the agent ends if none can be reached.
	StartJoin []string
	// RetryJoin are addresses to join in the background, tried again every RetryInterval (at least 1 s) until
	// one is reached, or the attempts have failed more than RetryMaxAttempts times, which ends the agent;
	// 0 means never.
	RetryJoin        []string
	RetryInterval    time.Duration
	RetryMaxAttempts int
	// ReplayOnJoin delivers past user events on joins of this configuration.
	ReplayOnJoin bool

	// SnapshotPath is the file that remembers members and clocks over a restart; "" means none.
	SnapshotPath string
	// RejoinAfterLeave rejoins from the snapshot even after a graceful leave.
	RejoinAfterLeave bool

	// Discover is the mDNS cluster name; "" turns mDNS off.
	Discover string
	// MDNS narrows discovery down.
	MDNS MDNS

	// BroadcastTimeout bounds how long leave, force-leave and changes of tags wait until they are sent; at
	// least 1 s.
	BroadcastTimeout time.Duration
	// LeaveOnTerminate makes SIGTERM leave gracefully, as SIGINT does.
	LeaveOnTerminate bool
	// SkipLeaveOnInterrupt makes SIGINT stop at once, as SIGTERM does.
	SkipLeaveOnInterrupt bool

	// ReconnectInterval is the pause between attempts to reach failed members.
	ReconnectInterval time.Duration
	// ReconnectTimeout is how long a failed member is remembered.
	ReconnectTimeout time.Duration
	// TombstoneTimeout is how long a member that left is remembered.
	TombstoneTimeout time.Duration
	// HealInterval is how often, on average, the cluster contacts a seed (StartJoin, RetryJoin, or found by Discover)
	// that is no member. It also turns on the search for members that were failed for longer than ReconnectTimeout.
	// 0 turns both off, as in Serf.
	HealInterval time.Duration
	// ReclaimTimeout is how long a member must have been failed until a node at another address may take its name. 0 means
	// until gossip has forgotten it, as in Serf, which in large clusters takes many minutes.
	ReclaimTimeout time.Duration
	// FlapHalfLife is how long the penalty of a member that came back from a failure takes to halve (see package
	// trust); 0 turns damping off.
	FlapHalfLife time.Duration
	// DisableNameResolution turns off the vote about two members of the same name.
	DisableNameResolution bool

	// Limits in bytes of the encoded messages (Serf reference 6). UserEventSizeLimit is at most
	// UserEventSizeMax.
	QuerySizeLimit         int
	QueryResponseSizeLimit int
	UserEventSizeLimit     int

	// StatsiteAddr and StatsdAddr are HOST:PORT of metrics sinks; "" means none.
	StatsiteAddr string
	StatsdAddr   string

	// DisableCoordinates turns network coordinates off. Serf accepts the key and ignores it; here it works,
	// as do the next two.
	DisableCoordinates bool
	// ValidateNodeNames refuses node names that are longer than 128 bytes or hold anything but letters,
	// digits, '-' and '.'.
	ValidateNodeNames bool
	// EnableCompression compresses gossip. It is on by default.
	EnableCompression bool

	// DNSAddr is where DNS listens, UDP and TCP: HOST:PORT or a template of that form; "" turns DNS off.
	DNSAddr string
	// DNSAddrSet tells that DNSAddr was asked for, so that the agent must not go on without it. If it is only
	// the default and the port is taken, a warning is enough.
	DNSAddrSet bool
	// DNSZone is the zone to answer for; Complete adds a missing final dot.
	DNSZone string
	// DNSNodeTTL, DNSServiceTTL and DNSNegativeTTL are the times to live of addresses of nodes, of answers
	// about services and tags, and of negative answers. Whole seconds, 0 to 2^31-1 s.
	DNSNodeTTL     time.Duration
	DNSServiceTTL  time.Duration
	DNSNegativeTTL time.Duration
	// DNSOrder is how the records of an answer are ordered, one of DNSOrders; DNSAnswers how many of them an answer
	// about a service or tag has, 0 for all. DNSNearestBand is by how much the round-trip times to two members may differ
	// for them to count as equally near.
	DNSOrder       string
	DNSAnswers     int
	DNSNearestBand time.Duration
	// DNSServices has what is different for some services, by name, as DNSServicePolicies reads it.
	DNSServices map[string]string
	// DNSReverse lists the networks, as ADDRESS/BITS, whose addresses have PTR records.
	DNSReverse []string
	// DNSStaleLimit is how long DNS goes on showing members that failed while the agent looks cut off; 0 drops them
	// at once.
	DNSStaleLimit time.Duration
	// DNS is how the server talks, and Outward how other servers take part.
	DNS     DNS
	Outward Outward
}

// MDNS narrows down how members are discovered by multicast DNS (Serf reference 3.9).
type MDNS struct {
	// Interface to send and listen on; "" means Config.Interface, or the system's choice.
	Interface string
	// DisableIPv4 and DisableIPv6 leave out one of the two.
	DisableIPv4 bool
	DisableIPv6 bool
}

// Default returns the settings of an agent that was told nothing. NodeName is empty and means the host's name.
func Default() Config {
	return Config{
		Tags:                   map[string]string{},
		Bind:                   DefaultBind,
		LogLevel:               "INFO",
		LogFormat:              LogText,
		SyslogFacility:         "LOCAL0",
		Profile:                ProfileLAN,
		Protocol:               ProtocolDefault,
		RPCAddr:                DefaultRPCAddr,
		RetryInterval:          30 * time.Second,
		BroadcastTimeout:       5 * time.Second,
		ReconnectInterval:      30 * time.Second,
		ReconnectTimeout:       24 * time.Hour,
		TombstoneTimeout:       24 * time.Hour,
		FlapHalfLife:           2 * time.Minute,
		HealInterval:           2 * time.Minute,
		ReclaimTimeout:         10 * time.Second,
		QuerySizeLimit:         1024,
		QueryResponseSizeLimit: 1024,
		UserEventSizeLimit:     512,
		EnableCompression:      true,
		DNSAddr:                DefaultDNSAddr,
		DNSZone:                DefaultDNSZone,
		DNSNodeTTL:             5 * time.Second,
		DNSServiceTTL:          0,
		DNSNegativeTTL:         2 * time.Second,
		DNSOrder:               OrderRandom,
		DNSNearestBand:         2 * time.Millisecond,
		DNSServices:            map[string]string{},
		DNSStaleLimit:          5 * time.Minute,
		DNS:                    defaultDNS(),
		Outward:                Outward{UpdateOwner: "gossip"},
	}
}
