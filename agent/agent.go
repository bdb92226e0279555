package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/seed-645ce708/gossip/agent/internal/config"
	"github.com/seed-645ce708/gossip/agent/internal/coordinate"
	"github.com/seed-645ce708/gossip/agent/internal/core"
	"github.com/seed-645ce708/gossip/agent/internal/dnsbridge"
	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/gossip"
	"github.com/seed-645ce708/gossip/agent/internal/handler"
	"github.com/seed-645ce708/gossip/agent/internal/heal"
	"github.com/seed-645ce708/gossip/agent/internal/logs"
	"github.com/seed-645ce708/gossip/agent/internal/peer"
	"github.com/seed-645ce708/gossip/agent/internal/receipt"
	"github.com/seed-645ce708/gossip/agent/internal/rpc"
	"github.com/seed-645ce708/gossip/agent/internal/snapshot"
	"github.com/seed-645ce708/gossip/agent/internal/state"
	"github.com/seed-645ce708/gossip/agent/internal/syslog"
	"github.com/seed-645ce708/gossip/agent/internal/trail"
	"github.com/seed-645ce708/gossip/agent/internal/view"
)

// Config is an agent's settings.
type Config = config.Config

// Secret is text that does not show when a Config is printed.
type Secret = config.Secret

// DefaultConfig returns the settings of an agent that was told nothing.
func DefaultConfig() Config { return config.Default() }

// leavePropagateDelay is how long a leaving agent stays to let the news spread (Serf reference 2.4).
const leavePropagateDelay = time.Second

// ErrSyslog ends the start of an agent that is to log to a syslog that is not there.
var ErrSyslog = errors.New("syslog setup failed")

// handlerGrace is how long a stop waits for event handlers: enough for quick ones to have their outcome logged. Others
// go on without the agent.
const handlerGrace = 250 * time.Millisecond

// Options are what an agent needs besides its settings.
type Options struct {
	// LogOutput takes the log; nil drops it.
	LogOutput io.Writer
	// HoldLog keeps log lines back until ReleaseLog, so that a banner can be printed first.
	HoldLog bool
	// Version is what the agent says of itself in its figures; may be empty.
	Version string
}

// Agent is one agent. All methods are safe for concurrent use; Start and Stop are called once each.
type Agent struct {
	cfg     Config
	opts    Options
	addrs   config.Addresses
	logs    *logs.Log
	log     hclog.Logger
	keyring *gossip.Keyring // nil without encryption
	tags    *tagSet

	view     *view.Store
	judge    *judge
	core     *core.Core
	gossip   *gossip.Gossip
	pipeline *event.Pipeline
	events   *event.Log
	handlers *handler.Runner
	receipts *receipt.Trail // what became of recent user events
	trail    *trail.Trail   // what happened to the members
	peers    *peer.Peer     // questions to and from other agents
	rpc      *rpc.Server
	rpcAddr  string
	dns      *dnsbridge.Bridge // nil if off
	syslog   *syslog.Feed      // nil if off

	snapshot    *snapshot.Writer  // nil if off
	previous    []snapshot.Node   // who was alive to the snapshot, without ourselves
	gone        []snapshot.Gone   // who had failed or left
	coordinates *coordinate.Cache // nil if off
	joined      int               // members contacted by start_join
	synced      atomic.Bool       // the view holds more than ourselves, or there is nobody to ask

	transport gossip.Transport // for tests; nil means the real network
	healer    healer
	rejoined  chan struct{} // closed when the first round through previous is over
	met       atomic.Bool   // we have reached somebody in this life
	replacing atomic.Bool   // we are about to take our name over from an address that we had

	// life ends when Stop begins; background are the goroutines that end with it.
	life       context.Context
	endLife    context.CancelFunc
	spawning   sync.Mutex // guards the step from life to its end
	background sync.WaitGroup

	// stops undo what Start did, to be called in reverse.
	stops []stop

	quitOnce sync.Once
	done     chan struct{}
	err      error // why done is closed

	reload   sync.Mutex // serialises Reload
	settings Config     // cfg with what was reloaded since
}

// stop is one named step of taking an agent down.
type stop struct {
	name string
	f    func(context.Context) error
}

