// Package target brings one file of one load balancer in step with its services: render, check, replace,
// reload, and only then call it applied. At each step a failure leaves, or puts back, what worked.
//
//	render ─▶ stage beside the file ─▶ check ─▶ rename ─▶ check the whole ─▶ reload ─▶ record as loaded
//	  │              │                   │         │             │              │
//	keep           keep                keep      keep        put back       put back
//
// What the balancer has loaded is recorded apart from what is in the file. So a reload that failed, or a
// process that died between rename and reload, is taken up again at the next pass although the file is then
// already right.
package target

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/atomicfile"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/desired"
	"github.com/seed-645ce708/gossip/lbsync/internal/record"
	"github.com/seed-645ce708/gossip/lbsync/internal/reload"
)

// Stage is a step of a pass that can fail.
type Stage string

// The stages.
const (
	StageState  Stage = "state"
	StageRender Stage = "render"
	StageCheck  Stage = "check"
	StageWrite  Stage = "write"
	StageReload Stage = "reload"
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
}

// Target is one file of one balancer. Its methods are for one goroutine at a time.
type Target struct {
	cfg    config.Target
	driver adapter.Adapter
	store  Store
}

// New returns the target.
func New(cfg config.Target, driver adapter.Adapter, store Store) *Target {
	return &Target{cfg: cfg, driver: driver, store: store}
}

// ID returns KIND/NAME.
func (t *Target) ID() string { return t.cfg.ID() }

// Config returns what the target was made from.
func (t *Target) Config() config.Target { return t.cfg }

// Plan is what a pass would do.
type Plan struct {
	Old, New []byte // Old is nil if there is no file
	Write    bool
	Reload   bool
}

// Plan works out what Apply would do, without doing it or checking anything.
func (t *Target) Plan(services map[string]desired.Service) (Plan, error) {
	p, _, err := t.plan(services)
	return p, err
}

func (t *Target) plan(services map[string]desired.Service) (Plan, record.Target, error) {
	rec, err := t.store.Target(t.ID())
	if err != nil {
		return Plan{}, rec, t.fail(StageState, err)
	}
	var p Plan
	rendered, err := t.driver.Render(desired.Pools(services))
	if err != nil {
		return Plan{}, rec, t.fail(StageRender, err)
	}
	p.New = rendered.Files[0]
	if p.Old, err = t.read(); err != nil {
		return Plan{}, rec, t.fail(StageWrite, err)
	}
	p.Write = p.Old == nil || !bytes.Equal(p.Old, p.New)
	p.Reload = t.driver.Traits().Reloads && (p.Write || rec.Loaded != hash(p.New))
	return p, rec, nil
}

// Unrecorded tells that the file exists and has content although nothing is recorded of it: the state was
// lost, or the file is somebody else's.
func (t *Target) Unrecorded() (bool, error) {
	rec, err := t.store.Target(t.ID())
	if err != nil {
		return false, t.fail(StageState, err)
	}
	old, err := t.read()
	if err != nil {
		return false, t.fail(StageWrite, err)
	}
	return len(rec.Written) == 0 && len(old) > 0, nil
}

// Result is what a pass did.
type Result struct {
	Wrote    bool
	Reloaded bool
}

