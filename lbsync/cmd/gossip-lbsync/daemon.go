package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/control"
	"github.com/seed-645ce708/gossip/lbsync/internal/decide"
	"github.com/seed-645ce708/gossip/lbsync/internal/metrics"
	"github.com/seed-645ce708/gossip/lbsync/internal/override"
	"github.com/seed-645ce708/gossip/lbsync/internal/permit"
	"github.com/seed-645ce708/gossip/lbsync/internal/reconcile"
	"github.com/seed-645ce708/gossip/lbsync/internal/record"
	"github.com/seed-645ce708/gossip/lbsync/internal/source"
	"github.com/seed-645ce708/gossip/lbsync/internal/systemd"
	"github.com/seed-645ce708/gossip/lbsync/internal/target"
)

// daemon is gossip-lbsync as it runs: one loop after the other, a new one for each configuration.
type daemon struct {
	current
	opt      options
	cfg      *config.Config
	targets  []*target.Target // of cfg
	store    *record.Store
	log      *slog.Logger
	registry metrics.Registry
	counts   *reconcile.Metrics
	watch    *following
}

// current is the loop that runs now. It stands between the loop and those who ask it over sockets.
type current struct {
	loop atomic.Pointer[reconcile.Loop]
}

func (c *current) Status() reconcile.Status { return c.loop.Load().Status() }
func (c *current) Why(service, member string) (decide.Why, bool) {
	return c.loop.Load().Why(service, member)
}
func (c *current) Override(o override.Override) error { return c.loop.Load().Override(o) }
func (c *current) Resume(service, member, target string) (int, error) {
	return c.loop.Load().Resume(service, member, target)
}
func (c *current) Resync()       { c.loop.Load().Resync() }
func (c *current) Ready() string { return c.loop.Load().Ready() }
func (c *current) Alive() bool   { return c.loop.Load().Alive() }

func run(ctx context.Context, in invocation) (int, error) {
	// From the start, since a hang-up that nobody awaits ends the process.
	signals, forget := operatorSignals()
	defer forget()
	var level slog.Level
	if err := level.UnmarshalText([]byte(in.opt.logLevel)); err != nil {
		return exitError, usagef("-log-level is %q; want debug, info, warn or error", in.opt.logLevel)
	}
	how := &slog.HandlerOptions{Level: level}
	d := &daemon{opt: in.opt, cfg: in.cfg, log: slog.New(slog.NewTextHandler(in.stderr, how)), store: record.Peek(in.cfg.StateDir)}
	if in.opt.logFormat == "json" {
		d.log = slog.New(slog.NewJSONHandler(in.stderr, how))
	}
	if !in.opt.dryRun {
		store, err := openStore(in.cfg)
		if err != nil {
			return exitError, err
		}
		defer func() { _ = store.Close() }() // it only gives back the locks
		d.store = store
		for _, path := range store.Damaged() {
			d.log.Warn("a record was damaged and is put aside; what it said is found out anew", "file", path+".damaged")
		}
	}
	d.counts = reconcile.NewMetrics(&d.registry)
	d.watch = follow(ctx, d.cfg, d.log)
	defer func() { d.watch.stop() }()
	var err error
	if d.targets, err = newTargets(d.cfg, d.store); err != nil {
		return exitError, err
	}
	loop, err := d.build(d.cfg, d.targets)
	if err != nil {
		return exitError, err
	}
	d.loop.Store(loop)
	if !in.opt.dryRun {
		orders, err := control.Listen(d.cfg.StateDir, d)
		if err != nil {
			return exitError, err
		}
		defer orders.Close()
	}
	if d.cfg.HTTP != "" {
		web, err := control.ListenTCP(d.cfg.HTTP, d, &d.registry)
		if err != nil {
			return exitError, err
		}
		defer web.Close()
		d.log.Info("metrics and health", "address", web.Addr())
	}
	d.log.Info("following", "agent", d.cfg.Source.Address, "services", len(d.cfg.Services), "targets", len(d.cfg.Targets), "dry_run", in.opt.dryRun, "version", productVersion())
	if err := d.serve(ctx, signals); err != nil {
		return exitError, err
	}
	d.log.Info("stopped; the balancers go on with what they have")
	return exitOK, nil
}

func (d *daemon) build(cfg *config.Config, targets []*target.Target) (*reconcile.Loop, error) {
	o := reconcile.Options{Config: cfg, Source: d.watch.watcher, Store: d.store, Log: d.log, Metrics: d.counts, DryRun: d.opt.dryRun}
	if d.watch.permits != nil {
		o.Permits = d.watch.permits
	}
	return buildWith(o, targets)
}