// New checks the settings and reads the files they name: keyring and tags. Nothing runs yet. The settings are
// completed (config.Config.Complete) first; warnings about them are logged.
func New(cfg Config, opts Options) (*Agent, error) {
	cfg = cfg.Clone()
	warnings, err := cfg.Complete()
	if err != nil {
		return nil, err
	}
	level, err := logs.ParseLevel(cfg.LogLevel)
	if err != nil {
		return nil, err
	}
	a := &Agent{
		cfg:      cfg,
		settings: cfg,
		opts:     opts,
		rejoined: make(chan struct{}),
		done:     make(chan struct{}),
		receipts: receipt.NewTrail(0),
		trail:    trail.New(cfg.NodeName, time.Now()),
		view:     view.NewStore(cfg.NodeName),
		logs:     logs.New(logs.Options{Level: level, Format: logs.Format(cfg.LogFormat), Output: opts.LogOutput, Hold: opts.HoldLog}),
	}
	a.log = a.logs.Logger("agent")
	if !cfg.DisableCoordinates {
		a.coordinates = coordinate.NewCache(cfg.NodeName, rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())))
	}
	if cfg.HealInterval > 0 {
		a.healer.plan = heal.New(heal.Config{Interval: cfg.HealInterval})
	}
	a.synced.Store(len(cfg.StartJoin) == 0 && len(cfg.RetryJoin) == 0)
	a.judge = newJudge(cfg, a.synced.Load)
	a.view.SetJudge(a.judge)
	a.life, a.endLife = context.WithCancel(context.Background())
	for _, w := range warnings {
		a.log.Warn(w)
	}
	if a.keyring, err = openKeyring(cfg); err != nil {
		return nil, err
	}
	if cfg.KeyringFile != "" {
		a.log.Info(fmt.Sprintf("Restored keyring with %d keys from %s", len(a.keyring.Keys()), cfg.KeyringFile))
	}
	if a.tags, err = newTagSet(cfg.Tags, cfg.TagsFile); err != nil {
		return nil, err
	}
	if n := len(a.tags.set); n > 0 {
		a.log.Info(fmt.Sprintf("Restored %d tag(s) from %s", n, cfg.TagsFile))
	}
	return a, nil
}

func openKeyring(cfg Config) (*gossip.Keyring, error) {
	if cfg.KeyringFile != "" {
		return gossip.LoadKeyring(cfg.KeyringFile)
	}
	key, err := cfg.SecretKey()
	if err != nil || key == nil {
		return nil, err
	}
	return gossip.NewKeyring(key)
}

// Start brings the agent up and makes the joins of its settings. When it returns an error everything that was
// started has been stopped again.
func (a *Agent) Start(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			_ = a.Stop(ctx) // what went wrong first says more
		}
	}()
	if err := a.startSyslog(); err != nil {
		return err
	}
	if a.addrs, err = a.cfg.Addresses(ctx); err != nil {
		return err
	}
	if a.addrs.Notice != "" {
		a.log.Info(a.addrs.Notice)
	}
	a.log.Info("agent starting", "node", a.cfg.NodeName)
	if err := a.startEvents(); err != nil {
		return err
	}
	if err := a.startGossip(); err != nil {
		return err
	}
	if err := a.startDiscovery(); err != nil {
		return err
	}
	if err := a.startRPC(); err != nil {
		return err
	}
	if err := a.startDNS(); err != nil {
		return err
	}
	if a.joined, err = a.startJoin(ctx); err != nil {
		return err
	}
	if a.cfg.HealInterval > 0 {
		a.spawn(a.heal)
	}
	return nil
}

// startSyslog sends the log to the host's syslog too, if that is configured.
func (a *Agent) startSyslog() error {
	if !a.cfg.EnableSyslog {
		return nil
	}
	feed, err := syslog.Open(a.cfg.SyslogFacility)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSyslog, err)
	}
	a.logs.Also(feed.Line)
	a.syslog = feed
	return nil
}

// onStop registers how to undo a step of Start.
func (a *Agent) onStop(name string, f func(context.Context) error) {
	a.stops = append(a.stops, stop{name, f})
}

// Stop takes the agent down at once and waits for everything it started; what can be cut short is when ctx
// ends. Without a Leave before, the others will take this member for failed.
func (a *Agent) Stop(ctx context.Context) error {
	a.quit(nil)
	a.spawning.Lock()
	a.endLife()
	a.spawning.Unlock()
	var errs []error
	for len(a.stops) > 0 {
		s := a.stops[len(a.stops)-1]
		a.stops = a.stops[:len(a.stops)-1]
		if err := s.f(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", s.name, err))
		}
	}
	a.background.Wait()
	a.log.Info("shutdown complete")
	errs = append(errs, a.logs.Release())
	if a.syslog != nil {
		errs = append(errs, a.syslog.Close())
	}
	return errors.Join(errs...)
}

// spawn runs f in a goroutine that Stop waits for; f ends when a.life does. It returns false once Stop has begun.
func (a *Agent) spawn(f func()) bool {
	a.spawning.Lock()
	defer a.spawning.Unlock()
	if a.life.Err() != nil {
		return false
	}
	a.background.Go(f)
	return true
}

