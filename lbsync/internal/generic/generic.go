// Package generic is the adapter for any program that reads files: the operator's templates, checks and reload command,
// or a signal. The adapters of known balancers embed it and replace what they do better.
package generic

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/command"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/reload"
	"github.com/seed-645ce708/gossip/lbsync/internal/render"
)

// Adapter implements adapter.Adapter.
type Adapter struct {
	cfg       config.Target
	templates []*render.Template // one for each file; nil where the kind has a form of its own
}

// New returns the adapter of a target. The only thing it reads are the templates.
func New(cfg config.Target) (*Adapter, error) {
	a := &Adapter{cfg: cfg}
	for _, f := range cfg.Files {
		var tmpl *render.Template
		if f.Template != "" {
			var err error
			if tmpl, err = render.Load(f.Template); err != nil {
				return nil, fmt.Errorf("target %s: %w", cfg.ID(), err)
			}
		}
		a.templates = append(a.templates, tmpl)
	}
	return a, nil
}

// Templated tells whether the operator gave a template for the file.
func (a *Adapter) Templated(file int) bool { return a.templates[file] != nil }

// Traits tells that it can reload if it is configured to.
func (a *Adapter) Traits() adapter.Traits { return adapter.Traits{Reloads: a.reloads()} }

func (a *Adapter) reloads() bool {
	r := a.cfg.Reload
	return r.Master != "" || len(r.Command) > 0 || r.PIDFile != ""
}

// Render fills the templates, of which there must be one for each file.
func (a *Adapter) Render(pools adapter.Pools) (adapter.Rendered, error) {
	var out adapter.Rendered
	for i := range a.templates {
		text, err := a.Fill(i, pools)
		if err != nil {
			return adapter.Rendered{}, err
		}
		out.Files = append(out.Files, text)
	}
	return out, nil
}

// Fill fills the template of a file.
func (a *Adapter) Fill(file int, pools adapter.Pools) ([]byte, error) {
	return a.templates[file].Execute(render.NewData(a.cfg, pools))
}

// Check runs the checks that are configured for candidates.
func (a *Adapter) Check(ctx context.Context, paths []string, cause adapter.Cause) error {
	for i, f := range a.cfg.Files {
		if err := a.Run(ctx, i, f.Check, paths[i], cause); err != nil {
			return err
		}
	}
	return nil
}

// CheckInstalled runs the checks that are configured for installed files.
func (a *Adapter) CheckInstalled(ctx context.Context, cause adapter.Cause) error {
	for i, f := range a.cfg.Files {
		if err := a.Run(ctx, i, f.Installed, f.Dest, cause); err != nil {
			return err
		}
	}
	return nil
}

// Run runs a check of a file, with its time limit and path for config.CandidateArg. An empty argument vector is no check.
func (a *Adapter) Run(ctx context.Context, file int, argv []string, path string, cause adapter.Cause) error {
	if len(argv) == 0 {
		return nil
	}
	argv = slices.Clone(argv)
	for i := range argv {
		argv[i] = strings.ReplaceAll(argv[i], config.CandidateArg, path)
	}
	_, err := command.Run(ctx, a.cfg.Files[file].Timeout, argv, a.Environment(file, cause)...)
	return err
}

// Environment tells a program for which target and file it runs, and why.
func (a *Adapter) Environment(file int, cause adapter.Cause) []string {
	return []string{"LBSYNC_TARGET=" + a.cfg.ID(), "LBSYNC_FILE=" + a.cfg.Files[file].Dest, "LBSYNC_HASH=" + cause.Hash, "LBSYNC_REASON=" + cause.Reason}
}

// Read identifies the process of the pid file, if one is configured.
func (a *Adapter) Read(context.Context) (adapter.Actual, error) {
	if a.cfg.Reload.PIDFile == "" {
		return adapter.Actual{}, nil
	}
	p, err := reload.Identify(a.cfg.Reload.PIDFile, a.cfg.Reload.Signal)
	if errors.Is(err, reload.ErrUnknown) {
		return adapter.Actual{}, nil
	}
	return adapter.Actual{Instance: p.Instance, Started: p.Started}, err
}

// Plan returns an empty plan: there is nothing to do at runtime.
func (a *Adapter) Plan(adapter.Pools, adapter.Actual) adapter.Plan { return adapter.Plan{} }

// Apply has nothing to do.
func (a *Adapter) Apply(context.Context, []adapter.Command, func(adapter.Command, error)) error {
	return nil
}

// Reload runs the command or sends the signal, and with a pid file waits for a new worker.
func (a *Adapter) Reload(ctx context.Context, cause adapter.Cause) error {
	r := a.cfg.Reload
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	tell := func(ctx context.Context) error {
		_, err := command.Run(ctx, r.Timeout, r.Command, a.Environment(0, cause)...)
		return err
	}
	switch {
	case len(r.Command) > 0 && r.PIDFile != "":
		return reload.Verified(ctx, r.PIDFile, tell)
	case len(r.Command) > 0:
		return tell(ctx)
	case r.PIDFile != "":
		return reload.Signal(ctx, r.PIDFile, r.Signal)
	default:
		return nil
	}
}

// Lint has no advice.
func (a *Adapter) Lint() []string { return nil }
