package dnsbridge

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-metrics"

	"github.com/seed-645ce708/gossip/dnsserver"
)

// figures are the counts of the server by the names that people and metrics know them by.
func figures(s *dnsserver.Stats) map[string]uint64 {
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
	z, s := b.zone.Load(), b.server.Stats()
	stats := map[string]string{
		"addr":        b.Addr(),
		"zone":        z.Origin(),
		"serial":      strconv.FormatUint(uint64(z.Serial()), 10),
		"age":         b.age().Round(time.Second).String(),
		"members":     strconv.Itoa(z.Members()),
		"stale":       strconv.FormatInt(b.stale.Load(), 10),
		"problems":    strconv.Itoa(len(z.Problems())),
		"ready":       strconv.FormatBool(b.ready()),
		"connections": strconv.Itoa(s.Connections),
		"shedding":    strconv.FormatUint(s.Shedding, 10),
	}
	if p99 := s.Latency.Quantile(0.99); p99 > 0 {
		stats["latency_p50"], stats["latency_p99"] = "under "+s.Latency.Quantile(0.5).String(), "under "+p99.String()
		stats["latency"] = latencyText(&s.Latency)
	}
	if len(b.cfg.SigningKeys) > 0 {
		stats["signed"] = strings.Join(b.signer.Zones(), " ")
	}
	if tls := b.TLSAddr(); tls != "" {
		stats["tls_addr"] = tls
	}
	for name, n := range figures(&s) {
		stats[name] = strconv.FormatUint(n, 10)
	}
	b.out.addStats(stats)
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

// measureInterval is how often figures go to the metrics.
const measureInterval = time.Second

// measure hands on what was counted, until the bridge is closed: counts as differences, the rest as it stands.
func (b *Bridge) measure() {
	tick := time.NewTicker(measureInterval)
	defer tick.Stop()
	old, serial := b.server.Stats(), b.zone.Load().Serial()
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-tick.C:
		}
		s, z := b.server.Stats(), b.zone.Load()
		before := figures(&old)
		for name, n := range figures(&s) {
			if n > before[name] {
				metrics.IncrCounter(metricName(name), float32(n-before[name]))
			}
		}
		// A figure of a metric is too short for a serial, which counts seconds since 1970 at first.
		metrics.IncrCounter(metricName("changes"), float32(z.Serial()-serial))
		metrics.SetGauge(metricName("age"), float32(b.age().Seconds()))
		metrics.SetGauge(metricName("members"), float32(z.Members()))
		metrics.SetGauge(metricName("connections"), float32(s.Connections))
		metrics.SetGauge(metricName("shedding"), float32(s.Shedding))
		if latest := s.Latency.Since(&old.Latency); latest.Quantile(1) > 0 {
			metrics.SetGauge(metricName("latency_p50"), milliseconds(latest.Quantile(0.5)))
			metrics.SetGauge(metricName("latency_p99"), milliseconds(latest.Quantile(0.99)))
		}
		old, serial = s, z.Serial()
	}
}

func metricName(name string) []string { return []string{"gossip", "dns", name} }

func milliseconds(d time.Duration) float32 { return float32(d.Seconds() * 1000) }
