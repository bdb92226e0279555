package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-645ce708/gossip/agent/client"
	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/decide"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
	"github.com/seed-645ce708/gossip/lbsync/internal/source"
	"github.com/seed-645ce708/gossip/lbsync/internal/target"
)

var (
	// ErrUnreachable means that the agent could not be reached in time.
	ErrUnreachable = errors.New("the agent cannot be reached")
	// ErrRefused means that the agent wants an RPC key, or another one. Trying again does not help.
	ErrRefused = errors.New("the agent refuses the RPC key")
)

// keyRemedy is what to do about ErrRefused.
const keyRemedy = "give the agent's rpc_auth with source.key_file"

// silence is how long an agent may take to answer before it is said that it is waited for.
const silence = time.Second

// Report is the outcome of one pass over everything.
type Report struct {
	Services []decide.Status
	Targets  []Outcome
}

// Held tells whether something that the members ask for was not done for safety's sake.
func (r Report) Held() bool {
	for _, st := range r.Services {
		if len(st.Held) > 0 || st.Waiting != "" {
			return true
		}
	}
	for _, o := range r.Targets {
		if o.Skipped != "" {
			return true
		}
	}
	return false
}

// Err joins the errors of the targets.
func (r Report) Err() error {
	var errs []error
	for _, o := range r.Targets {
		errs = append(errs, o.Err)
	}
	return errors.Join(errs...)
}

// Outcome is how one target came out of a pass, or would.
type Outcome struct {
	ID      string
	Files   []config.File
	Skipped string // why it was left alone; empty if it was not
	Plan    target.Plan
	Result  target.Result
	Err     error
}

// Once waits until the view has settled, makes one pass and returns what it did. progress is told what it
// waits for and does. With reload false the balancers are told nothing. An error means that there was no pass.
func (l *Loop) Once(ctx context.Context, reload bool, progress func(string)) (Report, error) {
	view, err := l.settled(ctx, progress)
	if err != nil {
		return Report{}, err
	}
	now := time.Now()
	l.meet(view)
	seen, _ := l.look(view, now)
	report := l.decide(seen, now)
	for _, st := range report.Services {
		for _, h := range st.Held {
			progress(fmt.Sprintf("service %s: held: %s: %s", st.Service.Name, h.Name, h.Reason))
		}
		l.keep(st, now)
		if st.AckSpent {
			if err := l.setOverrides(l.overrides.Spent(st.Service.Name)); err != nil {
				return report, err
			}
		}
	}
	l.each(&report, func(o *Outcome, w *worker, pools adapter.Pools) {
		if o.Plan, o.Err = w.Plan(ctx, pools); o.Err != nil {
			return
		}
		var leave target.Leave
		todo := o.Plan
		if reload {
			leave = w.leave(ctx)
		} else {
			todo.Commands, todo.Reload = nil, ""
		}
		if !todo.Idle() {
			progress("target " + o.ID + ": " + describe(todo))
		}
		o.Result, o.Err = l.patiently(ctx, w, pools, leave, progress)
	})
	return report, nil
}

// patiently makes passes until no reload waits any more, or ctx ends.
func (l *Loop) patiently(ctx context.Context, w *worker, pools adapter.Pools, leave target.Leave, progress func(string)) (target.Result, error) {
	said := ""
	var total target.Result
	for {
		res, err := w.Apply(ctx, pools, leave)
		res.Wrote = res.Wrote || total.Wrote
		res.Commands = append(total.Commands, res.Commands...)
		if total = res; err != nil || res.Waits == "" {
			return total, err
		}
		if res.Waits != said {
			said = res.Waits
			progress("target " + w.ID() + ": a reload waits for " + said)
		}
		select {
		case <-ctx.Done():
			return total, fmt.Errorf("target %s: a reload still waits for %s: %w", w.ID(), said, ctx.Err())
		case <-time.After(time.Until(res.Again)):
		}
	}
}

