package agent

import (
	"errors"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-metrics"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/internal/coordinate"
)

// pinger feeds the coordinates with what memberlist's probes measure.
type pinger struct {
	cache *coordinate.Cache
	log   hclog.Logger
}

// AckPayload returns our coordinate, to be sent with an acknowledgement.
func (p pinger) AckPayload() []byte { return p.cache.AckPayload() }

// PingComplete takes in what a probe measured.
func (p pinger) PingComplete(node string, rtt time.Duration, payload []byte) {
	if rtt == 0 {
		metrics.IncrCounter([]string{"serf", "coordinate", "zero-rtt"}, 1)
	}
	before := p.cache.Self()
	err := p.cache.PingComplete(node, rtt, payload)
	var version *coordinate.VersionError
	switch {
	case err == nil:
		metrics.AddSample([]string{"serf", "coordinate", "adjustment-ms"}, float32(p.cache.Self().DistanceTo(before).Seconds()*1000))
	case errors.As(err, &version):
		p.log.Error(err.Error(), "member", node)
	default:
		metrics.IncrCounter([]string{"serf", "coordinate", "rejected"}, 1)
		p.log.Trace("coordinate rejected", "member", node, "err", err)
	}
}

// Coordinate returns the network coordinate of a member, if coordinates are on and it is known; ours always is.
func (a *Agent) Coordinate(node string) (api.Coordinate, bool) {
	if a.coordinates == nil {
		return api.Coordinate{}, false
	}
	c, ok := a.coordinates.Get(node)
	if !ok {
		return api.Coordinate{}, false
	}
	return api.Coordinate{Vec: c.Vec[:], Error: c.Error, Adjustment: c.Adjustment, Height: c.Height}, true
}

// forget drops what is known of a member beyond its record.
func (a *Agent) forget(node string) {
	if a.coordinates != nil {
		a.coordinates.Forget(node)
	}
}
