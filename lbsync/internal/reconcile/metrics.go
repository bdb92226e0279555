package reconcile

import (
	"time"

	"github.com/seed-645ce708/gossip/agent/client"
	"github.com/seed-645ce708/gossip/lbsync/internal/decide"
	"github.com/seed-645ce708/gossip/lbsync/internal/metrics"
	"github.com/seed-645ce708/gossip/lbsync/internal/target"
)

// Metrics are what the loop counts.
type Metrics struct {
	sourceUp, lastEvent, members                          *metrics.Vec
	servers, desired, held, suppressed, refused           *metrics.Vec
	actual, inStep, lastSuccess, oldWorkers, configHash   *metrics.Vec
	passes, passDuration, applied                         *metrics.Vec
	commands, reloads, reloadDuration                     *metrics.Vec
	renderErrors, checkFailures, rollbacks, drift, drains *metrics.Vec
}

// NewMetrics adds them to the registry.
func NewMetrics(r *metrics.Registry) *Metrics {
	seconds := []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30}
	return &Metrics{
		sourceUp:   r.Gauge("lbsync_source_up", "Whether the agent is connected."),
		lastEvent:  r.Gauge("lbsync_source_last_event_seconds", "When the members were last listed, in Unix time."),
		members:    r.Gauge("lbsync_members", "Members that the agent knows.", "status"),
		servers:    r.Gauge("lbsync_servers", "Instances of a service by state.", "service", "state"),
		desired:    r.Gauge("lbsync_desired_servers", "Servers that should take traffic.", "service"),
		held:       r.Gauge("lbsync_held_removals", "Removals that are held now: view, max_removal, min_servers or operator.", "service", "reason"),
		suppressed: r.Gauge("lbsync_flap_suppressed", "Servers that are kept out because they come and go.", "service"),
		refused:    r.Gauge("lbsync_members_refused", "Members that are selected but cannot be used.", "service"),

		actual:      r.Gauge("lbsync_actual_servers", "Servers that the running balancer has.", "target", "service"),
		inStep:      r.Gauge("lbsync_in_sync", "Whether the last pass ended with everything in step.", "target"),
		lastSuccess: r.Gauge("lbsync_last_success_timestamp_seconds", "When a pass last ended so, in Unix time.", "target"),
		oldWorkers:  r.Gauge("lbsync_old_workers", "Processes that finish what they had before a reload.", "target"),
		configHash:  r.Gauge("lbsync_config_hash_info", "The content that the files should have.", "target", "hash"),

		passes:        r.Counter("lbsync_passes_total", "Passes by how they ended.", "target", "result"),
		passDuration:  r.Histogram("lbsync_pass_duration_seconds", "How long a pass took.", seconds, "target"),
		applied:       r.Histogram("lbsync_event_to_applied_seconds", "From a change that was seen to a target that is in step with it, waits included.", seconds, "target"),
		commands:      r.Counter("lbsync_runtime_commands_total", "Changes at runtime.", "target", "verb", "result"),
		reloads:       r.Counter("lbsync_reloads_total", "Reloads.", "target", "result", "reason"),
		renderErrors:  r.Counter("lbsync_render_errors_total", "Templates that failed.", "target"),
		checkFailures: r.Counter("lbsync_check_failures_total", "Files that a balancer refused.", "target"),
		rollbacks:     r.Counter("lbsync_rollbacks_total", "Files that were put back.", "target"),
		drift:         r.Counter("lbsync_drift_total", "Changes by a foreign hand that were undone.", "target", "kind"),
		drains:        r.Counter("lbsync_drain_timeouts_total", "Servers that were removed before their sessions ended.", "service"),

		reloadDuration: r.Histogram("lbsync_reload_duration_seconds", "How long a reload took.", seconds, "target"),
	}
}

func (m *Metrics) agent(view client.View) {
	m.sourceUp.Set(truth(view.Connected))
	if !view.Updated.IsZero() {
		m.lastEvent.Set(float64(view.Updated.UnixMilli()) / 1000)
	}
	count := map[string]float64{}
	for _, member := range view.Members {
		count[member.Status]++
	}
	m.members.Replace(count)
}

func (m *Metrics) service(st decide.Status) {
	name := st.Service.Name
	held := map[string]float64{}
	for _, h := range st.Held {
		held[string(h.Rule)]++
	}
	m.held.Replace(held, name)
	m.refused.Set(float64(len(st.Refused)), name)
	m.suppressed.Set(float64(st.Suppress), name)
	if !st.Known {
		return
	}
	states := map[string]float64{}
	ready := 0
	for _, srv := range st.Service.Servers {
		states[string(srv.State)]++
		if !srv.Draining() {
			ready++
		}
	}
	m.servers.Replace(states, name)
	m.desired.Set(float64(ready), name)
}

// pass counts a pass; healed tells that nothing had changed, so that what was done undid a foreign hand's work.
func (m *Metrics) pass(id string, res target.Result, stage target.Stage, healed bool) {
	result := "ok"
	switch {
	case stage != "":
		result = string(stage)
	case res.Waits != "":
		result = "waits"
	}
	m.passes.Add(1, id, result)
	m.passDuration.Observe(res.Took.Seconds(), id)
	m.inStep.Set(truth(result == "ok"), id)
	if result == "ok" {
		m.lastSuccess.Set(float64(time.Now().UnixMilli())/1000, id)
	}
	switch stage {
	case target.StageRender:
		m.renderErrors.Add(1, id)
	case target.StageCheck:
		m.checkFailures.Add(1, id)
	}
	if res.RolledBack {
		m.rollbacks.Add(1, id)
	}
	for _, c := range res.Commands {
		outcome := "ok"
		if c.Err != nil {
			outcome = "failed"
		}
		m.commands.Add(1, id, c.Verb, outcome)
	}
	if healed {
		for kind, n := range map[string]int{"file": int(truth(res.Wrote)), "runtime": len(res.Commands)} {
			if n > 0 {
				m.drift.Add(float64(n), id, kind)
			}
		}
	}
	if res.Hash != "" {
		m.configHash.Replace(map[string]float64{res.Hash[:12]: 1}, id)
	}
	if !res.Seen {
		return
	}
	m.oldWorkers.Set(float64(res.Actual.OldWorkers), id)
	servers := map[string]float64{}
	for _, srv := range res.Actual.Servers {
		if !srv.Out {
			servers[srv.Service]++
		}
	}
	m.actual.Replace(servers, id)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