// serve runs loops until ctx ends, and does what signals ask for. The error is that the state cannot be read any more.
func (d *daemon) serve(ctx context.Context, signals <-chan os.Signal) error {
	var beat sync.WaitGroup
	defer beat.Wait()
	beating, stop := context.WithCancel(ctx)
	defer stop()
	beat.Go(func() { d.tell(beating) })
	for {
		running, end := context.WithCancel(ctx)
		var wg sync.WaitGroup
		loop := d.loop.Load()
		wg.Go(func() { loop.Run(running) })
		cfg := d.until(ctx, signals)
		end()
		wg.Wait()
		if cfg == nil {
			return nil
		}
		if err := d.take(ctx, cfg); err != nil {
			d.log.Error("the new configuration cannot be used; the old one goes on", "error", err)
			if loop, err = d.build(d.cfg, d.targets); err != nil {
				return err
			}
			d.loop.Store(loop)
		}
	}
}

// until handles signals until there is a new configuration, whose files are ours then; nil means that ctx ended.
func (d *daemon) until(ctx context.Context, signals <-chan os.Signal) *config.Config {
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-signals:
			if !isReload(s) {
				d.log.Info("looking at everything, as asked", "signal", s)
				d.Resync()
				continue
			}
		}
		cfg, err := config.Load(d.opt.config...)
		if err == nil && (cfg.StateDir != d.cfg.StateDir || cfg.HTTP != d.cfg.HTTP) {
			err = errors.New("state_dir and http cannot change while it runs; restart it for that")
		}
		if err == nil {
			_, err = newTargets(cfg, record.Peek(cfg.StateDir)) // its templates can be read
		}
		if err == nil && !d.opt.dryRun {
			err = d.store.Lock(dests(cfg.Targets)...)
		}
		if err != nil {
			d.log.Error("the new configuration cannot be used; the old one goes on", "error", err)
			continue
		}
		return cfg
	}
}

// take makes the loop for a new configuration.
func (d *daemon) take(ctx context.Context, cfg *config.Config) error {
	targets, err := newTargets(cfg, d.store)
	if err != nil {
		return err
	}
	old := d.watch
	if cfg.Source != d.cfg.Source || !slices.Equal(groups(cfg), groups(d.cfg)) {
		d.watch = follow(ctx, cfg, d.log)
	}
	loop, err := d.build(cfg, targets)
	if err != nil {
		if d.watch != old {
			d.watch.stop()
			d.watch = old
		}
		return err
	}
	if d.watch != old {
		old.stop()
	}
	d.cfg, d.targets = cfg, targets
	if !d.opt.dryRun {
		d.store.Keep(dests(cfg.Targets)...)
	}
	d.forget()
	d.loop.Store(loop)
	d.log.Info("the configuration was read anew", "services", len(cfg.Services), "targets", len(cfg.Targets))
	return nil
}

// forget takes the services and targets that the configuration has no more out of the metrics: nothing would ever change what
// they say.
func (d *daemon) forget() {
	var services, targets []string
	for _, s := range d.cfg.Services {
		services = append(services, s.Name)
	}
	for _, t := range d.cfg.Targets {
		targets = append(targets, t.ID())
	}
	d.registry.Keep("service", services)
	d.registry.Keep("target", targets)
}

// tell tells the service manager when every target was in step once, and from then on that the loop is alive.
func (d *daemon) tell(ctx context.Context) {
	say := func(state string) {
		if err := systemd.Notify(state); err != nil {
			d.log.Warn("the service manager cannot be told", "error", err)
		}
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	ready := false
	watchdog := systemd.WatchdogInterval()
	var told time.Time
	for {
		select {
		case <-ctx.Done():
			say(systemd.Stopping)
			return
		case <-tick.C:
		}
		if !ready && d.Ready() == "" {
			ready = true
			say(systemd.Ready)
			tick.Reset(time.Second)
		}
		if watchdog > 0 && time.Since(told) >= watchdog && d.Alive() {
			told = time.Now()
			say(systemd.Watchdog)
		}
	}
}

// following is the connections to the agent.
type following struct {
	watcher reconcile.Source
	permits *permit.Permits // nil if no target is in a group
	stop    func()
}

func follow(ctx context.Context, cfg *config.Config, log *slog.Logger) *following {
	ctx, cancel := context.WithCancel(ctx)
	watcher := source.New(cfg.Source, log)
	f := &following{watcher: watcher}
	var wg sync.WaitGroup
	wg.Go(func() { _ = watcher.Run(ctx) }) // ends with ctx only
	if groups := groups(cfg); len(groups) > 0 {
		f.permits = permit.New(source.Queries(cfg.Source), groups, log)
		wg.Go(func() { f.permits.Run(ctx) })
	}
	f.stop = func() {
		cancel()
		wg.Wait()
	}
	return f
}
