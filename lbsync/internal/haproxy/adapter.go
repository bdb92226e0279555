package haproxy

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

// New returns the adapter of an haproxy target. The only thing it reads is the template, if there is one.
func New(cfg config.Target, _ adapter.Memory) (*Adapter, error) {
	base, err := generic.New(cfg)
	return &Adapter{base, cfg}, err
}

// Render writes the backends, or fills the template.
func (a *Adapter) Render(pools adapter.Pools) (adapter.Rendered, error) {
	if a.Templated(0) {
		return a.Adapter.Render(pools)
	}
	return adapter.Rendered{Files: [][]byte{Render(a.cfg.HAProxy.Backends, pools)}}, nil
}

// Check has haproxy -c read the candidate together with the main configuration, unless a check is configured.
func (a *Adapter) Check(ctx context.Context, paths []string) error {
	if a.cfg.Files[0].Check != nil {
		return a.Adapter.Check(ctx, paths)
	}
	return a.Run(ctx, 0, DefaultCheck(a.cfg.HAProxy.Main), paths[0])
}

// Reload asks the master process, or does as generic.Adapter if there is no master socket.
func (a *Adapter) Reload(ctx context.Context) error {
	if a.cfg.Reload.Master == "" {
		return a.Adapter.Reload(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Reload.Timeout)
	defer cancel()
	return Reload(ctx, a.cfg.Reload.Master)
}
