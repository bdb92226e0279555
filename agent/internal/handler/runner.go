package handler

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/seed-645ce708/gossip/agent/internal/event"
)

const (
	// DefaultQueue is how many events may wait for one command.
	DefaultQueue = 1024
	// DefaultConcurrent is how many scripts may run at the same time.
	DefaultConcurrent = 16
	// slowAfter is when a running script is reported as slow, as in Serf.
	slowAfter = time.Second
)

// errTimeLimit is why a script was killed.
var errTimeLimit = errors.New("killed at the time limit for event handlers")

// Config sets up a Runner.
type Config struct {
	Events *event.Log
	// Self returns what scripts are told about the agent. It is called before each script, from any goroutine;
	// the tags are only read.
	Self   func() Self
	Logger hclog.Logger // nil logs nothing
	// Queue is how many events may wait for one command; 0 or less means DefaultQueue. When it is full the
	// oldest waiting event is dropped, logged and counted: what is newest matters most.
	Queue int
	// Concurrent is how many scripts may run at the same time; 0 or less means DefaultConcurrent.
	Concurrent int
	// Timeout is how long a script may run before it is killed with all it started; 0 means for ever, as in
	// Serf.
	Timeout time.Duration
	// Ran, if set, is told of each script that ended, from any goroutine, for metrics.
	Ran func(command string, took time.Duration, err error)
	// Watch, if set, is told what becomes of each event.
	Watch Watch
}

// Watch follows events through their handlers. Its methods are called from any goroutine and must neither block nor call
// the Runner. Between Handed and its end, an event has one run for each command that Handed named; of several runs of one
// command, the first one told of is the first one queued.
type Watch interface {
	// Handed tells for which commands an event was queued; there may be none. It is the first thing told of an event.
	Handed(e event.Event, commands []string)
	// Started tells that a command is being run.
	Started(e event.Event, command string)
	// Ended tells that it was, or could not be, run; err is that of package os/exec.
	Ended(e event.Event, command string, took time.Duration, err error)
	// Dropped tells that it will not be run: the queue was full, the command is no longer configured, or the agent stops.
	Dropped(e event.Event, command string)
}

// watchNothing is the Watch of those who have none.
type watchNothing struct{}

func (watchNothing) Handed(event.Event, []string)                    {}
func (watchNothing) Started(event.Event, string)                     {}
func (watchNothing) Ended(event.Event, string, time.Duration, error) {}
func (watchNothing) Dropped(event.Event, string)                     {}

// Runner runs the scripts. Handlers with the same command share one queue and one worker: a script sees
// events in order, one at a time, however many filters lead to it, and once for each filter element that
// matches. Different commands run side by side up to a common limit. (Serf runs all of them one after the
// other.)
//
// A query handler runs even if the deadline of the query has passed while it waited, as in Serf, because
// queries are used as commands too; only its answer is then refused.
type Runner struct {
	cfg    Config
	cursor *event.Cursor
	slots  chan struct{} // one for each script that may run

	halt   context.CancelFunc // ends the dispatcher
	halted context.Context
	quit   context.CancelFunc // ends the wait for slots: no script is started any more
	ended  context.Context
	wg     sync.WaitGroup

	mu      sync.Mutex
	specs   []Spec
	workers map[string]*worker // by command

	// Counters of all commands, also of those that are gone.
	run, failed, dropped atomic.Uint64
	lost                 atomic.Uint64 // events that the dispatcher was too slow for
}

// Totals counts what became of events for one command, or for all.
type Totals struct {
	Run     uint64 // scripts that ended
	Failed  uint64 // of those, the ones that could not be run, ended with an error or were killed
	Dropped uint64 // events that no script was run for: queue full, or command no longer configured
	Waiting int    // events in the queue
	Running int    // scripts that run now
}

// Start returns a Runner that handles what is appended to the log from now on. Stop ends it.
func Start(cfg Config, specs []Spec) *Runner {
	if cfg.Queue <= 0 {
		cfg.Queue = DefaultQueue
	}
	if cfg.Concurrent <= 0 {
		cfg.Concurrent = DefaultConcurrent
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	if cfg.Watch == nil {
		cfg.Watch = watchNothing{}
	}
	r := &Runner{
		cfg:     cfg,
		cursor:  cfg.Events.Subscribe(),
		slots:   make(chan struct{}, cfg.Concurrent),
		workers: make(map[string]*worker),
	}
	r.ended, r.quit = context.WithCancel(context.Background())
	r.halted, r.halt = context.WithCancel(context.Background())
	r.Replace(specs)
	r.wg.Go(r.dispatch)
	return r
}

// Replace makes specs the handlers of all events that are dispatched from now on. Running scripts go on. A
// command that stays keeps its queue; what waits for a command that goes is dropped and counted. Once the
// runner stops, Replace does nothing.
func (r *Runner) Replace(specs []Spec) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.halted.Err() != nil {
		return
	}
	r.specs = slices.Clone(specs)
	keep := make(map[string]bool, len(specs))
	for _, s := range specs {
		keep[s.Command] = true
		if r.workers[s.Command] == nil {
			w := &worker{runner: r, command: s.Command, wake: make(chan struct{}, 1)}
			r.workers[s.Command] = w
			r.wg.Go(w.loop)
		}
	}
	for command, w := range r.workers {
		if !keep[command] {
			delete(r.workers, command)
			w.retire()
		}
	}
}

