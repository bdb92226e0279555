package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/budget"
	"github.com/seed-645ce708/gossip/lbsync/internal/reload"
	"github.com/seed-645ce708/gossip/lbsync/internal/target"
)

// The pause after a failed pass doubles from the first to the last of these, less up to a quarter at random.
const (
	minRetry = time.Second
	maxRetry = time.Minute
)

// While servers are on probation or drain, the balancer is asked for their health and sessions, first after the first of these
// and then after twice as long each time, up to the last.
const (
	minWatch = 250 * time.Millisecond
	maxWatch = 5 * time.Second
)

// TargetState is where a target stands, in a word.
type TargetState string

// The states of a target.
const (
	Waiting  TargetState = "waiting"    // a service of it is not decided yet
	InStep   TargetState = "in step"    // read back and right
	Due      TargetState = "reload due" // in step but for a reload that is not allowed yet
	BadTmpl  TargetState = "template failed"
	Rejected TargetState = "rejected"    // by the balancer; the old file stays
	IOErr    TargetState = "file failed" // the file cannot be written or the state not kept
	Down     TargetState = "balancer down"
	Degraded TargetState = "not in step" // the balancer does not do what it should
	OnHold   TargetState = "on hold"     // by an operator
)

// worker keeps one target in step.
type worker struct {
	Target
	loop   *Loop
	log    *slog.Logger
	bucket budget.Bucket

	mu     sync.Mutex
	status TargetStatus

	// For the goroutine of follow alone.
	retry    time.Duration // pause after a failure; 0 if the last pass went well
	lastErr  string
	instance string
	done     map[string]uint64 // generations with which it was last in step
	watched  int               // passes since something changed, for a server's health or sessions
	told     teller
}

func (l *Loop) newWorker(t Target) *worker {
	cfg := t.Config()
	return &worker{Target: t, loop: l, log: l.log.With("target", t.ID()), status: TargetStatus{Target: t.ID(), State: Waiting, Since: time.Now()},
		bucket: budget.Bucket{Interval: cfg.Reload.MinInterval, Burst: cfg.Reload.Burst}}
}

// follow keeps the target in step until ctx ends.
func (w *worker) follow(ctx context.Context) {
	for {
		order, changed := w.loop.board.watch(w.Config())
		next := time.Now().Add(w.loop.cfg.Source.Resync)
		if until := w.loop.heldUntil(w.ID()); !until.IsZero() {
			w.set(func(s *TargetStatus) {
				s.enter(OnHold)
				s.Error, s.Waits = "", "until "+until.UTC().Format(time.RFC3339)
			})
			next = until
		} else if order.complete {
			if next = w.pass(ctx, order, next); next.IsZero() {
				return
			}
		}
		if !w.sleep(ctx, next, changed) {
			return
		}
	}
}

// sleep waits until next, a change, or until the balancer is another process. It returns false if ctx ends.
func (w *worker) sleep(ctx context.Context, next time.Time, changed <-chan struct{}) bool {
	timer := time.NewTimer(max(time.Until(next), 0))
	defer timer.Stop()
	var probe <-chan time.Time
	if every := w.Traits().Probe; every > 0 {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		probe = ticker.C
	}
	for {
		select {
		case <-changed:
			return true
		case <-timer.C:
			return true
		case <-probe:
			if w.moved(ctx) {
				return true
			}
		case <-ctx.Done():
			return false
		}
	}
}

// moved tells whether another process of the balancer serves than at the last pass, or none any more.
func (w *worker) moved(ctx context.Context) bool {
	instance, err := w.Instance(ctx)
	return err == nil && instance != w.instance || errors.Is(err, reload.ErrNotRunning) && w.instance != ""
}

// pass makes one pass and returns when to make the next; zero if the process ends.
func (w *worker) pass(ctx context.Context, o order, next time.Time) time.Time {
	if w.loop.dry {
		w.preview(ctx, o)
		return next
	}
	res, err := w.Apply(ctx, o.pools(), w.leave(ctx))
	if ctx.Err() != nil && (err != nil || res.Waits != "") {
		return time.Time{} // the end of the process, not a fault of the target
	}
	w.instance = res.Actual.Instance
	if w.done == nil || !equalGens(o.gens(), w.done) {
		w.watched = 0
	}
	w.report(o, res, err)
	if err != nil {
		w.retry = min(max(2*w.retry, minRetry), maxRetry)
		pause := w.retry - rand.N(w.retry/4)
		if text := withoutNumbers(err.Error()); text != w.lastErr {
			what := "not in step; the balancer goes on with what it had"
			if errors.Is(err, reload.ErrNotRunning) {
				what = "not in step; the balancer does not run"
			}
			w.log.Error(what, "error", err, "retry_in", pause.Round(time.Millisecond))
			w.lastErr = text
		}
		return time.Now().Add(pause)
	}
	w.tell(res)
	if res.Waits == "" { // else what waits may be what failed before: its pauses go on growing
		w.retry, w.lastErr = 0, ""
	}
	if w.Traits().Runtime && o.unsettled() {
		next = sooner(next, time.Now().Add(min(minWatch<<min(w.watched, 10), maxWatch)))
		w.watched++
	}
	return sooner(next, res.Again)
}