// Leave tells the cluster that this member goes for good, and waits for the news to spread: about a second, and
// up to twice the broadcast timeout more if nobody takes it. The agent still runs afterwards, until Stop.
// Leaving twice is no error.
func (a *Agent) Leave(ctx context.Context) error {
	a.log.Info("requesting graceful leave")
	if a.snapshot != nil {
		if err := a.snapshot.Leave(ctx); err != nil {
			a.log.Error("the snapshot does not know of the leave: a restart will rejoin", "err", err)
		}
	}
	err := a.core.Do(ctx, state.LeaveBegin{}, a.cfg.BroadcastTimeout)
	switch {
	case errors.Is(err, state.ErrLeft):
		return nil
	case errors.Is(err, core.ErrBroadcast):
		a.log.Warn("timeout while waiting for graceful leave")
	case err != nil:
		return err
	}
	if err := a.gossip.Leave(a.cfg.BroadcastTimeout); err != nil {
		a.log.Warn("the leave may not have reached anyone", "err", err)
	}
	select {
	case <-time.After(leavePropagateDelay):
	case <-ctx.Done():
		return ctx.Err()
	}
	return a.core.Do(ctx, state.LeaveDone{}, 0)
}

// Done is closed when the agent should be stopped: it was told over RPC to leave, it lost its name to another
// node, it gave up joining, or Stop was called. Err tells why.
func (a *Agent) Done() <-chan struct{} { return a.done }

// Err returns nil if Done is open, or closed for a reason that is no fault.
func (a *Agent) Err() error {
	select {
	case <-a.done:
		return a.err
	default:
		return nil
	}
}

// quit closes Done; only the first reason counts.
func (a *Agent) quit(reason error) {
	a.quitOnce.Do(func() {
		a.err = reason
		close(a.done)
	})
}

// Reload takes over from cfg what may change while the agent runs: log level, event handlers, tags, keys of DNS and who may
// what with them, and what the settings say of signals, which is returned for the caller to obey. Tags that were changed at run
// time stay. What else differs is logged by its name. With an error nothing was taken over, unless it is about tags, which
// may fail to spread after all else was.
func (a *Agent) Reload(cfg Config) (Config, error) {
	a.reload.Lock()
	defer a.reload.Unlock()
	cfg = cfg.Clone()
	warnings, err := cfg.Complete()
	if err != nil {
		return a.settings, err
	}
	for _, w := range warnings {
		a.log.Warn(w)
	}
	next := a.settings.Reload(cfg)
	level, err := logs.ParseLevel(next.LogLevel)
	if err != nil {
		return a.settings, err
	}
	specs, err := handler.ParseAll(next.EventHandlers)
	if err != nil {
		return a.settings, err
	}
	reloadDNS, err := a.prepareDNS(next)
	if err != nil {
		return a.settings, err
	}
	if kept := a.settings.Kept(cfg); len(kept) > 0 {
		a.log.Warn("settings that changed are taken over by a restart only", "settings", strings.Join(kept, ", "))
	}
	a.logs.SetLevel(level)
	a.handlers.Replace(specs)
	reloadDNS()
	if err := a.reloadTags(next.Tags); err != nil {
		return a.settings, fmt.Errorf("failed to update tags: %w", err)
	}
	a.settings = next
	a.log.Info("configuration reloaded")
	return next, nil
}

// prepareDNS reads what DNS takes over, and returns what puts it in use.
func (a *Agent) prepareDNS(next Config) (commit func(), err error) {
	if a.dns == nil {
		return func() {}, nil
	}
	cfg, err := dnsbridge.Settings(next, a.opts.Version)
	if err != nil {
		return nil, err
	}
	return a.dns.Prepare(cfg)
}

// ReleaseLog lets log lines out that Options.HoldLog kept back.
func (a *Agent) ReleaseLog() error { return a.logs.Release() }

// Logger returns a logger for a part of the program around the agent.
func (a *Agent) Logger(name string) hclog.Logger { return a.logs.Logger(name) }

// RPCAddr returns the address at which RPC listens, with the port that the kernel chose if it was to. It is "" before
// Start.
func (a *Agent) RPCAddr() string { return a.rpcAddr }

// GossipAddr returns the address that other members are told.
func (a *Agent) GossipAddr() string { return a.gossip.Addr().String() }

// DNSAddr returns the address at which DNS listens, or "" if it is off.
func (a *Agent) DNSAddr() string {
	if a.dns == nil {
		return ""
	}
	return a.dns.Addr()
}

// JoinedAtStart returns how many members start_join reached.
func (a *Agent) JoinedAtStart() int { return a.joined }
