package dnsbridge

import (
	"time"

	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// distanceInterval is how often distances are taken anew. Coordinates move slowly, and each time all sets that are ordered
// by distance are sorted again when they are asked for.
const distanceInterval = 5 * time.Second

// byDistance reports whether any answer is ordered by distance, and distances are known.
func (b *Bridge) byDistance() bool {
	if b.cfg.RTT == nil {
		return false
	}
	for _, p := range b.cfg.Services {
		if p.Order == zone.OrderNearest {
			return true
		}
	}
	return b.cfg.Order == zone.OrderNearest
}

// keepDistances takes distances anew from time to time, until the bridge is closed.
func (b *Bridge) keepDistances() {
	tick := time.NewTicker(distanceInterval)
	defer tick.Stop()
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-tick.C:
			b.distances.Store(&zone.Distances{RTT: b.cfg.RTT(), Band: b.cfg.Band})
		}
	}
}