// withoutNumbers makes one text of an error that is met again: what a balancer says has its process id and the name of the candidate in
// it. So a failure is logged once, and not at each attempt.
func withoutNumbers(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, text)
}

// leave asks the target's budget, and then its group, for every reload. A balancer that does not run need not wait for either: it
// has no clients to spare, and does not serve while others reload.
func (w *worker) leave(ctx context.Context) target.Leave {
	return func(_ context.Context, why target.Need) (func(error), error) {
		release := func() {}
		if why.Reason != target.Stopped {
			now := time.Now()
			if ready := w.bucket.Ready(now); ready.After(now) {
				block := "reload"
				if w.Traits().Disruptive != "" {
					block = "restart"
				}
				return nil, &target.DeferredError{Why: block + ".min_interval", Until: ready}
			}
			var err error
			if release, err = w.loop.permit(ctx, w.Target); err != nil {
				return nil, err
			}
		}
		w.bucket.Take(time.Now())
		start := time.Now()
		return func(err error) {
			release()
			result := "ok"
			if err != nil {
				result = "failed"
			}
			w.loop.metrics.reloads.Add(1, w.ID(), result, string(why.Reason))
			w.loop.metrics.reloadDuration.Observe(time.Since(start).Seconds(), w.ID())
		}, nil
	}
}

// report shows what a pass did to the metrics, the status and the decider.
func (w *worker) report(o order, res target.Result, err error) {
	var failure *target.Error
	stage := target.Stage("")
	if errors.As(err, &failure) {
		stage = failure.Stage
	}
	gens := o.gens()
	healed := w.done != nil && equalGens(gens, w.done)
	w.loop.metrics.pass(w.ID(), res, stage, healed)
	found := seen{runtime: w.Traits().Runtime, actual: res.Actual}
	if err == nil && res.Waits == "" {
		if !healed {
			for _, e := range o.editions {
				if !e.caused.IsZero() && (w.done == nil || w.done[e.set.Name] != e.gen) {
					w.loop.metrics.applied.Observe(time.Since(e.caused).Seconds(), w.ID())
				}
			}
		}
		found.gens, w.done = gens, gens
	}
	w.loop.board.report(w.ID(), found)
	w.set(func(s *TargetStatus) { s.take(res, err) })
}

func equalGens(a, b map[string]uint64) bool {
	for name, gen := range a {
		if b[name] != gen {
			return false
		}
	}
	return len(a) == len(b)
}

func (w *worker) set(change func(*TargetStatus)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.status)
}

func (w *worker) snapshot() TargetStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status
}

// tell logs what a pass did that went well.
func (w *worker) tell(res target.Result) {
	what, news := "in step", res.Wrote || res.Reloaded || len(res.Commands) > 0
	if res.Waits != "" {
		what = "in step but for a reload"
	} else if w.retry != 0 {
		news = true
	}
	if news {
		args := []any{"file", w.Config().Files[0].Dest, "wrote", res.Wrote, "commands", len(res.Commands), "reloaded", res.Reloaded}
		if res.Reloaded {
			args = append(args, "reason", res.Reason)
		}
		w.log.Info(what, append(args, "took", res.Took.Round(time.Millisecond))...)
		for _, c := range res.Commands {
			w.log.Debug("runtime", "command", c.Text)
		}
	}
	w.told.once("waits", res.Waits, func() {
		if res.Waits != "" {
			w.log.Info("a reload waits", "for", res.Waits, "until", res.Again.UTC().Format(time.RFC3339))
		}
	})
	old := ""
	if n := res.Actual.OldWorkers; n > 3 {
		old = fmt.Sprint(n)
	}
	w.told.once("old workers", old, func() {
		if old != "" {
			w.log.Warn("many old workers still finish what they had; see hard-stop-after or worker_shutdown_timeout", "old_workers", old)
		}
	})
}

// preview logs what a pass would do.
func (w *worker) preview(ctx context.Context, o order) {
	plan, err := w.Plan(ctx, o.pools())
	w.instance = plan.Instance
	text := describe(plan)
	if err != nil {
		text = err.Error()
	}
	w.told.once("plan", text, func() { w.log.Info("dry run", "would", text) })
	w.set(func(s *TargetStatus) { s.enter(Waiting); s.Waits = "dry run: would " + text })
}

// describe says in a line what a plan would do.
func describe(p target.Plan) string {
	var words []string
	if p.Write {
		words = append(words, "write")
	}
	if n := len(p.Commands); n > 3 {
		words = append(words, fmt.Sprintf("send %d commands", n))
	} else {
		for _, c := range p.Commands {
			words = append(words, "send "+c.Text)
		}
	}
	if p.Reload != "" {
		words = append(words, "reload, for "+p.Reload)
	}
	if len(words) == 0 {
		return "do nothing"
	}
	return strings.Join(words, "; ")
}
