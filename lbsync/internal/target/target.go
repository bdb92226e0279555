// Package target brings one balancer in step with its pools: render, check, replace the files, change at runtime what
// can be, reload if that does not suffice, and read back. Only what was read back is called in step. At each step a failure
// leaves, or puts back, what worked.
//
//	render ─▶ stage beside the files ─▶ check ─▶ rename ─▶ check the whole ─▶ runtime ─▶ reload ─▶ read back ─▶ record
//	  │              │                    │         │             │              │          │
//	keep           keep                 keep      keep        put back         reload    put back
//
// What the balancer has loaded is recorded apart from what is in the files, and for which of its processes that holds. So
// a reload that failed, or a process of ours that died between rename and reload, is taken up again at the next pass
// although the files are then already right; and a balancer that was restarted or reloaded by somebody else is noticed.
// One that can only be restarted, and that a failed restart has ended, is started with the files that were put back.
package target

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/atomicfile"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/record"
	"github.com/seed-645ce708/gossip/lbsync/internal/reload"
)

// Stage is a step of a pass that can fail.
type Stage string

// The stages.
const (
	StageState   Stage = "state"
	StageRender  Stage = "render"
	StageCheck   Stage = "check"
	StageWrite   Stage = "write"
	StageRead    Stage = "read"
	StageRuntime Stage = "runtime"
	StageReload  Stage = "reload"
	StageVerify  Stage = "verify"
)

// Error is why a pass failed. Whatever the stage, the balancer goes on with what it had.
type Error struct {
	Target string // KIND/NAME
	Stage  Stage
	Err    error
}

