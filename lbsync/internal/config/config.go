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

	DefaultCheckTimeout  = 30 * time.Second
	DefaultReloadTimeout = 30 * time.Second
	DefaultMinInterval   = time.Second // between reloads, each of which leaves old workers behind
)

// The kinds of targets.
const (
	KindHAProxy = "haproxy"
	KindNginx   = "nginx"
)

// Config is a whole configuration.
type Config struct {
	File     string // that it was read from
	StateDir string
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
}

// Target is one file of one load balancer, and how to check and load it.
type Target struct {
	Kind, Name string
	// Main is the balancer's main configuration file, which the checks read together with ours.
	Main     string
	File     File
	Reload   Reload
	Backends []Backend // of either kind, in the order of the file, at least one
}

// ID names the target in logs and in the state folder: KIND/NAME.
func (t Target) ID() string { return t.Kind + "/" + t.Name }

// File is the file that a target owns.
type File struct {
	Dest     string
	Template string      // path of a Go text/template; empty renders the backends
	Mode     fs.FileMode // 0 keeps the mode of the file that is there, or 0644
	Adopt    bool        // take over a file that something else wrote
	// Check is run on the candidate before it is installed, Installed after, before the reload. Each is an
	// argument vector; nil means the kind's own check, empty and not nil none. CandidateArg stands for the path.
	Check, Installed []string
	Timeout          time.Duration
}

// CandidateArg is replaced by the path of the candidate wherever it stands in a check's arguments.
const CandidateArg = "{candidate}"

// Reload is how the balancer is told. At most one of Master and Command is set; with neither, Signal goes to
// the process of PIDFile. With none of the three nothing is reloaded.
type Reload struct {
	Master      string   // path of HAProxy's master socket
	Command     []string // argument vector
	PIDFile     string   // file with the balancer's process id; with Command, used to verify
	Signal      string   // HUP or USR2
	Timeout     time.Duration
	MinInterval time.Duration
}

// Backend is one backend of HAProxy or one upstream of nginx.
type Backend struct {
	Name    string
	Service string
	// Mode is http or tcp (HAProxy).
	Mode string
	// Balance is HAProxy's algorithm, or nginx's method; empty for nginx's round robin.
	Balance string
	// Options go to every server line.
	Options string
	// Lines are added as they are.
	Lines []string
	// Keepalive is the number of idle connections nginx keeps per worker; 0 for none.
	Keepalive int
}
