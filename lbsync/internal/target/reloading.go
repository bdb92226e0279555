package target

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/reload"
)

// reload makes the balancer load the files and sees to it that it does then what it should. If it refuses, the files
// that it had loaded are put back.
func (p *pass) reload(ctx context.Context, leave Leave, need Need) error {
	done, err := leave(ctx, need)
	if err != nil {
		return err
	}
	if err := p.t.adapter.Reload(ctx, p.cause(need)); err != nil {
		err = p.reloadFailed(ctx, err)
		done(err)
		return err
	}
	done(nil)
	p.res.Reloaded, p.res.Reason = true, need.Text
	p.loaded = loaded{p.res.Hash, p.structure()}
	p.look(ctx)
	p.rec.Instance = p.actual.Instance
	if err := p.verified(); err != nil { // it has loaded the files, whatever else comes to light
		return err
	}
	if !p.t.adapter.Traits().Runtime {
		return nil
	}
	if p.readErr != nil {
		return p.t.fail(StageVerify, p.readErr)
	}
	plan, err := p.settle(ctx)
	if err == nil && plan.Reload != "" {
		err = fmt.Errorf("after a reload it still needs one: %s", plan.Reload)
	}
	if err != nil {
		return p.t.fail(StageVerify, err)
	}
	return nil
}

// reloadFailed puts back the files that the balancer had loaded.
func (p *pass) reloadFailed(ctx context.Context, cause error) error {
	failure := p.t.fail(StageReload, cause)
	if errors.Is(cause, reload.ErrNotRunning) {
		return failure // the files were checked; they are what the balancer should find when it starts
	}
	// A reload that only seemed to fail may yet succeed: what is loaded is unknown from here on.
	p.rec.Loaded, p.rec.LoadedStructure, p.rec.Instance = "", "", ""
	if p.rec.Fallback {
		files, err := p.t.store.Fallback(p.t.ID())
		if err == nil {
			err = p.t.putBack(files)
		}
		if err != nil {
			failure = errors.Join(failure, p.t.fail(StageWrite, fmt.Errorf("the old file could not be put back: %w", err)))
		} else {
			p.rec.Fallback, p.rec.WroteAt = false, time.Time{}
			p.rec.Written = []string{hashAll(files), p.res.Hash}
			p.res.Wrote, p.res.RolledBack = false, true
		}
	}
	failure = errors.Join(failure, p.save())
	if p.t.adapter.Traits().Disruptive != "" {
		failure = errors.Join(failure, p.startAgain(ctx))
	}
	return failure
}

// startAgain starts the balancer with the files that were put back, if the failed restart has ended the process that had loaded
// them. The error tells if that fails, and if nothing runs in the end.
func (p *pass) startAgain(ctx context.Context) error {
	before := p.actual.Instance
	p.look(ctx)
	down := errors.Is(p.readErr, reload.ErrNotRunning)
	another := p.readErr == nil && p.actual.Instance != before
	var failure error
	if old, err := p.t.read(); p.res.RolledBack && (down || another) && err == nil && !missing(old) {
		hash := hashAll(old)
		err := p.t.adapter.Reload(ctx, adapter.Cause{Hash: hash, Reason: "the restart with a newer file failed"})
		p.look(ctx)
		if err == nil {
			p.rec.Written, p.rec.WroteAt = []string{hash}, time.Time{}
			p.rec.Loaded, p.rec.Instance = hash, p.actual.Instance
			return p.save()
		}
		failure = p.t.fail(StageReload, fmt.Errorf("nor could it be started with the old file: %w", err))
	}
	if errors.Is(p.readErr, reload.ErrNotRunning) {
		failure = errors.Join(failure, p.t.fail(StageRead, p.readErr))
	}
	return failure
}
