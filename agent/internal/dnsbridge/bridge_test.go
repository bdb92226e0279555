package dnsbridge

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/seed-645ce708/gossip/agent/internal/view"
	"github.com/seed-645ce708/gossip/dnsserver/dnsclient"
	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

func member(name, addr string, status view.Status, tags ...string) *view.Member {
	m := &view.Member{Name: name, Status: status, Tags: map[string]string{}}
	if addr != "" {
		m.Addr = netip.MustParseAddr(addr)
	}
	for _, tag := range tags {
		k, v, _ := strings.Cut(tag, "=")
		m.Tags[k] = v
	}
	return m
}

func newBridge(t testing.TB, store *view.Store, edit func(*Config)) *Bridge {
	t.Helper()
	cfg := Config{Addr: "127.0.0.1:0", Zone: "gossip.", NodeTTL: 5 * time.Second, NegativeTTL: 2 * time.Second}
	if edit != nil {
		edit(&cfg)
	}
	b, err := New(cfg, store)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func names(t testing.TB, b *Bridge, name string, qtype zone.Type) string {
	t.Helper()
	wire, err := zone.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	r := b.zone.Load().Lookup(wire, qtype)
	if r.Outcome != zone.Success {
		return r.Outcome.String()
	}
	var out []string
	for _, a := range r.Answer.Addrs {
		out = append(out, a.String())
	}
	for _, s := range r.Answer.SRV {
		out = append(out, fmt.Sprintf("%d %d %d %s", s.Priority, s.Weight, s.Port, s.Target.Name))
	}
	return strings.Join(out, ",")
}

// TestConversion says, row by row, what a member's status and tags make of it in DNS.
func TestConversion(t *testing.T) {
	t.Parallel()
	store := view.NewStore("a")
	b := newBridge(t, store, nil)
	members := []*view.Member{
		member("a", "10.0.0.1", view.StatusAlive, "role=web", "port=8080", "dns=8600"),
		member("b", "::ffff:10.0.0.2", view.StatusAlive, "svc:web=8081,w=50,p=1", "role=web", "port=1"),
		member("c", "10.0.0.3", view.StatusAlive, "svc:web=8082,drain"),
		member("d", "10.0.0.4", view.StatusLeaving, "svc:web=8083", "svc:last=1"),
		member("e", "10.0.0.5", view.StatusFailed, "svc:web=8084", "svc:lost=1", "dns=8600"),
		member("f", "10.0.0.6", view.StatusLeft, "svc:web=8085"),
		member("g", "", view.StatusAlive, "role=cache"),
		member("h", "fd00::1", view.StatusAlive, "role=web"),
		member("i", "10.0.0.9", view.StatusNone, "role=web"),
	}
	b.apply(store.Publish(members))
	tests := []struct {
		name  string
		qtype zone.Type
		want  string
	}{
		{"a.node.gossip", zone.TypeA, "10.0.0.1"},
		{"b.node.gossip", zone.TypeA, "10.0.0.2"},
		{"b.node.gossip", zone.TypeAAAA, "nodata"},
		{"c.node.gossip", zone.TypeA, "10.0.0.3"},
		{"d.node.gossip", zone.TypeA, "10.0.0.4"},
		{"e.node.gossip", zone.TypeA, "nodata"},
		{"f.node.gossip", zone.TypeA, "nxdomain"},
		{"g.node.gossip", zone.TypeA, "nodata"},
		{"h.node.gossip", zone.TypeAAAA, "fd00::1"},
		{"i.node.gossip", zone.TypeA, "nxdomain"},
		{"web.service.gossip", zone.TypeA, "10.0.0.1,10.0.0.2"},
		{"web.service.gossip", zone.TypeAAAA, "fd00::1"},
		{"web.service.gossip", zone.TypeSRV, "0 25600 8080 a.node.gossip.,1 12800 8081 b.node.gossip."},
		{"last.service.gossip", zone.TypeSRV, "nodata"},
		{"lost.service.gossip", zone.TypeSRV, "nodata"},
		{"web.role.tag.gossip", zone.TypeA, "10.0.0.1,10.0.0.2"},
		{"ns-a.gossip", zone.TypeA, "10.0.0.1"},
		{"ns-e.gossip", zone.TypeA, "nxdomain"},
	}
	for _, tt := range tests {
		if got := names(t, b, tt.name, tt.qtype); got != tt.want {
			t.Errorf("%s type %d: got %s, want %s", tt.name, tt.qtype, got, tt.want)
		}
	}
	if got := b.zone.Load().Members(); got != 7 {
		t.Errorf("%d members in the zone, want 7", got)
	}
}

// The walk finds what was added, changed and removed, wherever it stands.
func TestChanges(t *testing.T) {
	t.Parallel()
	all := map[string]*view.Member{}
	for _, n := range []string{"a", "b", "c", "d", "B"} {
		all[n] = member(strings.ToLower(n), "10.0.0.1", view.StatusAlive) // B is b, changed
	}
	tests := []struct{ old, now, want string }{
		{"", "", ""},
		{"", "ab", "+a +b"},
		{"ab", "", "-a -b"},
		{"abc", "abc", ""},
		{"abc", "aBc", "+b"},
		{"abc", "ac", "-b"},
		{"ac", "abc", "+b"},
		{"ab", "cd", "-a -b +c +d"},
		{"cd", "ab", "+a +b -c -d"},
		{"acd", "abd", "+b -c"},
	}
	for _, tt := range tests {
		list := func(s string) (out []*view.Member) {
			for _, c := range s {
				out = append(out, all[string(c)])
			}
			return out
		}
		f := follower{log: hclog.NewNullLogger(), members: list(tt.old)}
		var got []string
		changes, _ := f.changes(time.Now(), &view.Snapshot{Members: list(tt.now)})
		for _, c := range changes {
			sign := "+"
			if c.Member == nil {
				sign = "-"
			}
			got = append(got, sign+c.Name)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%q to %q: got %q, want %q", tt.old, tt.now, got, tt.want)
		}
	}
}

func TestSerial(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := view.NewStore("a")
		b := newBridge(t, store, nil)
		base := uint32(time.Now().Unix())
		a := member("a", "10.0.0.1", view.StatusAlive, "role=web")
		b.apply(store.Publish([]*view.Member{a}))
		if got := b.zone.Load().Serial(); got != base+1 {
			t.Errorf("first: %d, want %d", got, base+1)
		}
		// What DNS does not show makes no new serial: a protocol version, a member that left without having been seen.
		same := *a
		same.ProtocolCur = 5
		b.apply(store.Publish([]*view.Member{&same, member("b", "10.0.0.2", view.StatusLeft)}))
		if got := b.zone.Load().Serial(); got != base+1 {
			t.Errorf("nothing changed: %d, want %d", got, base+1)
		}
		b.apply(store.Publish([]*view.Member{member("a", "10.0.0.1", view.StatusLeft), member("b", "10.0.0.2", view.StatusLeft)}))
		if got := b.zone.Load().Serial(); got != base+2 {
			t.Errorf("changed: %d, want %d", got, base+2)
		}
		// A later start is ahead, as long as there was no more than one change a second.
		time.Sleep(3 * time.Second)
		if got := newBridge(t, store, nil).zone.Load().Serial(); got <= base+2 {
			t.Errorf("after a restart: %d, want more than %d", got, base+2)
		}
	})
}

