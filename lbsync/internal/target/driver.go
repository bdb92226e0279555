package target

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-645ce708/gossip/lbsync/internal/command"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/desired"
	"github.com/seed-645ce708/gossip/lbsync/internal/haproxy"
	"github.com/seed-645ce708/gossip/lbsync/internal/nginx"
	"github.com/seed-645ce708/gossip/lbsync/internal/reload"
	"github.com/seed-645ce708/gossip/lbsync/internal/render"
)

// Driver is what a kind of load balancer brings: its file, its checks, its reload.
type Driver interface {
	// Render returns the file for the services: the same bytes for the same services.
	Render(services map[string]desired.Service) ([]byte, error)
	// Check has the balancer judge a candidate that lies at path and is not installed.
	Check(ctx context.Context, path string) error
	// CheckInstalled has the balancer judge its whole configuration with the file in place.
	CheckInstalled(ctx context.Context) error
	// Reloads tells whether there is anything to reload.
	Reloads() bool
	// Reload makes the balancer load the file. Nil means that it did, as far as can be known; the error is
	// reload.ErrNotRunning if there is no balancer to tell.
	Reload(ctx context.Context) error
}

// NewDriver returns the driver of the target's kind. The only thing it reads is the template, if there is
// one.
func NewDriver(cfg config.Target) (Driver, error) {
	d := driver{cfg: cfg}
	if cfg.File.Template != "" {
		var err error
		if d.template, err = render.Load(cfg.File.Template); err != nil {
			return nil, fmt.Errorf("target %s: %w", cfg.ID(), err)
		}
	}
	switch cfg.Kind {
	case config.KindHAProxy:
		return haproxyDriver{d}, nil
	case config.KindNginx:
		return nginxDriver{d}, nil
	default:
		return nil, fmt.Errorf("target %s: there is no driver of kind %q", cfg.ID(), cfg.Kind)
	}
}

// driver is what the kinds have in common: the operator's template, checks and reload command.
type driver struct {
	cfg      config.Target
	template *render.Template // nil renders the built-in form
}

func (d driver) fill(services map[string]desired.Service) ([]byte, error) {
	return d.template.Execute(render.Data{
		Target:   render.Target{Kind: d.cfg.Kind, Name: d.cfg.Name},
		Services: services,
		Backends: d.cfg.Backends,
	})
}

// run runs a check; an empty argument vector is no check.
func (d driver) run(ctx context.Context, argv []string, candidate string) error {
	if len(argv) == 0 {
		return nil
	}
	argv = slices.Clone(argv)
	for i := range argv {
		argv[i] = strings.ReplaceAll(argv[i], config.CandidateArg, candidate)
	}
	_, err := command.Run(ctx, d.cfg.File.Timeout, argv)
	return err
}

func (d driver) Reloads() bool {
	r := d.cfg.Reload
	return r.Master != "" || len(r.Command) > 0 || r.PIDFile != ""
}

func (d driver) Reload(ctx context.Context) error {
	r := d.cfg.Reload
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	tell := func(ctx context.Context) error {
		_, err := command.Run(ctx, r.Timeout, r.Command)
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

type haproxyDriver struct{ driver }

func (d haproxyDriver) Render(services map[string]desired.Service) ([]byte, error) {
	if d.template != nil {
		return d.fill(services)
	}
	return haproxy.Render(d.cfg.Backends, services), nil
}

func (d haproxyDriver) Check(ctx context.Context, path string) error {
	argv := d.cfg.File.Check
	if argv == nil {
		argv = haproxy.DefaultCheck(d.cfg.Main)
	}
	return d.run(ctx, argv, path)
}

func (d haproxyDriver) CheckInstalled(ctx context.Context) error {
	return d.run(ctx, d.cfg.File.Installed, d.cfg.File.Dest)
}

func (d haproxyDriver) Reload(ctx context.Context) error {
	if d.cfg.Reload.Master == "" {
		return d.driver.Reload(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Reload.Timeout)
	defer cancel()
	return haproxy.Reload(ctx, d.cfg.Reload.Master)
}

type nginxDriver struct{ driver }

func (d nginxDriver) Render(services map[string]desired.Service) ([]byte, error) {
	if d.template != nil {
		return d.fill(services)
	}
	return nginx.Render(d.cfg.Backends, services), nil
}

func (d nginxDriver) Check(ctx context.Context, path string) error {
	if d.cfg.File.Check == nil && d.template == nil {
		return nginx.CheckAlone(ctx, d.cfg.File.Timeout, path)
	}
	// What a template makes may belong anywhere; only the whole configuration can judge it.
	return d.run(ctx, d.cfg.File.Check, path)
}

func (d nginxDriver) CheckInstalled(ctx context.Context) error {
	argv := d.cfg.File.Installed
	if argv == nil {
		argv = nginx.DefaultInstalled(d.cfg.Main)
	}
	return d.run(ctx, argv, d.cfg.File.Dest)
}
