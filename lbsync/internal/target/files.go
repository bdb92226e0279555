package target

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/atomicfile"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
)

// Unrecorded tells that a file exists and has content although nothing is recorded of it: the state was lost,
// or the file is somebody else's.
func (t *Target) Unrecorded() (bool, error) {
	rec, err := t.store.Target(t.ID())
	if err != nil {
		return false, t.fail(StageState, err)
	}
	old, err := t.read()
	if err != nil {
		return false, t.fail(StageWrite, err)
	}
	return len(rec.Written) == 0 && slices.ContainsFunc(old, func(data []byte) bool { return len(data) > 0 }), nil
}

// Check renders the pools and has the balancer judge the result in the folder dir, without touching the files
// or the balancer.
func (t *Target) Check(ctx context.Context, pools adapter.Pools, dir string) error {
	rendered, err := t.adapter.Render(pools)
	if err != nil {
		return t.fail(StageRender, err)
	}
	var paths []string
	for i, data := range rendered.Files {
		path := filepath.Join(dir, fmt.Sprintf("%s-%s-%d%s", t.cfg.Kind, t.cfg.Name, i, filepath.Ext(t.cfg.Files[i].Dest)))
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return t.fail(StageCheck, err)
		}
		paths = append(paths, path)
	}
	if err := t.adapter.Check(ctx, paths, adapter.Cause{Hash: hashAll(rendered.Files)}); err != nil {
		return t.fail(StageCheck, err)
	}
	return nil
}

// install checks the new content and puts it in place, or leaves things as they were.
func (p *pass) install(ctx context.Context) error {
	t := p.t
	if err := p.mayWrite(); err != nil {
		return t.fail(StageWrite, err)
	}
	var staged []*atomicfile.Staged
	defer func() {
		for _, s := range staged {
			s.Discard()
		}
	}()
	var paths []string
	for i, data := range p.rendered.Files {
		f := t.cfg.Files[i]
		s, err := atomicfile.Stage(f.Dest, data, options(f))
		if err != nil {
			return t.fail(StageWrite, err)
		}
		staged = append(staged, s)
		paths = append(paths, s.Path())
	}
	if err := t.adapter.Check(ctx, paths, p.cause(Need{})); err != nil {
		return t.fail(StageCheck, err)
	}
	if err := ctx.Err(); err != nil {
		return t.fail(StageWrite, err)
	}
	if err := p.beforeRename(); err != nil {
		return err
	}
	for _, s := range staged {
		if err := s.Commit(); err != nil {
			return p.undo(t.fail(StageWrite, err))
		}
	}
	if err := t.adapter.CheckInstalled(context.WithoutCancel(ctx), p.cause(Need{})); err != nil {
		failure := p.undo(t.fail(StageCheck, err))
		if p.res.RolledBack && !missing(p.old) {
			if err := t.adapter.CheckInstalled(context.WithoutCancel(ctx), adapter.Cause{Hash: hashAll(p.old)}); err != nil {
				failure = errors.Join(failure, t.fail(StageCheck, fmt.Errorf("with the old file back it is refused as well, so the fault is not this change: %w", err)))
			}
		}
		return failure
	}
	p.rec.Written, p.rec.Structure, p.rec.WroteAt = []string{p.res.Hash}, p.structure(), t.now()
	if p.serversOnly() {
		p.unsaved = true // the end of the pass will: what is on record is enough to go on from, and servers wait
		return nil
	}
	return p.save()
}

func options(f config.File) atomicfile.Options {
	return atomicfile.Options{Mode: f.Mode, User: f.User, Group: f.Group, Backups: f.Backups, InPlace: f.InPlace}
}

// beforeRename records what is about to happen, so that if this process dies in between the next one knows either content as
// ours, trusts no process of the balancer to have loaded the new one, and has what to fall back on.
func (p *pass) beforeRename() error {
	if !p.serversOnly() {
		if err := p.keepFallback(); err != nil {
			return err
		}
	}
	p.rec.Loaded, p.rec.LoadedStructure = p.loaded.bytes, p.loaded.structure
	if p.readErr == nil {
		p.rec.Instance = p.actual.Instance
	}
	p.rec.Written, p.rec.WroteAt = []string{hashAll(p.old), p.res.Hash}, time.Time{}
	return p.save()
}