func (e *Error) Error() string { return fmt.Sprintf("target %s: %s: %v", e.Target, e.Stage, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Store keeps what must outlive the process; record.Store is one.
type Store interface {
	Target(id string) (record.Target, error)
	SaveTarget(id string, t record.Target) error
	Fallback(id string) ([][]byte, error)
	SaveFallback(id string, files [][]byte) error
}

// Target is one balancer and its files. Its methods are for one goroutine at a time.
type Target struct {
	cfg     config.Target
	adapter adapter.Adapter
	store   Store
	now     func() time.Time
}

// New returns the target.
func New(cfg config.Target, a adapter.Adapter, store Store) *Target {
	return &Target{cfg: cfg, adapter: a, store: store, now: time.Now}
}

// ID returns KIND/NAME.
func (t *Target) ID() string { return t.cfg.ID() }

// Config returns what the target was made from.
func (t *Target) Config() config.Target { return t.cfg }

// Traits returns those of the adapter.
func (t *Target) Traits() adapter.Traits { return t.adapter.Traits() }

// Lint returns the adapter's advice, and what would keep the files from being written on this host.
func (t *Target) Lint() []string {
	advice := t.adapter.Lint()
	for _, f := range t.cfg.Files {
		if err := atomicfile.Obstacle(f.Dest, options(f)); err != nil {
			advice = append(advice, err.Error())
		}
	}
	return advice
}

// Instance reads which process serves now; empty if that is not known. It costs little.
func (t *Target) Instance(ctx context.Context) (string, error) {
	actual, err := t.adapter.Read(ctx)
	return actual.Instance, err
}

// Plan is what a pass would do.
type Plan struct {
	Old, New [][]byte // content of the files; in Old nil for one that is not there
	Write    bool
	Commands []adapter.Command
	Reload   string // why a reload is needed; empty if none is
	Instance string // of the balancer; empty if it is not known
	// Unseen says why it is not known what the balancer does; the plan is then a guess. Empty if it is.
	Unseen string
}

// Idle tells whether there is nothing to do.
func (p Plan) Idle() bool { return !p.Write && len(p.Commands) == 0 && p.Reload == "" }

// Plan works out what Apply would do, without doing it or checking anything.
func (t *Target) Plan(ctx context.Context, pools adapter.Pools) (Plan, error) {
	p, err := t.begin(ctx, pools)
	if err != nil {
		return Plan{}, err
	}
	out := Plan{Old: p.old, New: p.rendered.Files, Write: p.write, Instance: p.actual.Instance}
	if p.readErr != nil {
		out.Unseen = p.readErr.Error()
	} else if t.adapter.Traits().Runtime {
		plan := t.adapter.Plan(pools, p.actual)
		out.Commands = plan.Commands
		out.Reload = plan.Reload
	}
	if need := p.needsLoad(); need.Due() {
		out.Reload = need.Text
	}
	if !t.adapter.Traits().Reloads {
		out.Reload = ""
	}
	return out, nil
}

// Render returns the content of the files.
func (t *Target) Render(pools adapter.Pools) ([][]byte, error) {
	r, err := t.adapter.Render(pools)
	if err != nil {
		return nil, t.fail(StageRender, err)
	}
	return r.Files, nil
}

// Leave is asked before each reload. It returns a function to be called when the reload is over, with its error; or an
// error, a *DeferredError if the reload must only wait.
type Leave func(ctx context.Context, why Need) (done func(error), err error)

// DeferredError is why a reload has to wait.
type DeferredError struct {
	Why   string
	Until time.Time // when to ask again
}

func (d *DeferredError) Error() string { return d.Why }

// Result is what a pass did.
type Result struct {
	Wrote    bool
	Commands []Done // in order
	Reloaded bool
	Reason   string // of the reload
	Took     time.Duration
	// Waits says why the pass is not complete although nothing failed: a reload that is not allowed yet. Empty if it is.
	Waits string
	// Again is when another pass is worth it although nothing changes; zero if it is not.
	Again time.Time
	// Actual is what the balancer was last seen to do, and Seen tells that it was seen at all.
	Actual     adapter.Actual
	Seen       bool
	Remains    []string // what cannot be done yet
	RolledBack bool     // the files were put back
	Hash       string   // of the files' content as it should be
}

// Done is a command that was sent.
type Done struct {
	adapter.Command
	Err error
}

// pass is one pass under way.
type pass struct {
	t        *Target
	pools    adapter.Pools
	rec      record.Target
	rendered adapter.Rendered
	old      [][]byte
	write    bool // the files differ
	actual   adapter.Actual
	readErr  error
	loaded   loaded
	unsaved  bool // the record has news that are not on disk
	res      Result
}

// loaded is what the balancer's present process has loaded, as hashes; empty if not known.
type loaded struct{ bytes, structure string }

func (t *Target) begin(ctx context.Context, pools adapter.Pools) (*pass, error) {
	p := &pass{t: t, pools: pools}
	var err error
	if p.rec, err = t.store.Target(t.ID()); err != nil {
		return nil, t.fail(StageState, err)
	}
	if p.rendered, err = t.adapter.Render(pools); err != nil {
		return nil, t.fail(StageRender, err)
	}
	if p.old, err = t.read(); err != nil {
		return nil, t.fail(StageWrite, err)
	}
	p.res.Hash = hashAll(p.rendered.Files)
	p.write = missing(p.old) || hashAll(p.old) != p.res.Hash
	p.look(ctx)
	p.loaded = p.known()
	return p, nil
}

// look reads what the balancer does.
func (p *pass) look(ctx context.Context) {
	p.actual, p.readErr = p.t.adapter.Read(ctx)
	p.res.Seen = p.readErr == nil
	if p.res.Seen {
		p.res.Actual = p.actual
	}
}

// known works out what the process that was seen has loaded.
func (p *pass) known() loaded {
	rec := p.rec
	switch {
	case p.readErr == nil && p.actual.Instance != rec.Instance:
		// Another process than the recorded one. If it started after we last wrote, it read that, if nobody else wrote.
		if p.actual.Instance == "" || rec.WroteAt.IsZero() || !p.actual.Started.After(rec.WroteAt) ||
			len(rec.Written) != 1 || hashAll(p.old) != rec.Written[0] {
			return loaded{}
		}
		return loaded{bytes: rec.Written[0], structure: rec.Structure}
	case errors.Is(p.readErr, reload.ErrNotRunning):
		return loaded{}
	default: // the same process as far as can be seen
		return loaded{bytes: rec.Loaded, structure: rec.LoadedStructure}
	}
}

func (p *pass) structure() string { return hashText(p.rendered.Structure) }

// Apply makes one pass. Without leave the balancer is told nothing, neither at runtime nor to reload, and the next pass
// that has leave will. Once files are being replaced the pass goes on to its end although ctx ends, within the
// time limits of checks, commands and reload. The error is an *Error.
func (t *Target) Apply(ctx context.Context, pools adapter.Pools, leave Leave) (Result, error) {
	start := t.now()
	p, err := t.begin(ctx, pools)
	if err != nil {
		return Result{}, err
	}
	err = p.run(ctx, leave)
	if p.unsaved {
		err = errors.Join(err, p.save())
	}
	p.res.Took = t.now().Sub(start)
	return p.res, err
}

func (p *pass) run(ctx context.Context, leave Leave) error {
	if p.write {
		if err := p.install(ctx); err != nil {
			return p.withoutFile(ctx, leave, err)
		}
		p.res.Wrote = true
		ctx = context.WithoutCancel(ctx)
	}
	if err := ctx.Err(); err != nil {
		return p.t.fail(StageRead, err)
	}
	traits := p.t.adapter.Traits()
	if leave == nil && (traits.Reloads || traits.Runtime) {
		return nil
	}
	return p.converge(ctx, leave)
}

// converge makes the balancer do what the files say.
func (p *pass) converge(ctx context.Context, leave Leave) error {
	traits := p.t.adapter.Traits()
	if errors.Is(p.readErr, reload.ErrNotRunning) && traits.Runtime {
		return p.t.fail(StageRead, p.readErr) // the files are right for when it starts
	}
	need := p.needsLoad()
	var trouble error
	if traits.Runtime && p.readErr == nil {
		plan, err := p.settle(ctx)
		switch {
		case err != nil:
			trouble = p.t.fail(StageRuntime, err)
			need = Need{Refused, "the Runtime API refused a change"}
			if p.write && traits.Reloads {
				trouble = errors.Join(trouble, p.keepFallback())
				p.unsaved = true
			}
		case !need.Due():
			need = planned(plan)
		}
	}
	if need.Due() && traits.Reloads {
		if err := p.reload(ctx, leave, need); err != nil {
			var deferred *DeferredError
			if errors.As(err, &deferred) {
				p.res.Waits, p.res.Again = deferred.Why, deferred.Until
				return trouble
			}
			return errors.Join(trouble, err)
		}
		trouble = nil
	} else if need.Due() && traits.Runtime {
		return errors.Join(trouble, p.t.fail(StageReload, fmt.Errorf("a reload is needed, for %s, and there is no reload block", need.Text)))
	}
	if trouble == nil && traits.Runtime && p.readErr != nil {
		trouble = p.t.fail(StageRead, p.readErr)
	}
	if trouble != nil {
		return trouble
	}
	return p.verified()
}

// maxPlans bounds how many plans a pass carries out. Each is made from what was read back after the one before, so that a change
// in several steps is done at once.
const maxPlans = 10

// settle sends what the plan says, reads back and plans again until nothing is left to do. A plan that comes back as it was
// is tried once more. It returns the plan for what remains.
func (p *pass) settle(ctx context.Context) (adapter.Plan, error) {
	var err error
	last, repeated := "", 0
	for range maxPlans {
		plan := p.t.adapter.Plan(p.pools, p.actual)
		p.remains(plan)
		if len(plan.Commands) == 0 {
			return plan, nil
		}
		if text := texts(plan.Commands); text != last {
			last, repeated = text, 0
		} else if repeated++; repeated > 1 {
			break
		}
		err = p.t.adapter.Apply(ctx, plan.Commands, func(c adapter.Command, err error) {
			p.res.Commands = append(p.res.Commands, Done{c, err})
		})
		if p.look(ctx); p.readErr != nil {
			return adapter.Plan{}, p.readErr
		}
	}
	if err == nil {
		err = fmt.Errorf("it took commands without an error but does not act on them: %s", last)
	}
	return adapter.Plan{}, err
}

func texts(commands []adapter.Command) string {
	var all []string
	for _, c := range commands {
		all = append(all, c.Text)
	}
	return strings.Join(all, "; ")
}

func (p *pass) remains(plan adapter.Plan) {
	p.res.Remains, p.res.Again = plan.Remains, time.Time{}
	if plan.Again > 0 {
		p.res.Again = p.t.now().Add(plan.Again)
	}
}

// verified records that the balancer does what the files say.
func (p *pass) verified() error {
	want := p.rec
	want.Loaded, want.LoadedStructure = p.res.Hash, p.structure()
	want.Fallback = false
	if p.readErr == nil {
		want.Instance = p.actual.Instance
	}
	if len(want.Written) != 1 || want.Written[0] != p.res.Hash { // one that was killed had put the files in place
		want.Written, want.Structure, want.WroteAt = []string{p.res.Hash}, p.structure(), p.t.now()
	}
	if want.Equal(p.rec) {
		return nil
	}
	p.rec = want
	return p.save()
}

func (p *pass) save() error {
	p.unsaved = false
	if err := p.t.store.SaveTarget(p.t.ID(), p.rec); err != nil {
		return p.t.fail(StageState, err)
	}
	return nil
}

func (t *Target) fail(stage Stage, err error) error {
	return &Error{Target: t.ID(), Stage: stage, Err: err}
}

func hashText(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// hashAll tells sets of files apart, also by which of them are there.
func hashAll(files [][]byte) string {
	h := sha256.New()
	for _, data := range files {
		size := int64(len(data))
		if data == nil {
			size = -1
		}
		_ = binary.Write(h, binary.BigEndian, size) // a hash takes everything
		_, _ = h.Write(data)
	}
	return hex.EncodeToString(h.Sum(nil))
}
