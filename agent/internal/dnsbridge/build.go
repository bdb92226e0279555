package dnsbridge

import (
	"github.com/seed-645ce708/gossip/agent/internal/view"
	"github.com/seed-645ce708/gossip/dnsserver"
	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// Build returns the zone of the newest view, without serving it.
func Build(cfg Config, store *view.Store) (*zone.Zone, error) {
	cfg.Server, cfg.SigningKeys, cfg.Outward = dnsserver.Config{}, nil, Outward{}
	b, err := New(cfg, store)
	if err != nil {
		return nil, err
	}
	b.apply(store.Load())
	return b.zone.Load(), b.Close()
}
