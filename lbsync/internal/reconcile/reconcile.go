// Package reconcile is the loop of gossip-lbsync: it follows the members, lets package decide say what each
// service should be, keeps that in the state folder, and lets every target catch up on its own, so that one
// that fails or hangs never holds up another.
//
// Levels drive it, not edges: an event only wakes the loop, which then looks at everything anew; and so it
// does once per resync period without any event.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-645ce708/gossip/agent/client"
	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/decide"
	"github.com/seed-645ce708/gossip/lbsync/internal/desired"
	"github.com/seed-645ce708/gossip/lbsync/internal/metrics"
	"github.com/seed-645ce708/gossip/lbsync/internal/override"
	"github.com/seed-645ce708/gossip/lbsync/internal/permit"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
	"github.com/seed-645ce708/gossip/lbsync/internal/source"
	"github.com/seed-645ce708/gossip/lbsync/internal/target"
)

// Source gives the newest view of the members; client.Watcher is one.
type Source interface {
	Watch() (client.View, <-chan struct{})
}

// Store keeps what must outlive the process; record.Store is one.
type Store interface {
	Service(name string) (decide.Kept, bool, error)
	SaveService(name string, kept decide.Kept) error
	Node() (pool.Node, error)
	SaveNode(pool.Node) error
	Overrides() (override.List, error)
	SaveOverrides(override.List) error
}

// Target is a balancer to keep in step; *target.Target is one.
type Target interface {
	ID() string
	Config() config.Target
	Traits() adapter.Traits
	Unrecorded() (bool, error)
	Instance(ctx context.Context) (string, error)
	Plan(ctx context.Context, pools adapter.Pools) (target.Plan, error)
	Apply(ctx context.Context, pools adapter.Pools, leave target.Leave) (target.Result, error)
}

// Permits lets the balancers of a group take turns. The error is why there is no turn.
type Permits interface {
	Acquire(ctx context.Context, group config.Group, target string) (release func(), err error)
}

// Options are what a loop is made of.
type Options struct {
	Config  *config.Config
	Source  Source
	Store   Store
	Targets []Target
	Log     *slog.Logger // nil for none
	Metrics *Metrics     // nil for none
	Permits Permits      // nil for none
	DryRun  bool         // change nothing, also not in the store
}

// Loop keeps targets in step with members. It may be used once, by Run, Once or Preview. Its other methods may be called from
// any goroutine meanwhile.
type Loop struct {
	cfg     *config.Config
	source  Source
	store   Store
	workers []*worker
	log     *slog.Logger
	metrics *Metrics
	permits Permits
	dry     bool
	board   *board
	woken   chan struct{} // holds one: something other than the view changed

	mu        sync.Mutex
	decider   *decide.Decider
	overrides override.List
	node      pool.Node // the last that was known
	view      client.View
	last      decide.View // that the decider saw
	statuses  []decide.Status
	turned    time.Time
	took      time.Duration        // of the last decision
	saved     map[string]time.Time // when a service was last saved
	unsaved   map[string]bool
}

// New returns a loop that starts from the last good sets in the store.
func New(o Options) (*Loop, error) {
	l := &Loop{cfg: o.Config, source: o.Source, store: o.Store, log: o.Log, metrics: o.Metrics, permits: o.Permits, dry: o.DryRun,
		board: newBoard(), woken: make(chan struct{}, 1), turned: time.Now(), saved: map[string]time.Time{}, unsaved: map[string]bool{}}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if l.metrics == nil {
		l.metrics = NewMetrics(&metrics.Registry{})
	}
	var err error
	if l.overrides, err = l.store.Overrides(); err != nil {
		return nil, err
	}
	if l.node, err = l.store.Node(); err != nil {
		return nil, err
	}
	initial := map[string]decide.Initial{}
	for _, s := range l.cfg.Services {
		last, known, err := l.store.Service(s.Name)
		if err != nil {
			return nil, err
		}
		initial[s.Name] = decide.Initial{Last: last, Known: known}
	}
	for _, t := range o.Targets {
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
		l.workers = append(l.workers, l.newWorker(t))
	}
	l.decider = decide.New(l.cfg.Services, initial)
	return l, nil
}

// maxPause bounds the pause after a step.
const maxPause = 100 * time.Millisecond

// minSave is how often the history of a service is saved if what takes traffic does not change.
const minSave = time.Second