// serversOnly tells that no reload should be needed.
func (p *pass) serversOnly() bool {
	return p.t.adapter.Traits().Runtime && p.readErr == nil && p.loaded.structure == p.structure()
}

// keepFallback keeps the content that is being replaced, to go back to if a reload fails; unless there is older content that is
// known to be good.
func (p *pass) keepFallback() error {
	if p.rec.Fallback || !p.t.adapter.Traits().Reloads {
		return nil
	}
	if err := p.t.store.SaveFallback(p.t.ID(), p.old); err != nil {
		return p.t.fail(StageState, err)
	}
	p.rec.Fallback = true
	return nil
}

// withoutFile changes the servers of a running balancer although the file that should have them could not be written, if the
// operator wants that: the disk is full, or may not be written to. Nothing is reloaded, which would load the old file, and nothing
// is recorded. It returns the failure, for the pass has failed all the same.
func (p *pass) withoutFile(ctx context.Context, leave Leave, failure error) error {
	var failed *Error
	if leave == nil || ctx.Err() != nil || !p.t.adapter.Traits().WithoutFile || !p.serversOnly() || errors.Is(failure, errForeign) ||
		!errors.As(failure, &failed) || (failed.Stage != StageWrite && failed.Stage != StageState) {
		return failure
	}
	plan, err := p.settle(ctx)
	switch {
	case err != nil:
		return errors.Join(failure, p.t.fail(StageRuntime, err))
	case plan.Reload != "":
		return errors.Join(failure, p.t.fail(StageRuntime, fmt.Errorf("a reload is needed, for %s, and has to wait for the file", plan.Reload)))
	default:
		return fmt.Errorf("%w; its servers are changed at runtime all the same, as without_file says", failure)
	}
}

// undo restores the files as they were at the beginning of the pass, and returns the failure that made it necessary.
func (p *pass) undo(failure error) error {
	if err := p.t.putBack(p.old); err != nil {
		return errors.Join(failure, p.t.fail(StageWrite, fmt.Errorf("the old file could not be put back: %w", err)))
	}
	p.res.RolledBack = true
	return failure
}

func (t *Target) putBack(files [][]byte) error {
	var errs []error
	for i, data := range files {
		dest := t.cfg.Files[i].Dest
		if data != nil {
			errs = append(errs, atomicfile.Write(dest, data, atomicfile.Options{InPlace: t.cfg.Files[i].InPlace}))
		} else if err := os.Remove(dest); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// errForeign means that a file is somebody else's.
var errForeign = errors.New("was not written by gossip-lbsync")

// mayWrite refuses to replace a file that something else wrote.
func (p *pass) mayWrite() error {
	if slices.Contains(p.rec.Written, hashAll(p.old)) {
		return nil
	}
	for i, old := range p.old {
		f := p.t.cfg.Files[i]
		if len(old) > 0 && !f.Adopt && !managed(old) && !bytes.Equal(old, p.rendered.Files[i]) {
			return fmt.Errorf("%s %w; set adopt = true to replace it, or choose another dest", f.Dest, errForeign)
		}
	}
	return nil
}

// managed tells whether the first line says that the file is ours, as that of every built-in form does.
func managed(data []byte) bool {
	line, _, _ := bytes.Cut(data, []byte("\n"))
	return bytes.Contains(line, []byte("gossip-lbsync"))
}

// read returns the content of the files, nil for one that is not there.
func (t *Target) read() ([][]byte, error) {
	files := make([][]byte, len(t.cfg.Files))
	for i, f := range t.cfg.Files {
		data, err := os.ReadFile(f.Dest)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if data == nil {
			data = []byte{}
		}
		files[i] = data
	}
	return files, nil
}

func missing(files [][]byte) bool {
	return slices.ContainsFunc(files, func(data []byte) bool { return data == nil })
}
