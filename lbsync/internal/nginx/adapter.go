package nginx

import (
	"context"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/generic"
)

// Adapter implements adapter.Adapter.
type Adapter struct {
	*generic.Adapter
	cfg config.Target
}

// New returns the adapter of an nginx target. The only thing it reads is the template, if there is one.
func New(cfg config.Target) (*Adapter, error) {
	base, err := generic.New(cfg)
	return &Adapter{base, cfg}, err
}

// Render writes the upstreams, or fills the template.
func (a *Adapter) Render(pools adapter.Pools) (adapter.Rendered, error) {
	if a.Templated(0) {
		return a.Adapter.Render(pools)
	}
	return adapter.Rendered{Files: [][]byte{Render(a.cfg.Nginx.Upstreams, pools)}}, nil
}

// Check has nginx read the candidate alone, unless a check is configured. What a template makes may belong anywhere;
// only the whole configuration can judge it.
func (a *Adapter) Check(ctx context.Context, paths []string) error {
	f := a.cfg.Files[0]
	if f.Check == nil && !a.Templated(0) && a.cfg.Nginx.Precheck != config.PrecheckNone {
		return CheckAlone(ctx, f.Timeout, paths[0])
	}
	return a.Adapter.Check(ctx, paths)
}

// CheckInstalled has nginx read its whole configuration, unless a check is configured.
func (a *Adapter) CheckInstalled(ctx context.Context) error {
	f := a.cfg.Files[0]
	if f.Installed != nil {
		return a.Adapter.CheckInstalled(ctx)
	}
	return a.Run(ctx, 0, DefaultInstalled(a.cfg.Nginx.Main), f.Dest)
}
