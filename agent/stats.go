package agent

import (
	"maps"
	"runtime"
	"strconv"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/internal/handler"
	"github.com/seed-645ce708/gossip/agent/internal/state"
)

// Stats returns the agent's figures by section and key: Serf's (Serf reference 4.6), and under "gossip", "view"
// and "dns" what only our agent has.
func (a *Agent) Stats() api.Stats {
	handled := a.handlers.Stats()
	stats := api.Stats{
		"agent": {"name": a.cfg.NodeName},
		"runtime": {
			"os":         runtime.GOOS,
			"arch":       runtime.GOARCH,
			"version":    runtime.Version(),
			"max_procs":  strconv.Itoa(runtime.GOMAXPROCS(0)),
			"goroutines": strconv.Itoa(runtime.NumGoroutine()),
			"cpu_count":  strconv.Itoa(runtime.NumCPU()),
		},
		"serf":           a.serfStats(),
		"tags":           maps.Clone(a.Tags()),
		"event_handlers": handler.Describe(a.handlers.Specs()),
		"gossip": {
			"version":          a.opts.Version,
			"cluster":          a.cfg.Cluster,
			"revision":         strconv.FormatUint(a.view.Load().Rev, 10),
			"handlers_run":     strconv.FormatUint(handled.Total.Run, 10),
			"handlers_failed":  strconv.FormatUint(handled.Total.Failed, 10),
			"handlers_dropped": strconv.FormatUint(handled.Total.Dropped+handled.Lost, 10),
		},
	}
	stats["view"] = a.viewStats()
	if a.dns != nil {
		stats["dns"] = a.dns.Stats()
	}
	return stats
}

func (a *Agent) serfStats() map[string]string {
	var clocks state.Clocks
	var counts state.Counts
	a.core.Inspect(func(s *state.State) { clocks, counts = s.Clocks(), s.Counts() })
	depth := func(q state.Queue) string { return strconv.Itoa(a.gossip.QueueDepth(q)) }
	stats := map[string]string{
		"members":      strconv.Itoa(counts.Total()),
		"failed":       strconv.Itoa(counts.Failed),
		"left":         strconv.Itoa(counts.Left),
		"health_score": strconv.Itoa(a.gossip.HealthScore()),
		"member_time":  strconv.FormatUint(uint64(clocks.Member), 10),
		"event_time":   strconv.FormatUint(uint64(clocks.Event), 10),
		"query_time":   strconv.FormatUint(uint64(clocks.Query), 10),
		"intent_queue": depth(state.QueueIntent),
		"event_queue":  depth(state.QueueEvent),
		"query_queue":  depth(state.QueueQuery),
		"encrypted":    strconv.FormatBool(a.keyring != nil),
	}
	if a.coordinates != nil {
		stats["coordinate_resets"] = strconv.Itoa(a.coordinates.Resets())
	}
	return stats
}
