// Package adapters knows which adapter drives a target of which kind.
package adapters

import (
	"fmt"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/generic"
	"github.com/seed-645ce708/gossip/lbsync/internal/haproxy"
	"github.com/seed-645ce708/gossip/lbsync/internal/nginx"
	"github.com/seed-645ce708/gossip/lbsync/internal/twemproxy"
)

// New returns the adapter of the target. The only things it reads are templates and the memory.
func New(cfg config.Target, memory adapter.Memory) (adapter.Adapter, error) {
	switch cfg.Kind {
	case config.KindHAProxy:
		return haproxy.New(cfg, memory)
	case config.KindNginx:
		return nginx.New(cfg)
	case config.KindTwemproxy:
		return twemproxy.New(cfg)
	case config.KindTemplate:
		return generic.New(cfg)
	default:
		return nil, fmt.Errorf("target %s: there is no adapter of kind %q", cfg.ID(), cfg.Kind)
	}
}