// Each mistake is told once, not with each change, and again after it was gone.
func TestMistakesAreLoggedOnce(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	store := view.NewStore("a")
	b := newBridge(t, store, func(c *Config) { c.Log = hclog.New(&hclog.LoggerOptions{Output: &out}) })
	publish := func(members ...*view.Member) string {
		out.Reset()
		b.apply(store.Publish(members))
		return out.String()
	}
	bad := func(dc string) *view.Member {
		return member("a", "10.0.0.1", view.StatusAlive, "svc:web=http", "svc:api=80", "dc="+dc)
	}
	if got := publish(bad("1")); strings.Count(got, "WARN") != 1 || !strings.Contains(got, `svc:web`) {
		t.Errorf("first: %q", got)
	}
	if got := names(t, b, "api.service.gossip", zone.TypeA); got != "10.0.0.1" {
		t.Errorf("a bad tag hid a good one: %s", got)
	}
	if got := publish(bad("2")); got != "" {
		t.Errorf("again: %q", got)
	}
	publish(member("a", "10.0.0.1", view.StatusAlive))
	if got := publish(bad("1")); strings.Count(got, "WARN") != 1 {
		t.Errorf("after it was mended: %q", got)
	}
	collide := []*view.Member{member("X", "10.0.0.1", view.StatusAlive), member("x", "10.0.0.2", view.StatusAlive)}
	if got := publish(collide...); strings.Count(got, "WARN") != 1 || !strings.Contains(got, "case only") {
		t.Errorf("collision: %q", got)
	}
	if got := publish(append(collide, member("y", "10.0.0.3", view.StatusAlive))...); got != "" {
		t.Errorf("collision again: %q", got)
	}
	// Of a service's spellings too, whichever member is the first to have one.
	spelled := []*view.Member{member("a", "10.0.0.1", view.StatusAlive, "svc:web=80"), member("b", "10.0.0.2", view.StatusAlive, "svc:Web=80"),
		member("c", "10.0.0.3", view.StatusAlive, "role=Web")}
	if got := publish(spelled...); strings.Count(got, "WARN") != 1 || !strings.Contains(got, `\"Web\" differs from \"web\"`) || !strings.Contains(got, "member=b") {
		t.Errorf("spellings: %q", got)
	}
	if got := b.Stats()["problems"]; got != "1" {
		t.Errorf("%s problems in the figures", got)
	}
	if got := publish(spelled[0], spelled[2]); got != "" || b.Stats()["problems"] != "1" {
		t.Errorf("spellings, with another member: %q", got)
	}
	if got := publish(spelled[0]); got != "" || b.Stats()["problems"] != "0" {
		t.Errorf("spelled alike: %q", got)
	}
}