// Run follows the members until ctx ends. A failing target is tried again and again; only ctx ends the loop.
func (l *Loop) Run(ctx context.Context) {
	l.board.putNode(l.node)
	for _, st := range l.decider.Known() { // a pass that was cut short is taken up although no agent answers
		l.board.put(st.Service.Name, edition{set: st.Service, gen: st.Gen})
	}
	var workers sync.WaitGroup
	for _, w := range l.workers {
		workers.Go(func() { w.follow(ctx) })
	}
	defer l.flush()
	defer workers.Wait()

	var told teller
	for {
		view, changed := l.source.Watch()
		told.agent(l.log, view)
		again := l.step(view, &told)
		// In a storm of events each step takes in all that came meanwhile: at most a tenth of a core goes into deciding.
		select {
		case <-time.After(min(9*l.took, maxPause)):
		case <-ctx.Done():
			return
		}
		wait := l.cfg.Source.Resync
		if !again.IsZero() {
			wait = min(wait, max(time.Until(again), 0))
		}
		select {
		case <-changed:
		case <-l.board.news:
		case <-l.woken:
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// step looks at everything once and returns when to look again without cause; zero means at the next resync.
func (l *Loop) step(view client.View, told *teller) time.Time {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turned = now
	l.view = view
	l.metrics.agent(view)
	if view.Updated.IsZero() { // before the first list there is nothing to decide on
		return time.Time{}
	}
	l.meet(view)
	l.board.putNode(l.node)
	seen, ends := l.look(view, now)
	statuses, again := l.decider.Step(now, seen, false)
	l.took = time.Since(now)
	again = sooner(again, ends)
	l.last, l.statuses = seen, statuses
	for _, st := range statuses {
		told.status(l.log, st)
		l.metrics.service(st)
		if !st.Known {
			continue
		}
		l.board.put(st.Service.Name, edition{set: st.Service, gen: st.Gen, caused: st.Caused})
		again = sooner(again, l.keep(st, now)) // after the targets set out: they need not wait for the disk
		if st.AckSpent {
			_ = l.setOverrides(l.overrides.Spent(st.Service.Name)) // it logs
		}
		for range st.Cut {
			l.metrics.drains.Add(1, st.Service.Name)
		}
	}
	return again
}

func sooner(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// meet takes in which member the agent is, and keeps it, so that a start without an agent makes of it the same files. A view
// that does not say leaves it as it was.
func (l *Loop) meet(view client.View) {
	node := desired.Node(view.Members, view.Node)
	if node.Name == "" || node.Equal(l.node) {
		return
	}
	l.node = node
	if l.dry {
		return
	}
	if err := l.store.SaveNode(node); err != nil {
		l.log.Error("the agent's own member could not be saved", "error", err)
	}
}

// look adds to the client's view how far it can be trusted, and what operators and balancers say. Members that come and go
// count as failed. It returns when the next override ends.
func (l *Loop) look(view client.View, now time.Time) (decide.View, time.Time) {
	why, until := source.Trust(view, l.cfg.Source.Settle, now)
	overrides, ends := l.overrides.Services(now)
	targets := make([]config.Target, len(l.workers))
	for i, w := range l.workers {
		targets[i] = w.Config()
	}
	return decide.View{Members: view.Steady(), Distrust: why, Until: until, Overrides: overrides,
		Facts: l.board.gather(l.cfg.Services, targets)}, ends
}

// keep saves what changed in a service: at once what takes traffic, and the rest once per minSave. That it cannot be saved
// is no reason to leave the balancer behind: what is lost is only where the next start begins. It returns when to
// save what was put off.
func (l *Loop) keep(st decide.Status, now time.Time) time.Time {
	name := st.Service.Name
	if l.dry || !st.Moved && !l.unsaved[name] {
		return time.Time{}
	}
	if due := l.saved[name].Add(minSave); !st.Changed && now.Before(due) {
		l.unsaved[name] = true
		return due
	}
	l.saved[name], l.unsaved[name] = now, false
	if err := l.store.SaveService(name, l.decider.Kept(name)); err != nil {
		l.log.Error("the last good set could not be saved", "service", name, "error", err)
	}
	return time.Time{}
}

// flush saves what was put off.
func (l *Loop) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, unsaved := range l.unsaved {
		if !unsaved {
			continue
		}
		if err := l.store.SaveService(name, l.decider.Kept(name)); err != nil {
			l.log.Error("the last good set could not be saved", "service", name, "error", err)
		}
	}
}

// permit waits for the target's turn in its group.
func (l *Loop) permit(ctx context.Context, t Target) (func(), error) {
	group := t.Config().Reload.Group
	if l.permits == nil || group.Name == "" {
		return func() {}, nil
	}
	release, err := l.permits.Acquire(ctx, group, t.ID())
	if err != nil {
		until := time.Now().Add(time.Second)
		var wait *permit.WaitError
		if errors.As(err, &wait) {
			until = wait.Again
		}
		return nil, &target.DeferredError{Why: "its turn in group " + group.Name + ": " + err.Error(), Until: until}
	}
	return release, nil
}

// Resync makes the loop and every target look at everything now.
func (l *Loop) Resync() {
	l.wake()
	l.board.kick()
}

func (l *Loop) wake() {
	select {
	case l.woken <- struct{}{}:
	default:
	}
}

func (l *Loop) heldUntil(target string) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.overrides.Held(target, time.Now())
}

// Override takes on an order of an operator, and keeps it.
func (l *Loop) Override(o override.Override) error {
	if err := l.Check(o); err != nil {
		return err
	}
	l.mu.Lock()
	list, err := l.overrides.Live(time.Now()).Add(o)
	switch {
	case err != nil:
	case o.Kind == override.Ack:
		err = l.acknowledges(o)
	case o.Kind == override.Drain && !o.Ahead:
		err = l.serves(o.Service, o.Member)
	}
	if err == nil {
		err = l.setOverrides(list)
	}
	l.mu.Unlock()
	if err == nil {
		l.log.Warn("override", "order", o.String())
		l.Resync()
	}
	return err
}

// acknowledges tells whether an ack names what is held now. One for what may be held later, of a loop that does not run, is kept.
// The caller holds mu.
func (l *Loop) acknowledges(o override.Override) error {
	i := slices.IndexFunc(l.statuses, func(st decide.Status) bool { return st.Service.Name == o.Service })
	switch {
	case i < 0 || l.statuses[i].HeldSet == o.Set:
		return nil
	case l.statuses[i].HeldSet == "":
		return fmt.Errorf("nothing of service %q is held that an ack could let go", o.Service)
	default:
		return fmt.Errorf("what is held of service %q is %s now, not %s; see status", o.Service, l.statuses[i].HeldSet, o.Set)
	}
}

// maxHint bounds how many names an error offers.
const maxHint = 10

// serves returns an error unless the member is one that serves it, or did. The caller holds mu.
func (l *Loop) serves(service, member string) error {
	var names []string
	for _, i := range l.decider.Kept(service).Instances {
		if i.Server.Name == member {
			return nil
		}
		names = append(names, i.Server.Name)
	}
	others := "nor any other"
	if len(names) > 0 {
		others = "but " + strings.Join(names[:min(len(names), maxHint)], " ")
	}
	if n := len(names) - maxHint; n > 0 {
		others += fmt.Sprintf(" and %d more", n)
	}
	return fmt.Errorf("there is no server %q in service %q, %s; to drain one that is still to come, add -ahead", member, service, others)
}

// Check tells whether an order names what there is.
func (l *Loop) Check(o override.Override) error {
	switch {
	case o.Service != "" && !slices.ContainsFunc(l.cfg.Services, func(s config.Service) bool { return s.Name == o.Service }):
		return fmt.Errorf("there is no service %q", o.Service)
	case o.Target != "" && !slices.ContainsFunc(l.cfg.Targets, func(t config.Target) bool { return t.ID() == o.Target }):
		return fmt.Errorf("there is no target %q", o.Target)
	default:
		return nil
	}
}

// Resume ends overrides; see override.List.Resume.
func (l *Loop) Resume(service, member, target string) (int, error) {
	l.mu.Lock()
	list, n := l.overrides.Live(time.Now()).Resume(service, member, target)
	var err error
	if n == 0 { // what is ordered of a service that the configuration has no more can be ended
		err = l.Check(override.Override{Service: service, Target: target})
	}
	if err == nil {
		err = l.setOverrides(list)
	}
	l.mu.Unlock()
	if err != nil {
		return 0, err
	}
	l.log.Warn("overrides ended", "service", service, "member", member, "target", target, "count", n)
	l.Resync()
	return n, nil
}

// setOverrides keeps the list. The caller holds mu.
func (l *Loop) setOverrides(list override.List) error {
	l.overrides = list
	if l.dry {
		return nil
	}
	if err := l.store.SaveOverrides(list); err != nil {
		l.log.Error("the overrides could not be saved; they are in force until this process ends", "error", err)
		return err
	}
	return nil
}
