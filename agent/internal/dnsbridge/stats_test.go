package dnsbridge

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-metrics"

	"github.com/seed-645ce708/gossip/agent/internal/view"
	"github.com/seed-645ce708/gossip/dnsserver/dnsclient"
)

// TestFigures: what the info shows the metrics get too, transfers, notifications and updates included, and the handbook has
// it.
func TestFigures(t *testing.T) {
	t.Parallel()
	b := newBridge(t, view.NewStore("a"), func(c *Config) {
		// Nobody is at these addresses, which does not matter here.
		c.Outward = Outward{Transfer: []string{"192.0.2.1"}, Notify: []string{"127.0.0.1:9"}, Server: "127.0.0.1:9", Zone: "example.com", Owner: "x"}
	})
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	before := b.read()
	if a, err := dnsclient.Lookup(t.Context(), b.Addr(), "gossip", "AXFR"); err != nil || a.Rcode != "REFUSED" {
		t.Fatal(a, err)
	}
	now := b.read()
	memory := metrics.NewInmemSink(time.Hour, time.Hour)
	config := metrics.DefaultConfig("serf-agent")
	config.EnableHostname, config.EnableRuntimeMetrics = false, false
	m, err := metrics.New(config, memory)
	if err != nil {
		t.Fatal(err)
	}
	now.emit(m, &before)
	got := memory.Data()[0]
	got.RLock()
	defer got.RUnlock()
	if n := got.Counters["serf-agent.gossip.dns.transfers_refused"].AggregateSample; n == nil || n.Sum != 1 {
		t.Errorf("the refused transfer is not among the metrics: %v", got.Counters)
	}
	handbook, err := os.ReadFile("../../../docs/dns.md")
	if err != nil {
		t.Fatal(err)
	}
	stats := b.Stats()
	for name := range now.gauges {
		if _, ok := got.Gauges["serf-agent.gossip.dns."+name]; !ok {
			t.Errorf("no gauge %s", name)
		}
	}
	for _, name := range append(keys(now.counts), keys(now.gauges)...) {
		if stats[name] == "" {
			t.Errorf("gossip info lacks %s", name)
		}
		if !strings.HasPrefix(name, "replies_") && !strings.HasPrefix(name, "type_") && !strings.Contains(string(handbook), "`"+name+"`") {
			t.Errorf("docs/dns.md lacks `%s`", name)
		}
	}
	for _, name := range []string{"transfers_full", "notifies_sent", "update_failures", "update_held", "problems", "stale"} {
		if stats[name] == "" {
			t.Errorf("nothing counts %s", name)
		}
	}
}

func keys[V any](m map[string]V) (out []string) {
	for k := range m {
		out = append(out, k)
	}
	return out
}