// eventually asks the server until the answer is as wanted.
func eventually(t *testing.T, b *Bridge, name, want string) {
	t.Helper()
	var got string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		a, err := dnsclient.Lookup(t.Context(), b.Addr(), name, "A")
		if err != nil {
			t.Fatal(err)
		}
		var data []string
		for _, r := range a.Records {
			data = append(data, r.Data)
		}
		slices.Sort(data)
		if got = strings.TrimSpace(a.Rcode + " " + strings.Join(data, ",")); got == want {
			return
		}
	}
	t.Fatalf("%s: got %q, want %q", name, got, want)
}

func TestServesTheNewestView(t *testing.T) {
	t.Parallel()
	store := view.NewStore("a")
	a := member("a", "10.0.0.1", view.StatusAlive, "role=web")
	store.Publish([]*view.Member{a})
	var ready atomic.Bool
	b := newBridge(t, store, func(c *Config) { c.Ready = ready.Load })
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	if b.Addr() == "" {
		t.Error("no address")
	}
	eventually(t, b, "web.service.gossip", "SERVFAIL")
	ready.Store(true)
	eventually(t, b, "web.service.gossip", "NOERROR 10.0.0.1")
	store.Publish([]*view.Member{a, member("b", "10.0.0.2", view.StatusAlive, "role=web")})
	eventually(t, b, "web.service.gossip", "NOERROR 10.0.0.1,10.0.0.2")
	store.Publish([]*view.Member{a, member("b", "10.0.0.2", view.StatusFailed, "role=web")})
	eventually(t, b, "web.service.gossip", "NOERROR 10.0.0.1")
	store.Publish(nil)
	eventually(t, b, "web.service.gossip", "NXDOMAIN")
	if got := b.Stats(); got["members"] != "0" || got["zone"] != "gossip." || got["ready"] != "true" || got["replies_nxdomain"] == "" {
		t.Errorf("stats %v", got)
	}
}

func TestAddressTaken(t *testing.T) {
	t.Parallel()
	store := view.NewStore("a")
	first := newBridge(t, store, nil)
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	second := newBridge(t, store, func(c *Config) { c.Addr = first.Addr() })
	err := second.Start()
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), first.Addr()) || !strings.Contains(err.Error(), "-dns-addr") {
		t.Errorf("got %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for want, cfg := range map[string]Config{
		"host:port": {Zone: "gossip."},
		"root":      {Zone: ".", Addr: "127.0.0.1:0"},
		"node ttl":  {Zone: "gossip.", Addr: "127.0.0.1:0", NodeTTL: -1},
	} {
		if _, err := New(cfg, view.NewStore("a")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want an error with %q", cfg, err, want)
		}
	}
}

// BenchmarkChange10000 is the way of one change from the view to the zone at 10,000 members.
func BenchmarkChange10000(b *testing.B) {
	store := view.NewStore("a")
	bridge := newBridge(b, store, nil)
	members := make([]*view.Member, 10_000)
	for i := range members {
		members[i] = member(fmt.Sprintf("node%05d", i), fmt.Sprintf("10.1.%d.%d", i/256, i%256), view.StatusAlive,
			"dc=eu", fmt.Sprintf("svc:s%d=8080", i%50), "env=prod")
	}
	bridge.apply(store.Publish(members))
	wire, err := zone.ParseName("prod.env.tag.gossip")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		next := slices.Clone(members)
		m := *members[5000]
		m.Addr = netip.AddrFrom4([4]byte{10, 2, byte(i >> 8), byte(i)})
		next[5000] = &m
		bridge.apply(store.Publish(next))
		bridge.zone.Load().Lookup(wire, zone.TypeA) // the largest set, built anew
	}
}
