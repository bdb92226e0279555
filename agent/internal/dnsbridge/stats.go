package dnsbridge

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-metrics"

	"github.com/seed-645ce708/gossip/dnsserver"
)

// reading is all that is counted, at one moment, by the names that people and metrics know it by.
type reading struct {
	server dnsserver.Stats
	counts map[string]uint64 // which only grow
	gauges map[string]int
	serial uint32
	age    time.Duration // since the zone changed
}

func (b *Bridge) read() reading {
	r := reading{server: b.server.Stats(), gauges: b.out.gauges(), age: b.age()}
	r.counts = counts(&r.server)
	maps.Copy(r.counts, b.out.counts())
	z := b.zone.Load()
	r.serial = z.Serial()
	r.gauges["members"] = z.Members()
	r.gauges["stale"] = int(b.stale.Load())
	r.gauges["problems"] = int(b.problems.Load())
	r.gauges["connections"] = r.server.Connections
	r.gauges["shedding"] = int(r.server.Shedding)
	return r
}

// counts are those of the server.
func counts(s *dnsserver.Stats) map[string]uint64 {
	m := map[string]uint64{
		"queries_udp":  s.UDP,
		"queries_tcp":  s.TCP,
		"queries_tls":  s.TLS,
		"truncated":    s.Truncated,
		"said_stale":   s.Stale,
		"silent":       s.Silent,
		"errors":       s.Errors,
		"rate_slipped": s.Slipped,
		"rate_dropped": s.Dropped,
		"lost":         s.Lost,
		"cookies_good": s.CookiesGood,
		"cookies_bad":  s.CookiesBad,
		"tcp_refused":  s.TCPRefused,
		"tcp_evicted":  s.TCPEvicted,
		"tls_failed":   s.TLSFailed,
	}
	for rcode, n := range s.Rcodes {
		m["replies_"+strings.ToLower(rcode)] = n
	}
	for qtype, n := range s.Types {
		m["type_"+strings.ToLower(qtype)] = n
	}
	return m
}

// Stats describes the zone and what was asked, for people.
func (b *Bridge) Stats() map[string]string {
	r := b.read()
	stats := map[string]string{
		"addr":   b.Addr(),
		"zone":   b.zone.Load().Origin(),
		"serial": strconv.FormatUint(uint64(r.serial), 10),
		"age":    r.age.Round(time.Second).String(),
		"ready":  strconv.FormatBool(b.ready()),
	}
	latency := &r.server.Latency
	if p99 := latency.Quantile(0.99); p99 > 0 {
		stats["latency_p50"], stats["latency_p99"] = "under "+latency.Quantile(0.5).String(), "under "+p99.String()
		stats["latency"] = latencyText(latency)
	}
	if signed := b.signer.Load().Zones(); len(signed) > 0 {
		stats["signed"] = strings.Join(signed, " ")
	}
	if tls := b.TLSAddr(); tls != "" {
		stats["tls_addr"] = tls
	}
	if trouble := b.out.trouble(); trouble != "" {
		stats["update_error"] = trouble
	}
	for name, n := range r.counts {
		stats[name] = strconv.FormatUint(n, 10)
	}
	for name, n := range r.gauges {
		stats[name] = strconv.Itoa(n)
	}
	return stats
}

// latencyText lists how many queries took less than which time and not less than the one before.
func latencyText(l *dnsserver.Latency) string {
	var parts []string
	for i, n := range l {
		switch limit := dnsserver.LatencyLimit(i); {
		case n == 0:
		case limit == 0:
			parts = append(parts, fmt.Sprintf("more:%d", n))
		default:
			parts = append(parts, fmt.Sprintf("%v:%d", limit, n))
		}
	}
	return strings.Join(parts, " ")
}

// age is how long ago the zone changed.
func (b *Bridge) age() time.Duration { return time.Since(time.Unix(0, b.changed.Load())) }

// measureInterval is how often figures go to the metrics; every second they made half of an idle agent's garbage.
const measureInterval = 5 * time.Second

// measure hands on what was counted, until the bridge is closed: counts as differences, the rest as it stands.
func (b *Bridge) measure() {
	tick := time.NewTicker(measureInterval)
	defer tick.Stop()
	old := b.read()
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-tick.C:
		}
		now := b.read()
		now.emit(metrics.Default(), &old)
		old = now
	}
}

// emit hands on what was counted since an earlier reading, and how things stand now.
func (r *reading) emit(to *metrics.Metrics, old *reading) {
	for name, n := range r.counts {
		if before := old.counts[name]; n > before {
			to.IncrCounter(metricName(name), float32(n-before))
		}
	}
	for name, n := range r.gauges {
		to.SetGauge(metricName(name), float32(n))
	}
	// A figure of a metric is too short for a serial, which counts seconds since 1970 at first.
	to.IncrCounter(metricName("changes"), float32(r.serial-old.serial))
	to.SetGauge(metricName("age"), float32(r.age.Seconds()))
	if latest := r.server.Latency.Since(&old.server.Latency); latest.Quantile(1) > 0 {
		to.SetGauge(metricName("latency_p50"), milliseconds(latest.Quantile(0.5)))
		to.SetGauge(metricName("latency_p99"), milliseconds(latest.Quantile(0.99)))
	}
}

func metricName(name string) []string { return []string{"gossip", "dns", name} }

func milliseconds(d time.Duration) float32 { return float32(d.Seconds() * 1000) }