// Check renders the services and has the balancer judge the result in the folder dir, without touching the
// file itself or the balancer.
func (t *Target) Check(ctx context.Context, services map[string]desired.Service, dir string) error {
	rendered, err := t.driver.Render(desired.Pools(services))
	if err != nil {
		return t.fail(StageRender, err)
	}
	f, err := os.CreateTemp(dir, "candidate-*.cfg")
	if err != nil {
		return t.fail(StageCheck, err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // the caller removes the folder anyway
	_, err = f.Write(rendered.Files[0])
	if err := errors.Join(err, f.Close()); err != nil {
		return t.fail(StageCheck, err)
	}
	if err := t.driver.Check(ctx, []string{f.Name()}); err != nil {
		return t.fail(StageCheck, err)
	}
	return nil
}

// Apply makes one pass. With reload false the balancer is not told, and the next pass that may will. Once the
// file is being replaced the pass goes on to its end although ctx ends, within the time limits of checks and
// reload. The error is an *Error.
func (t *Target) Apply(ctx context.Context, services map[string]desired.Service, reloads bool) (Result, error) {
	p, rec, err := t.plan(services)
	if err != nil {
		return Result{}, err
	}
	var res Result
	if p.Write {
		if err := t.mayWrite(p, rec); err != nil {
			return res, t.fail(StageWrite, err)
		}
		if err := t.install(ctx, p, &rec); err != nil {
			return res, err
		}
		res.Wrote = true
	}
	if rec.Loaded == hash(p.New) || (!reloads && t.driver.Traits().Reloads) {
		return res, nil
	}
	if t.driver.Traits().Reloads {
		if err := t.reload(context.WithoutCancel(ctx), p, &rec); err != nil {
			// The file that was put back is no longer the one that was written.
			res.Wrote = res.Wrote && errors.Is(err, reload.ErrNotRunning)
			return res, err
		}
		res.Reloaded = true
	}
	rec.Loaded = hash(p.New)
	if err := t.store.SaveTarget(t.ID(), rec); err != nil {
		return res, t.fail(StageState, err)
	}
	return res, nil
}

// install checks the new content and puts it in place, or leaves things as they were.
func (t *Target) install(ctx context.Context, p Plan, rec *record.Target) error {
	staged, err := atomicfile.Stage(t.cfg.Files[0].Dest, p.New, t.cfg.Files[0].Mode)
	if err != nil {
		return t.fail(StageWrite, err)
	}
	defer staged.Discard()
	if err := t.driver.Check(ctx, []string{staged.Path()}); err != nil {
		return t.fail(StageCheck, err)
	}
	if err := ctx.Err(); err != nil {
		return t.fail(StageWrite, err)
	}
	// Both hashes are recorded before the rename: if the process dies here, either file is known as ours.
	rec.Written = written(p.Old, p.New)
	if err := t.store.SaveTarget(t.ID(), *rec); err != nil {
		return t.fail(StageState, err)
	}
	if err := staged.Commit(); err != nil {
		return t.fail(StageWrite, err)
	}
	if err := t.driver.CheckInstalled(context.WithoutCancel(ctx)); err != nil {
		return t.putBack(t.fail(StageCheck, err), p)
	}
	return nil
}

// reload tells the balancer. If it refuses, the old file is put back.
func (t *Target) reload(ctx context.Context, p Plan, rec *record.Target) error {
	err := t.driver.Reload(ctx)
	if err == nil {
		return nil
	}
	failure := t.fail(StageReload, err)
	if errors.Is(err, reload.ErrNotRunning) {
		return failure // the file was checked; it is what the balancer should find when it starts
	}
	// A reload that only seemed to fail may yet succeed: what is loaded is unknown from here on.
	rec.Loaded = ""
	if err := t.store.SaveTarget(t.ID(), *rec); err != nil {
		failure = errors.Join(failure, t.fail(StageState, err))
	}
	if p.Write {
		return t.putBack(failure, p)
	}
	return failure
}

// putBack restores the file as it was, and returns the failure that made it necessary.
func (t *Target) putBack(failure error, p Plan) error {
	var err error
	if p.Old == nil {
		err = os.Remove(t.cfg.Files[0].Dest)
	} else {
		err = atomicfile.Write(t.cfg.Files[0].Dest, p.Old, 0)
	}
	if err != nil {
		return errors.Join(failure, t.fail(StageWrite, fmt.Errorf("the old file could not be put back: %w", err)))
	}
	return failure
}

// mayWrite refuses to replace a file that something else wrote.
func (t *Target) mayWrite(p Plan, rec record.Target) error {
	if len(p.Old) == 0 || t.cfg.Files[0].Adopt || slices.Contains(rec.Written, hash(p.Old)) || managed(p.Old) {
		return nil
	}
	return fmt.Errorf("%s was not written by gossip-lbsync; set adopt = true to replace it, or choose another dest", t.cfg.Files[0].Dest)
}

// managed tells whether the first line says that the file is ours, as that of every built-in form does.
func managed(data []byte) bool {
	line, _, _ := bytes.Cut(data, []byte("\n"))
	return bytes.Contains(line, []byte("gossip-lbsync"))
}

func (t *Target) read() ([]byte, error) {
	data, err := os.ReadFile(t.cfg.Files[0].Dest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if data == nil && err == nil {
		data = []byte{}
	}
	return data, err
}

func (t *Target) fail(stage Stage, err error) error {
	return &Error{Target: t.ID(), Stage: stage, Err: err}
}

func written(old, now []byte) []string {
	if old == nil {
		return []string{hash(now)}
	}
	return []string{hash(old), hash(now)}
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
