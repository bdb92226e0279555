package dnsbridge

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/config"
	"github.com/seed-645ce708/gossip/agent/internal/view"
	"github.com/seed-645ce708/gossip/dnsserver/dnsclient"
	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

func TestStatus(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.verdict.Confidence = view.Confidence{LastContact: time.Now()}
		w.members = append(slices.Clone(w.members), member("X", "10.0.0.9", view.StatusAlive), member("x", "10.0.0.8", view.StatusAlive))
		slices.SortFunc(w.members, func(a, b *view.Member) int { return strings.Compare(a.Name, b.Name) })
		w.apply()
		time.Sleep(3 * time.Second)
		w.verdict.Confidence.Isolated, w.verdict.Confidence.Evidence = true, "nobody answers"
		w.set("c", view.StatusFailed)
		time.Sleep(2 * time.Second)
		got := strings.Join(w.bridge.status(), "\n")
		for _, want := range []string{"node=a", "ready=true", "cut_off=true", "evidence=nobody answers", "view_age=5s", "members_alive=6",
			"members_failed=1", "members_left=0", "members_stale=1", "zone_age=2s", "problems=1", `problem=node name "X" differs from "x" in case only`} {
			if !strings.Contains(got+"\n", want+"\n") && !strings.HasPrefix(want, "problem=") || !strings.Contains(got, want) {
				t.Errorf("no %q in\n%s", want, got)
			}
		}
	})
}

// TestStatusIsThereFromTheStart: before there is a view, DNS tells just that.
func TestStatusIsThereFromTheStart(t *testing.T) {
	t.Parallel()
	store := view.NewStore("a")
	var ready atomic.Bool
	b := newBridge(t, store, func(c *Config) { c.Ready = ready.Load })
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	ask := func(name, qtype string) (string, []string) {
		a, err := dnsclient.Lookup(t.Context(), b.Addr(), name, qtype)
		if err != nil {
			t.Fatal(err)
		}
		var data []string
		for _, r := range a.Records {
			data = append(data, r.Data)
		}
		return a.Rcode, data
	}
	for _, name := range []string{"gossip", "web.service.gossip", "a.node.gossip", "nope.gossip"} {
		if rcode, _ := ask(name, "A"); rcode != "SERVFAIL" {
			t.Errorf("%s: %s", name, rcode)
		}
	}
	if rcode, _ := ask("example.com", "A"); rcode != "REFUSED" {
		t.Errorf("elsewhere: %s", rcode)
	}
	if rcode, lines := ask("status.gossip", "TXT"); rcode != "NOERROR" || !slices.ContainsFunc(lines, func(s string) bool { return strings.Contains(s, "ready=false") }) {
		t.Errorf("status: %s %q", rcode, lines)
	}
	ready.Store(true)
	if rcode, _ := ask("nope.gossip", "A"); rcode != "NXDOMAIN" {
		t.Errorf("nothing, but ready: %s", rcode)
	}
}

// TestSettings: what an agent is told about its zone arrives there.
func TestSettings(t *testing.T) {
	t.Parallel()
	c := config.Default()
	c.DNSOrder, c.DNSAnswers, c.DNSServiceTTL = "stable", 2, 3*time.Second
	c.DNSServices = map[string]string{"Web": "ttl=9s", "db": "order=nearest,answers=0"}
	c.DNSReverse = []string{"10.0.0.1/8"}
	cfg, err := Settings(c, "1")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Addr = "127.0.0.1:0"
	store := view.NewStore("a")
	b, err := New(cfg, store)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	b.apply(store.Publish([]*view.Member{member("a", "10.0.0.1", view.StatusAlive, "svc:web=1", "svc:db=2", "svc:api=3")}))
	for name, want := range map[string]*zone.RRset{
		"api.service.gossip":            {TTL: 3, Order: zone.OrderStable, Answers: 2},
		"web.service.gossip":            {TTL: 9, Order: zone.OrderStable, Answers: 2},
		"db.service.gossip":             {TTL: 3, Order: zone.OrderNearest},
		"1.svc_x3aweb.tag.gossip":       {TTL: 3, Order: zone.OrderStable, Answers: 2},
		"1.0.0.10.in-addr.arpa":         {TTL: 5, Order: zone.OrderStable},
		"_services._dns-sd._udp.gossip": {TTL: 3, Order: zone.OrderStable},
	} {
		wire, err := zone.ParseName(name)
		if err != nil {
			t.Fatal(err)
		}
		qtype := zone.TypeA
		if strings.HasSuffix(name, "arpa") || strings.HasPrefix(name, "_") {
			qtype = zone.TypePTR
		}
		got := b.source().Lookup(wire, qtype).Answer
		if got == nil || got.TTL != want.TTL || got.Order != want.Order || got.Answers != want.Answers {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
	for text, edit := range map[string]func(*config.Config){
		"dns_reverse":  func(c *config.Config) { c.DNSReverse = []string{"x"} },
		"dns_services": func(c *config.Config) { c.DNSServices = map[string]string{"web": "x"} },
	} {
		bad := config.Default()
		edit(&bad)
		if _, err := Settings(bad, ""); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

// TestDistancesAreKept: they are taken at the start and from time to time, and only if an answer heeds them.
func TestDistancesAreKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		rtt := func() map[string]time.Duration {
			calls++
			return map[string]time.Duration{"b": time.Duration(calls) * time.Millisecond}
		}
		b := &Bridge{cfg: Config{RTT: rtt, Services: map[string]zone.Policy{"web": {}}}}
		if b.byDistance() {
			t.Error("nothing is ordered by distance")
		}
		b = newBridge(t, view.NewStore("a"), func(c *Config) {
			c.RTT, c.Band = rtt, time.Second
			c.Services = map[string]zone.Policy{"web": {Order: zone.OrderNearest}}
		})
		if !b.byDistance() {
			t.Error("web is ordered by distance")
		}
		b.wg.Go(b.keepDistances)
		time.Sleep(2*distanceInterval + time.Second)
		if d := b.distances.Load(); d.RTT["b"] != 2*time.Millisecond || d.Band != time.Second {
			t.Errorf("after two intervals: %+v", d)
		}
	})
}
