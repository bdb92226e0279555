// Package reconcile is the loop of gossip-lbsync: it follows the members, lets package decide say what each
// service should be, keeps that in the state folder, and lets every target catch up on its own, so that one
// that fails or hangs never holds up another.
//
// Levels drive it, not edges: an event only wakes the loop, which then looks at everything anew; and so it
// does once per resync period without any event.
package reconcile

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/seed-645ce708/gossip/agent/client"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/decide"
	"github.com/seed-645ce708/gossip/lbsync/internal/desired"
	"github.com/seed-645ce708/gossip/lbsync/internal/source"
	"github.com/seed-645ce708/gossip/lbsync/internal/target"
)

// Source gives the newest view of the members; client.Watcher is one.
type Source interface {
	Watch() (client.View, <-chan struct{})
}

// Store keeps the last good sets; record.Store is one.
type Store interface {
	Service(name string) (desired.Service, bool, error)
	SaveService(set desired.Service) error
}

// Target is a file of a balancer to keep in step; *target.Target is one.
type Target interface {
	ID() string
	Config() config.Target
	Unrecorded() (bool, error)
	Plan(services map[string]desired.Service) (target.Plan, error)
	Apply(ctx context.Context, services map[string]desired.Service, reload bool) (target.Result, error)
}

// Loop keeps targets in step with members. It may be used once, by Run, Once or Preview.
type Loop struct {
	cfg     *config.Config
	source  Source
	store   Store
	targets []Target
	log     *slog.Logger
	decider *decide.Decider
}

// New returns a loop that starts from the last good sets in the store.
func New(cfg *config.Config, src Source, store Store, targets []Target, log *slog.Logger) (*Loop, error) {
	initial := map[string]decide.Initial{}
	for _, s := range cfg.Services {
		last, known, err := store.Service(s.Name)
		if err != nil {
			return nil, err
		}
		initial[s.Name] = decide.Initial{Last: last, Known: known}
	}
	for _, t := range targets {
		unrecorded, err := t.Unrecorded()
		if err != nil {
			return nil, err
		}
		for _, name := range t.Config().Services {
			if in := initial[name]; unrecorded && !in.Known {
				in.Unsure = fmt.Sprintf("%s may know better: it is there, but nothing is recorded of it", t.Config().Files[0].Dest)
				initial[name] = in
			}
		}
	}
	return &Loop{cfg: cfg, source: src, store: store, targets: targets, log: log, decider: decide.New(cfg.Services, initial)}, nil
}

// Run follows the members until ctx ends. A failing target is tried again and again; only ctx ends the loop.
func (l *Loop) Run(ctx context.Context) {
	sets := newBoard()
	var workers sync.WaitGroup
	defer workers.Wait()
	for _, t := range l.targets {
		workers.Go(func() { l.follow(ctx, t, sets) })
	}

	for _, set := range l.decider.Known() { // a pass that was cut short is taken up although no agent answers
		sets.put(set)
	}
	var told teller
	for {
		view, changed := l.source.Watch()
		told.agent(l.log, view)
		now := time.Now()
		var statuses []decide.Status
		var again time.Time
		if !view.Updated.IsZero() { // before the first list there is nothing to decide on
			statuses, again = l.decider.Step(now, l.trust(view, now), false)
		}
		for _, st := range statuses {
			told.status(l.log, st)
			if st.Known {
				l.keep(st)
				sets.put(st.Service)
			}
		}
		wait := l.cfg.Source.Resync
		if !again.IsZero() {
			wait = min(wait, max(time.Until(again), 0))
		}
		select {
		case <-changed:
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// trust adds to the client's view how far it can be trusted. Members that come and go count as failed.
func (l *Loop) trust(view client.View, now time.Time) decide.View {
	why, until := source.Trust(view, l.cfg.Source.Settle, now)
	return decide.View{Members: view.Steady(), Distrust: why, Until: until}
}

// keep saves a changed set. That it cannot be saved is no reason to leave the balancer behind: what is lost
// is only where the next start begins.
func (l *Loop) keep(st decide.Status) {
	if !st.Changed {
		return
	}
	if err := l.store.SaveService(st.Service); err != nil {
		l.log.Error("the last good set could not be saved", "service", st.Service.Name, "error", err)
	}
}

// The pause after a failed pass doubles from the first to the last of these.
const (
	minRetry = time.Second
	maxRetry = time.Minute
)

// follow keeps one target in step until ctx ends.
func (l *Loop) follow(ctx context.Context, t Target, sets *board) {
	log := l.log.With("target", t.ID())
	var retry time.Duration // pause after a failure; 0 if the last pass went well
	var lastErr string
	for {
		services, complete, changed := sets.watch(t.Config())
		wait := l.cfg.Source.Resync
		if complete {
			res, err := t.Apply(ctx, services, true)
			switch {
			case ctx.Err() != nil && err != nil:
				return // the end of the process, not a fault of the target
			case err != nil:
				retry = min(max(2*retry, minRetry), maxRetry)
				wait = retry
				if err.Error() != lastErr {
					log.Error("not in step; the balancer goes on with what it had", "error", err, "retry_in", wait)
				}
				lastErr = err.Error()
			default:
				if retry != 0 || res.Wrote || res.Reloaded {
					log.Info("in step", "file", t.Config().Files[0].Dest, "wrote", res.Wrote, "reloaded", res.Reloaded)
				}
				retry, lastErr = 0, ""
			}
			if res.Reloaded || err != nil {
				// Even news must not make reloads, or attempts at them, follow each other too closely.
				if !pause(ctx, t.Config().Reload.MinInterval) {
					return
				}
			}
		}
		select {
		case <-changed:
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
