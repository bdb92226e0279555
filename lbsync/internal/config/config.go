// Package config reads the configuration of gossip-lbsync: HCL in its native syntax or its JSON form, strict.
// An unknown key, a wrong type, a value out of range or a name that leads nowhere is an error that says the
// file and line. Nothing is accepted that has no effect.
//
// It returns plain values with every default filled in. Relative paths of files are taken from the folder of
// the configuration file, so that a folder with all that belongs together can be moved.
package config

import (
	"io/fs"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/desired"
)

// The defaults, with the reason for each.
const (
	DefaultStateDir = "/var/lib/gossip-lbsync"

	DefaultResync  = 30 * time.Second // how long an edit by a foreign hand may stay unseen
	DefaultSettle  = 10 * time.Second // an agent that just started has by then heard of everyone it can reach
	DefaultTimeout = 10 * time.Second // of dialling and calling the agent

	DefaultWaitAdd   = 300 * time.Millisecond // members that start together make one reload
	DefaultWaitLeave = 100 * time.Millisecond // a leave is certain, and its server soon gone
	DefaultWaitFail  = time.Second            // the balancer's own checks are quicker anyway
	DefaultWaitMax   = 5 * time.Second        // an endless stream of changes still gets through

	DefaultMinServers = 1
	DefaultMaxRemoval = 0.5 // half of the set failing within a window is rarely the servers' fault
	DefaultWindow     = time.Minute

	DefaultFailedGrace  = 10 * time.Second // a member that is only slow is back by then
	DefaultCacheGrace   = 10 * time.Minute // of a memcached pool: a hole in the ring costs less than moving keys twice
	DefaultFlapHalfLife = time.Minute
	DefaultFlapSuppress = 3.0
	DefaultFlapReuse    = 1.0
	DefaultFlapMax      = 10 * time.Minute
	DefaultDrainTimeout = 30 * time.Second

	DefaultCheckTimeout       = 30 * time.Second
	DefaultReloadTimeout      = 30 * time.Second
	DefaultNginxReloadTimeout = 5 * time.Second // it starts new workers at once, or tries for 2.5 s to listen
	DefaultMinInterval        = time.Second     // between reloads, each of which leaves old workers behind
	DefaultBurst              = 1

	DefaultAtOnce         = 1
	DefaultPatience       = time.Minute
	DefaultRuntimeTimeout = 2 * time.Second
	DefaultSlots          = 10
	DefaultDomain         = "gossip"

	DefaultRestartInterval = 5 * time.Minute // each restart cuts all clients
)

// The kinds of targets.
const (
	KindHAProxy   = "haproxy"
	KindNginx     = "nginx"
	KindTwemproxy = "twemproxy"
	KindTemplate  = "template" // any files, any command
)

// Config is a whole configuration.
type Config struct {
	File     string // that it was read from
	StateDir string
	HTTP     string // host:port of metrics and health; empty for none
	Source   Source
	Services []Service // in the order of the file, at least one
	Targets  []Target  // in the order of the file, at least one
}

// Source is the agent to follow.
type Source struct {
	Address string // of the agent's RPC: host:port or unix:///path
	Key     string // RPC authentication key; empty for none. Never printed
	Timeout time.Duration
	Resync  time.Duration // how often everything is looked at again without cause
	Settle  time.Duration // how long a new connection is not trusted with removals
}

// Service says who serves and how carefully changes are made.
type Service struct {
	Name  string
	Spec  desired.Spec
	Wait  Wait
	Guard Guard
	Drain Drain
}

// Drain is how a server that goes is let finish what it has.
type Drain struct {
	Timeout time.Duration // how long it may take; 0 cuts at once
	Force   bool          // end what is left after that
}

// Wait is for how long changes are gathered before they are acted on.
type Wait struct {
	Add   time.Duration // after a server appeared or changed
	Leave time.Duration // after one left or asked for a drain
	Fail  time.Duration // after one failed or withdrew
	Max   time.Duration // at most, since the first change
}

// Guard limits what may be removed.
type Guard struct {
	AllowEmpty bool
	MinServers int
	MaxRemoval float64 // above 0 to 1
	Window     time.Duration
	// FailedGrace is how long one that failed stays; Forever keeps it until it leaves or an operator lets it go.
	FailedGrace time.Duration
	// ApplyAfter is how long a removal is held at most; 0 means until the reason has gone.
	ApplyAfter time.Duration
	Flap       Flap
}

// Forever is a time that does not come.
const Forever = 100 * 365 * 24 * time.Hour

// Flap says when a server comes and goes too often: each return from failure is a point, points halve each HalfLife.
type Flap struct {
	HalfLife time.Duration // 0 turns it off
	Suppress float64       // with so many points it is kept out
	Reuse    float64       // until it has fewer than these
	Max      time.Duration // or was kept out for so long
}

// Target is a load balancer, or anything else that reads files: what is written for it, and how it is told. One of the
// structs of its kind is set; a template target has none.
type Target struct {
	Kind, Name string
	// Files are those that the target owns: one, and of a template target at least one.
	Files  []File
	Reload Reload
	// Services are the names of all services that the target uses, each once, sorted.
	Services []string
	// Vars are for templates.
	Vars map[string]string

	HAProxy   *HAProxy
	Nginx     *Nginx
	Twemproxy *Twemproxy
}

