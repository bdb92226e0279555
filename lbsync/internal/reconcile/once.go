package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-645ce708/gossip/agent/client"
	"github.com/seed-645ce708/gossip/lbsync/internal/decide"
	"github.com/seed-645ce708/gossip/lbsync/internal/desired"
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
	File    string
	Skipped bool // a service of it is not decided yet
	Plan    target.Plan
	Result  target.Result
	Err     error
}

// Once waits until the view has settled, makes one pass and returns what it did. progress is told what it
// waits for. With reload false the balancers are not told. An error means that there was no pass.
func (l *Loop) Once(ctx context.Context, reload bool, progress func(string)) (Report, error) {
	view, err := l.settled(ctx, progress)
	if err != nil {
		return Report{}, err
	}
	now := time.Now()
	return l.pass(l.trust(view, now), now, func(o *Outcome, t Target, sets map[string]desired.Service) {
		if o.Plan, o.Err = t.Plan(sets); o.Err == nil {
			o.Result, o.Err = t.Apply(ctx, sets, reload)
		}
	}, l.keep), nil
}

// Preview waits for the first view only, and returns what a pass would do if that view could be trusted. progress is
// told what it waits for.
func (l *Loop) Preview(ctx context.Context, progress func(string)) (Report, error) {
	view, err := l.connected(ctx, progress)
	if err != nil {
		return Report{}, err
	}
	now := time.Now()
	trusted := l.trust(view, now)
	if !trusted.Until.IsZero() { // only time is missing, and that will pass
		trusted.Distrust, trusted.Until = "", time.Time{}
	}
	return l.pass(trusted, now, func(o *Outcome, t Target, sets map[string]desired.Service) {
		o.Plan, o.Err = t.Plan(sets)
	}, func(decide.Status) {}), nil
}

func (l *Loop) pass(view decide.View, now time.Time, do func(*Outcome, Target, map[string]desired.Service), keep func(decide.Status)) Report {
	statuses, _ := l.decider.Step(now, view, true)
	all := map[string]desired.Service{}
	for _, st := range statuses {
		if st.Known {
			keep(st)
			all[st.Service.Name] = st.Service
		}
	}
	report := Report{Services: statuses}
	for _, t := range l.targets {
		o := Outcome{ID: t.ID(), File: t.Config().Files[0].Dest}
		if sets, complete := pick(t.Config(), all); complete {
			do(&o, t, sets)
		} else {
			o.Skipped = true
		}
		report.Targets = append(report.Targets, o)
	}
	return report
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
		until := l.trust(view, time.Now()).Until
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
