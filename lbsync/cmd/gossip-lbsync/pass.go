package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapters"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/permit"
	"github.com/seed-645ce708/gossip/lbsync/internal/reconcile"
	"github.com/seed-645ce708/gossip/lbsync/internal/record"
	"github.com/seed-645ce708/gossip/lbsync/internal/reload"
	"github.com/seed-645ce708/gossip/lbsync/internal/source"
	"github.com/seed-645ce708/gossip/lbsync/internal/target"
)

func once(ctx context.Context, in invocation) (int, error) {
	store, err := openStore(in.cfg)
	if err != nil {
		return exitError, err
	}
	defer func() { _ = store.Close() }() // it only gives back the locks
	for _, path := range store.Damaged() {
		progress(in.stderr)(path + " was damaged and is put aside; what it said is found out anew")
	}
	report, err := pass(ctx, in, store, func(ctx context.Context, l *reconcile.Loop) (reconcile.Report, error) {
		return l.Once(ctx, !in.opt.noReload, progress(in.stderr))
	})
	if err != nil {
		return exitError, err
	}
	if err := show(in, report, false); err != nil {
		return exitError, err
	}
	switch {
	case report.Err() != nil:
		return exitError, report.Err()
	case report.Held():
		return exitHeld, nil
	default:
		return exitOK, nil
	}
}

func diff(ctx context.Context, in invocation) (int, error) {
	report, err := preview(ctx, in)
	if err != nil {
		return exitError, err
	}
	if err := show(in, report, true); err != nil {
		return exitError, err
	}
	if report.Err() != nil {
		return exitError, report.Err()
	}
	for _, o := range report.Targets {
		if !o.Plan.Idle() {
			return exitChanges, nil
		}
	}
	return exitOK, nil
}

func renderTarget(ctx context.Context, in invocation) (int, error) {
	id := in.opt.args[0]
	report, err := preview(ctx, in)
	if err != nil {
		return exitError, err
	}
	for _, o := range report.Targets {
		if o.ID != id {
			continue
		}
		if o.Err != nil {
			return exitError, o.Err
		}
		if o.Skipped != "" {
			return exitError, fmt.Errorf("target %s: %s", id, o.Skipped)
		}
		var out strings.Builder
		for i, data := range o.Plan.New {
			if len(o.Plan.New) > 1 {
				fmt.Fprintf(&out, "==> %s <==\n", o.Files[i].Dest)
			}
			out.Write(data)
		}
		return write(in.stdout, out.String())
	}
	return exitError, fmt.Errorf("there is no target %q", id)
}

// preview works out what a pass would do.
func preview(ctx context.Context, in invocation) (reconcile.Report, error) {
	return pass(ctx, in, record.Peek(in.cfg.StateDir), func(ctx context.Context, l *reconcile.Loop) (reconcile.Report, error) {
		return l.Preview(ctx, progress(in.stderr))
	})
}

// progress says on w what a command waits for.
func progress(w io.Writer) func(string) {
	return func(text string) { _, _ = fmt.Fprintln(w, text) } // a courtesy
}

// pass calls do while the agent is followed, or with the members of a file.
func pass(ctx context.Context, in invocation, store *record.Store, do func(context.Context, *reconcile.Loop) (reconcile.Report, error)) (reconcile.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, in.opt.timeout)
	defer cancel()
	o := reconcile.Options{Config: in.cfg, Store: store}
	var wg sync.WaitGroup
	defer wg.Wait()
	following, stop := context.WithCancel(ctx)
	defer stop()
	if in.opt.from != "" {
		members, err := source.FromFile(in.opt.from)
		if err != nil {
			return reconcile.Report{}, err
		}
		o.Source = members
	} else {
		watcher := source.New(in.cfg.Source, nil)
		o.Source = watcher
		wg.Go(func() { _ = watcher.Run(following) }) // ends with its context only
		if groups := groups(in.cfg); len(groups) > 0 {
			permits := permit.New(source.Queries(in.cfg.Source), groups, nil)
			o.Permits = permits
			wg.Go(func() { permits.Run(following) })
		}
	}
	loop, err := build(o, store)
	if err != nil {
		return reconcile.Report{}, err
	}
	return do(ctx, loop)
}