// Preview waits for the first view only, and returns what a pass would do if that view could be trusted. progress is
// told what it waits for.
func (l *Loop) Preview(ctx context.Context, progress func(string)) (Report, error) {
	view, err := l.connected(ctx, progress)
	if err != nil {
		return Report{}, err
	}
	now := time.Now()
	l.meet(view)
	seen, _ := l.look(view, now)
	seen.Distrust, seen.Until = source.Trust(view, 0, now) // that it settles is only a matter of time
	report := l.decide(seen, now)
	l.each(&report, func(o *Outcome, w *worker, pools adapter.Pools) {
		o.Plan, o.Err = w.Plan(ctx, pools)
	})
	return report, nil
}

// decide makes everything due that is allowed.
func (l *Loop) decide(view decide.View, now time.Time) Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	statuses, _ := l.decider.Step(now, view, true)
	l.last, l.statuses = view, statuses
	return Report{Services: statuses}
}

// each calls do for every target whose services are decided and that nobody holds.
func (l *Loop) each(report *Report, do func(*Outcome, *worker, adapter.Pools)) {
	all := map[string]pool.Service{}
	for _, st := range report.Services {
		if st.Known {
			all[st.Service.Name] = st.Service
		}
	}
	for _, w := range l.workers {
		o := Outcome{ID: w.ID(), Files: w.Config().Files}
		pools := adapter.Pools{Services: adapter.Services{}, Node: l.node}
		for _, name := range w.Config().Services {
			set, ok := all[name]
			if pools.Services[name] = set; !ok {
				o.Skipped = "a service of it is undecided"
			}
		}
		if until := l.heldUntil(w.ID()); !until.IsZero() {
			o.Skipped = "an operator holds it until " + until.UTC().Format(time.RFC3339)
		}
		if o.Skipped == "" {
			do(&o, w, pools)
		}
		report.Targets = append(report.Targets, o)
	}
}

// connected waits for a view from a connected agent, and says so if there is none at once. It gives up when ctx ends,
// or when the agent refuses the key.
func (l *Loop) connected(ctx context.Context, progress func(string)) (client.View, error) {
	var cause error
	said := false
	say := func() {
		if said {
			return
		}
		said = true
		text := "waiting"
		if deadline, ok := ctx.Deadline(); ok {
			text += fmt.Sprintf(" up to %v", time.Until(deadline).Round(100*time.Millisecond))
		}
		text += " for the agent at " + l.cfg.Source.Address
		if cause != nil {
			text += ": " + cause.Error()
		}
		progress(text)
	}
	late := time.NewTimer(silence)
	defer late.Stop()
	for {
		view, changed := l.source.Watch()
		switch {
		case view.Connected:
			return view, nil
		case errors.Is(view.Err, client.ErrAuth):
			return view, fmt.Errorf("%w at %s: %w; %s", ErrRefused, l.cfg.Source.Address, view.Err, keyRemedy)
		case ctx.Err() != nil:
			// What the last attempt says now is only that it was cut off.
			err := fmt.Errorf("%w at %s", ErrUnreachable, l.cfg.Source.Address)
			if cause != nil {
				err = fmt.Errorf("%w: %w", err, cause)
			}
			return view, fmt.Errorf("%w; is it running, and is source.address right?", err)
		case view.Err != nil && (cause == nil || !errors.Is(view.Err, context.DeadlineExceeded)):
			cause = view.Err
			say()
		}
		select {
		case <-changed:
		case <-late.C:
			say()
		case <-ctx.Done():
		}
	}
}

// settled waits for a view that time alone will not make better.
func (l *Loop) settled(ctx context.Context, progress func(string)) (client.View, error) {
	said := false
	for {
		view, err := l.connected(ctx, progress)
		if err != nil {
			return view, err
		}
		_, until := source.Trust(view, l.cfg.Source.Settle, time.Now())
		if until.IsZero() {
			return view, nil
		}
		if !said {
			progress(fmt.Sprintf("connected to %s; the view settles for %v", l.cfg.Source.Address, l.cfg.Source.Settle))
			said = true
		}
		_, changed := l.source.Watch()
		select {
		case <-changed:
		case <-time.After(time.Until(until)):
		case <-ctx.Done():
			return view, fmt.Errorf("the view did not settle in time: %w; allow more with -timeout, or lower source.settle", ctx.Err())
		}
	}
}
