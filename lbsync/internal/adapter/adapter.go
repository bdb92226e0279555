// Package adapter is the seam between the core of gossip-lbsync and what knows one kind of balancer: package haproxy,
// nginx, twemproxy, or generic for any program that reads files. An adapter knows how its files look, how to have them
// checked, how to see what the running balancer does, how to change that at runtime and how to make it reload. It knows
// nothing of members, guards, state folders, retries, budgets or time: those are the core's.
//
// The core makes a pass for a target like this, whenever something may have changed and once per resync period
// (package target):
//
//	Render            what the files should hold; the same pools give the same bytes
//	Check             only if the files differ: candidates lie beside the files
//	  (the core keeps backups and renames)
//	CheckInstalled    only if the files changed; on an error the core puts the old bytes back
//	Read              what the running balancer does now
//	Plan              pure: how to get from there to the pools without a reload, or why that is impossible
//	Apply             the plan's commands
//	Reload            if the plan needs it, within the target's budget; on an error the old bytes come back
//	Read, Plan        again: in step only if nothing is left to do
//
// What the balancer has loaded is recorded by the core together with Actual.Instance. A reload is due when Plan asks for
// one; or when the balancer is not known to have loaded the files as they are. That is known if the record says so for
// this very Instance, or if the Instance started after the core last wrote. "The files as they are" means
// Rendered.Structure where there is a runtime, and otherwise their bytes.
//
// Servers: pools hold exactly those that belong in, which are [pool.Probation], [pool.Active], [pool.Suspect] and
// [pool.Draining]. The first three get traffic and are alike to an adapter: a server that is added at runtime starts on
// probation if the backend says so, whichever of them it is. A draining one gets nothing new. Whoever the balancer has in a
// managed pool and the pools do not have is to be removed now: its time to drain is over, so first stop its traffic, then
// delete it, and if it still has connections leave it in maintenance and say so in Plan.Remains. The core decides when
// draining ends; it needs ActualServer.Sessions for that. It decides who has passed probation; that is ActualServer.Health.
//
// Methods are called by one goroutine at a time, but targets work in parallel. Each takes as long as its context and its
// own limits allow and then returns an error. Errors name the thing, the cause and what to do, on one line; output of
// programs is boiled down (command.Reason).
package adapter

import (
	"context"
	"net/netip"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
)

// Pools are what a target is made from.
type Pools struct {
	Services Services
	Node     pool.Node
}

// Services are those that a target uses, by name.
type Services map[string]pool.Service

// Adapter drives one target.
type Adapter interface {
	// Traits says what the core must know about the kind of balancer and its configuration. It never changes.
	Traits() Traits
	// Render returns the content of the files. It does no I/O.
	Render(Pools) (Rendered, error)
	// Check has the balancer judge candidates that are not installed: paths has one for each file, in order. It must not
	// touch the files or the balancer. Candidates may lie in another folder than the files.
	Check(ctx context.Context, paths []string, cause Cause) error
	// CheckInstalled has the balancer judge its whole configuration with the files in place.
	CheckInstalled(ctx context.Context, cause Cause) error
	// Read tells what the running balancer does. The error is reload.ErrNotRunning, by errors.Is, if there is none.
	Read(ctx context.Context) (Actual, error)
	// Plan says how to get from what is to what should be. It does no I/O and decides alike for alike arguments.
	Plan(Pools, Actual) Plan
	// Apply sends commands of a plan in order and stops at the first that fails or whose answer it does not know. done is
	// called after each.
	Apply(ctx context.Context, commands []Command, done func(Command, error)) error
	// Reload makes the balancer load the files, or restarts it, and returns when that has verifiably happened or failed,
	// as far as can be known. The error is reload.ErrNotRunning if there is no balancer to tell.
	Reload(ctx context.Context, cause Cause) error
	// Lint returns advice about the configuration around ours, one sentence each, such as a missing `option redispatch`.
	Lint() []string
}

// Cause is what the programs that check and reload are told about why they are run.
type Cause struct {
	Hash   string // of the files' content, as the status shows it
	Reason string // for the reload, as a clause; empty for checks
}

// Traits are what the core must know about an adapter.
type Traits struct {
	// Reloads tells whether there is anything to reload. Without, whoever reads the files watches them itself.
	Reloads bool
	// Runtime tells whether Read and Plan work with a running balancer's servers, so that a change of servers needs no
	// reload. Without it Read fills in at most Instance, Started and OldWorkers, and Plan is always empty.
	Runtime bool
	// Disruptive says what a reload costs clients, such as "cuts all client connections"; empty if it costs none. Such a reload is
	// a restart: one that failed may leave nothing that runs.
	Disruptive string
	// WithoutFile allows changes of servers at runtime while the file that should have them cannot be written.
	WithoutFile bool
	// Probe is how often Read may be called just to see whether the Instance changed; 0 means not at all.
	Probe time.Duration
}

// Rendered is the content of a target's files.
type Rendered struct {
	Files [][]byte // in the order of config.Target.Files
	// Structure is a hash, or the text itself, of all that a runtime change cannot bring about: the files without the
	// lines of managed servers. Unused without Traits.Runtime.
	Structure string
}

// Actual is what a running balancer does.
type Actual struct {
	// Instance names the running process that loaded the files, such as "PID@START" of HAProxy's worker or nginx's master;
	// another one has another name. Empty if not known.
	Instance string
	// Started is no later than when the Instance read its files; zero if not known.
	Started time.Time
	// OldWorkers counts processes that finish what they had before a reload.
	OldWorkers int
	// Version of the balancer, for people; empty if not known.
	Version string
	// Servers are those of managed pools, sorted by pool and name.
	Servers []ActualServer
	// Detail is the adapter's own, for Plan.
	Detail any
}

// Health is a balancer's own verdict on a server.
type Health string

// The verdicts.
const (
	HealthUnknown Health = ""     // no checks, or no verdict yet
	Up            Health = "up"   // passes its checks
	Down          Health = "down" // fails them, or is on probation
)

// ActualServer is a server as the running balancer has it.
type ActualServer struct {
	Pool     string // backend, upstream
	Service  string // that the pool uses
	Name     string // of the member, also where the balancer calls it slot7
	Addr     netip.Addr
	Port     uint16
	Weight   int
	Health   Health
	Draining bool // gets nothing new
	Out      bool // in maintenance
	Sessions int  // that run now; -1 if not known
}

// Plan is how to get from what is to what should be.
type Plan struct {
	Commands []Command // in order; nothing to do if there is none and no Reload
	// Reload says why commands alone do not suffice, as a clause such as "backend web is new"; empty if they do. The
	// commands are worth sending even then.
	Reload string
	// Remains says what cannot be done yet, as clauses such as "web/a: 3 sessions"; the pass is in step all the same.
	Remains []string
	// Again is when Remains is worth another pass; 0 if there is none.
	Again time.Duration
}

// Empty tells whether there is nothing to do now.
func (p Plan) Empty() bool { return len(p.Commands) == 0 && p.Reload == "" }

// Command is one change at runtime. Verb is one of a few words of the kind, for counting: "add", "remove", "weight", "drain".
type Command struct {
	Verb   string
	Pool   string
	Server string // as the balancer calls it
	Text   string // what is sent, for people and logs; no secrets
	Detail any    // the adapter's own, for Apply
}

// Memory keeps one JSON value of an adapter's own in the state folder, such as who has which slot.
type Memory interface {
	// Load fills v and returns false if nothing was saved.
	Load(v any) (bool, error)
	Save(v any) error
}