// groups returns the groups that targets are in, each once, sorted.
func groups(cfg *config.Config) []string {
	var out []string
	for _, t := range cfg.Targets {
		if name := t.Reload.Group.Name; name != "" {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// openStore takes the state folder and the targets.
func openStore(cfg *config.Config) (*record.Store, error) {
	store, err := record.Open(cfg.StateDir)
	if err != nil {
		return nil, err
	}
	if err := store.Lock(dests(cfg.Targets)...); err != nil {
		_ = store.Close() // the first error is the one to report
		return nil, err
	}
	return store, nil
}

// dests returns the files of targets.
func dests(targets []config.Target) []string {
	var out []string
	for _, t := range targets {
		for _, f := range t.Files {
			out = append(out, f.Dest)
		}
	}
	return out
}

func build(o reconcile.Options, store *record.Store) (*reconcile.Loop, error) {
	targets, err := newTargets(o.Config, store)
	if err != nil {
		return nil, err
	}
	return buildWith(o, targets)
}

func buildWith(o reconcile.Options, targets []*target.Target) (*reconcile.Loop, error) {
	for _, t := range targets {
		o.Targets = append(o.Targets, t)
	}
	return reconcile.New(o)
}

func newTargets(cfg *config.Config, store *record.Store) ([]*target.Target, error) {
	var targets []*target.Target
	for _, t := range cfg.Targets {
		a, err := adapters.New(t, store.Memory(t.ID()))
		if err != nil {
			return nil, err
		}
		targets = append(targets, target.New(t, a, store))
	}
	return targets, nil
}

// check judges the configuration without an agent: each target is rendered for sample members and shown to
// its balancer. With -live it also tries to reach the agent and the balancers.
func check(ctx context.Context, in invocation) (int, error) {
	targets, err := newTargets(in.cfg, record.Peek(in.cfg.StateDir))
	if err != nil {
		return exitError, err
	}
	dir, err := os.MkdirTemp("", "gossip-lbsync-check-*")
	if err != nil {
		return exitError, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a leftover in the temporary folder harms nobody
	var errs []error
	advice := []string{}
	for _, t := range targets {
		errs = append(errs, t.Check(ctx, samples(in.cfg), dir))
		for _, text := range t.Lint() {
			advice = append(advice, "target "+t.ID()+": "+text)
		}
		if in.opt.live {
			if _, err := t.Instance(ctx); err != nil && !errors.Is(err, reload.ErrNotRunning) {
				errs = append(errs, fmt.Errorf("target %s: %w", t.ID(), err))
			} else if err != nil {
				advice = append(advice, fmt.Sprintf("target %s: %v", t.ID(), err))
			}
		}
	}
	if in.opt.live {
		_, err := preview(ctx, in)
		errs = append(errs, err)
	}
	failed := errors.Join(errs...)
	if in.opt.format == "json" {
		err = writeJSON(in.stdout, checked{Good: failed == nil, Services: len(in.cfg.Services), Targets: len(targets), Advice: advice, Errors: lines(failed)})
		if failed != nil || err != nil {
			return exitError, err
		}
		return exitOK, nil
	}
	for _, text := range advice {
		progress(in.stderr)("advice: " + text)
	}
	if failed != nil {
		return exitError, failed
	}
	return write(in.stdout, fmt.Sprintf("%s is good: %d services, %d targets\n", in.cfg.File, len(in.cfg.Services), len(in.cfg.Targets)))
}

// checked is the JSON form of check.
type checked struct {
	Good     bool     `json:"good"`
	Services int      `json:"services"`
	Targets  int      `json:"targets"`
	Advice   []string `json:"advice"`
	Errors   []string `json:"errors"`
}

func lines(err error) []string {
	out := []string{}
	if err != nil {
		out = append(out, strings.Split(err.Error(), "\n")...)
	}
	return out
}