// ID names the target in logs and in the state folder: KIND/NAME.
func (t Target) ID() string { return t.Kind + "/" + t.Name }

// File is a file that a target owns.
type File struct {
	Dest        string
	Template    string      // path of a Go text/template; empty renders the kind's built-in form
	Mode        fs.FileMode // 0 keeps the mode of the file that is there, or 0644
	User, Group string      // names or numbers; empty keeps those of the file that is there
	Backups     int         // how many earlier versions are kept as DEST.1 (the newest) to DEST.N
	Adopt       bool        // take over a file that something else wrote
	InPlace     bool        // where a rename is impossible (EBUSY: a bind mount), overwrite the file
	// Check is run on the candidate before it is installed, Installed after, before the reload. Each is an
	// argument vector; nil means the kind's own check, empty and not nil none. CandidateArg stands for the path.
	Check, Installed []string
	Timeout          time.Duration // of each check
}

// CandidateArg is replaced by the path of the candidate wherever it stands in a check's arguments.
const CandidateArg = "{candidate}"

// Reload is how the balancer is told that its file changed: reload, or for twemproxy restart. At most one of Master and
// Command is set; with neither, Signal goes to the process of PIDFile. With none of the three nothing is reloaded.
type Reload struct {
	Master      string   // path of HAProxy's master socket
	Command     []string // argument vector
	PIDFile     string   // file with the balancer's process id; with Command, used to verify
	Signal      string   // HUP or USR2
	Timeout     time.Duration
	MinInterval time.Duration // after which another reload may follow Burst of them
	Burst       int           // how many reloads may follow each other at once, at least 1
	Group       Group
}

// Group is the balancers of a fleet that take turns at reloading.
type Group struct {
	Name     string        // empty for no group
	AtOnce   int           // how many may reload at a time
	Patience time.Duration // how long a turn is waited for
	Closed   bool          // after that go on waiting, rather than reload all the same
}

// HAProxy is what only an haproxy target has.
type HAProxy struct {
	// Main is the main configuration file, which checks read together with ours.
	Main string
	// Runtime is the Runtime API. Without a Socket every change is made by the file and a reload.
	Runtime Runtime
	// StateFile is the server-state-file of the configuration, to be brought up to date before each reload; empty for none.
	StateFile string
	Backends  []Backend // in the order of the file, at least one
}

// Runtime is HAProxy's Runtime API.
type Runtime struct {
	Socket  string        // path, or host:port
	Timeout time.Duration // for each exchange
	// KeepWeight and KeepState leave alone what an operator set by hand.
	KeepWeight, KeepState bool
	// WithoutFile goes on changing servers while the file cannot be written, and so no longer says what HAProxy does.
	WithoutFile bool
}

// How the servers of a backend follow the members.
const (
	ServersNamed    = "named"     // each member is a server of its name, added and deleted at runtime
	ServersSlots    = "slots"     // a fixed number of servers takes members in: for static algorithms
	ServersFileOnly = "file_only" // by the file and reloads
)

// Backend is a backend of HAProxy.
type Backend struct {
	Name    string
	Service string
	Mode    string // http or tcp
	Balance string // algorithm
	Options string // of every server line; words joined by single spaces
	Lines   []string
	Servers string // one of the constants above; file_only if there is no runtime socket
	Slots   int    // how many there are at least, of ServersSlots
	// Probation makes a server that is added at runtime pass its checks before it gets traffic.
	Probation bool
}

// The sections of nginx that a file may be included in.
const (
	SectionHTTP   = "http"
	SectionStream = "stream"
)

// How a candidate for nginx is checked before it is installed.
const (
	PrecheckAuto    = "auto"    // mount if that is possible, or else wrapper
	PrecheckMount   = "mount"   // the whole configuration, with the candidate mounted over the file in a namespace
	PrecheckWrapper = "wrapper" // the candidate inside an otherwise empty configuration
	PrecheckNone    = "none"
)

// Nginx is what only an nginx target has.
type Nginx struct {
	Main      string // main configuration file; empty for nginx's own default
	Section   string // http or stream
	Precheck  string // one of the constants above
	Upstreams []Upstream
}

// Upstream is an upstream of nginx.
type Upstream struct {
	Name      string
	Service   string
	Method    string // empty for round robin
	Options   string // of every server
	Lines     []string
	Keepalive int // idle connections per worker; 0 for none
}

// How servers are addressed in twemproxy's file.
const (
	AddressIP  = "ip"
	AddressDNS = "dns" // NAME.node.DOMAIN, so that an address may change without a restart
)

// Twemproxy is what only a twemproxy target has.
type Twemproxy struct {
	Stats string // host:port of nutcracker's statistics, to verify a restart; empty for none
	Pools []Pool
}

// Pool is a server pool of twemproxy.
type Pool struct {
	Name         string
	Service      string
	Listen       string // host:port or a path
	Redis        bool
	Hash         string
	HashTag      string // two characters, or empty
	Distribution string
	Address      string // ip or dns
	Domain       string // for dns
	// Settings are further keys of the pool with their values, as twemproxy spells them.
	Settings map[string]string
}