// Specs returns the handlers in force.
func (r *Runner) Specs() []Spec {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.specs)
}

// Stats is what a Runner has done so far.
type Stats struct {
	Total    Totals            // of all commands, also of those that were replaced
	Commands map[string]Totals // of the commands in force
	Lost     uint64            // events that were overwritten in the log before they reached any queue
}

// Stats returns the counters.
func (r *Runner) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Stats{
		Total:    Totals{Run: r.run.Load(), Failed: r.failed.Load(), Dropped: r.dropped.Load()},
		Commands: make(map[string]Totals, len(r.workers)),
		Lost:     r.lost.Load(),
	}
	for command, w := range r.workers {
		t := w.stats()
		s.Commands[command] = t
		s.Total.Waiting += t.Waiting
		s.Total.Running += t.Running
	}
	return s
}

// Stop takes in what is still in the log and lets the scripts work off their queues. When ctx ends, no further
// script is started, what waits is dropped, and Stop returns ctx's error. A script that still runs is left alone, as
// in Serf: it may be the one that restarts the agent. Its worker ends with it. Stop may be called more than once, and
// a later call waits for those.
func (r *Runner) Stop(ctx context.Context) error {
	r.halt()
	idle := make(chan struct{})
	go func() {
		r.wg.Wait()
		close(idle)
	}()
	select {
	case <-idle:
		r.quit()
		return nil
	case <-ctx.Done():
		r.quit()
		return ctx.Err()
	}
}

// dispatch moves events from the log into the queues. It never waits for a script.
func (r *Runner) dispatch() {
	defer r.finish()
	for {
		e, err := r.cursor.Next(r.halted)
		if err != nil && r.halted.Err() != nil {
			break
		}
		if !r.take(e, err) {
			return
		}
	}
	for { // stopped: what is in the log by now still counts
		e, err := r.cursor.TryNext()
		if e == nil && err == nil || !r.take(e, err) {
			return
		}
	}
}

// take handles one result of the cursor and reports whether there may be more.
func (r *Runner) take(e event.Event, err error) bool {
	if lost, ok := errors.AsType[*event.LostError](err); ok {
		r.lost.Add(lost.Lost)
		r.cfg.Logger.Error("Event handlers fell behind, events were lost", "lost", lost.Lost)
		return true
	}
	if err != nil {
		return false
	}
	r.cfg.Logger.Info("Received event: " + e.String())
	r.mu.Lock()
	defer r.mu.Unlock()
	var commands []string
	for _, s := range r.specs {
		for _, sel := range s.Filter.Selectors() {
			if sel.Match(e) {
				commands = append(commands, s.Command)
			}
		}
	}
	r.cfg.Watch.Handed(e, commands)
	for _, command := range commands {
		r.workers[command].push(e)
	}
	return true
}

// finish tells the workers that their queues will not grow any more.
func (r *Runner) finish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.halt() // also when the log was closed: Replace starts no more workers
	for _, w := range r.workers {
		w.close()
	}
}

// acquire waits for a slot to run a script in; it reports false if none is started any more.
func (r *Runner) acquire() bool {
	if r.ended.Err() != nil {
		return false
	}
	select {
	case r.slots <- struct{}{}:
		return true
	case <-r.ended.Done():
		return false
	}
}

// invoke runs command for e and does with its output what Serf reference 3.4 says.
func (r *Runner) invoke(command string, e event.Event) error {
	ctx, cancel := context.Background(), context.CancelFunc(func() {})
	if r.cfg.Timeout > 0 {
		ctx, cancel = context.WithTimeoutCause(ctx, r.cfg.Timeout, errTimeLimit)
	}
	defer cancel()
	slow := time.AfterFunc(slowAfter, func() {
		r.cfg.Logger.Warn("Script '" + command + "' slow, execution exceeding " + slowAfter.String())
	})
	defer slow.Stop()

	env := append(os.Environ(), environ(r.cfg.Self(), e)...)
	start := time.Now()
	out, err := run(ctx, command, env, stdin(e))
	if r.cfg.Ran != nil {
		r.cfg.Ran(command, time.Since(start), err)
	}
	if out.total > maxOutput {
		r.cfg.Logger.Warn("Script output truncated to its end", "script", command, "bytes", out.total, "kept", maxOutput)
	}
	r.cfg.Logger.Debug("Event '" + string(e.Type()) + "' script output: " + string(out.bytes()))
	if err != nil {
		r.cfg.Logger.Error("Error invoking script '" + command + "': " + err.Error())
		return err
	}
	if q, ok := e.(*event.Query); ok && len(out.bytes()) > 0 && q.Respond != nil {
		if err := q.Respond(out.bytes()); err != nil {
			r.cfg.Logger.Warn("Failed to respond to query '" + e.String() + "': " + err.Error())
		}
	}
	return nil
}
