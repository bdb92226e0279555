package zone_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

func TestSerial(t *testing.T) {
	t.Parallel()
	m := func() *zone.Member {
		return &zone.Member{Name: "n", Addrs: addrs("10.0.0.1", "10.0.0.2"), Live: true, Tags: map[string]string{"a": "b"},
			Services: []zone.Service{{Name: "web", Port: 80, Weight: 7, Drain: true}, {Name: "api", Port: 81}}}
	}
	z := newZone(t, m())
	same := []struct {
		name string
		edit func(*zone.Member)
	}{
		{"nothing", func(*zone.Member) {}},
		{"order of addresses", func(m *zone.Member) { slices.Reverse(m.Addrs) }},
		{"an address in its IPv6 form", func(m *zone.Member) { m.Addrs[0] = netip.MustParseAddr("::ffff:10.0.0.1") }},
		{"order of services", func(m *zone.Member) { slices.Reverse(m.Services) }},
		{"the weight of a draining service", func(m *zone.Member) { m.Services[0].Weight = 9 }},
	}
	for _, tt := range same {
		n := m()
		tt.edit(n)
		if got := z.Update(adds(n)); got != z {
			t.Errorf("%s: a new zone with serial %d", tt.name, got.Serial())
		}
	}
	if got := z.Update([]zone.Change{{Name: "nobody"}}); got != z {
		t.Error("nobody is gone: a new zone")
	}
	changed := []struct {
		name string
		edit func(*zone.Member)
	}{
		{"address", func(m *zone.Member) { m.Addrs[0] = netip.MustParseAddr("10.0.0.3") }},
		{"tag", func(m *zone.Member) { m.Tags["a"] = "c" }},
		{"port", func(m *zone.Member) { m.Services[1].Port++ }},
		{"no longer draining", func(m *zone.Member) { m.Services[0].Drain = false }},
		{"leaving", func(m *zone.Member) { m.Live = false }},
		{"serves the zone", func(m *zone.Member) { m.Nameserver = true }},
	}
	for _, tt := range changed {
		n := m()
		tt.edit(n)
		if got := z.Update(adds(n)); got.Serial() != z.Serial()+1 {
			t.Errorf("%s: serial %d after %d", tt.name, got.Serial(), z.Serial())
		}
	}
	// RFC 1982: after the largest comes the smallest.
	z, err := zone.New(zone.Config{Origin: "x", Serial: math.MaxUint32})
	if err != nil {
		t.Fatal(err)
	}
	if got := z.Update(adds(m())).Serial(); got != 1 {
		t.Errorf("after the largest serial: got %d, want 1", got)
	}
}

// TestUpdateEqualsRebuild: however a zone came to its members, it answers like one made from them at once; and
// older generations answer as they did.
func TestUpdateEqualsRebuild(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	pick := func(from ...string) string { return from[rng.IntN(len(from))] }
	names := []string{"a", "A", "b", "B", "c.d", "e", strings.Repeat("l", 70), "n1", "n2", "n3", "web1"}
	random := func(name string) *zone.Member {
		m := &zone.Member{Name: name, Addrs: addrs(fmt.Sprintf("10.0.0.%d", rng.IntN(6)), fmt.Sprintf("10.0.1.%d", rng.IntN(200))), Live: rng.IntN(4) > 0,
			Down: rng.IntN(6) == 0, Stale: rng.IntN(6) == 0, Nameserver: rng.IntN(3) == 0, Tags: map[string]string{}}
		for range rng.IntN(3) {
			m.Tags[pick("dc", "DC", "v")] = pick("1", "2", "x", "X", "")
		}
		for range rng.IntN(3) {
			m.Services = append(m.Services, zone.Service{Name: pick("web", "Web", "api"), Port: uint16(rng.IntN(3)),
				Weight: uint16(rng.IntN(3)), Drain: rng.IntN(4) == 0})
		}
		return m
	}
	var questions []string
	for _, n := range []string{"a", "_x41", "b", "_x42", "c_x2ed", "e", "n1", "web1"} {
		questions = append(questions, n+".node.gossip", "ns-"+n+".gossip")
	}
	questions = append(questions, "gossip", "dc.tag.gossip", "v.tag.gossip", "web.service.gossip", "api.service.gossip", "_web._tcp.service.gossip",
		"1.dc.web.service.gossip", "2.v.1.dc.web.service.gossip", "v.1.dc.web.service.gossip", "_web._tcp.gossip", "_services._dns-sd._udp.gossip", "n1._web._tcp.gossip",
		"1.0.0.10.in-addr.arpa", "195.1.0.10.in-addr.arpa", "0.0.10.in-addr.arpa", "dc.web.service.gossip", "1.dc.tag.gossip", "x.dc.tag.gossip", "2.v.tag.gossip")
	dump := func(z *zone.Zone) map[string]any {
		checkOrder(t, z)
		all := map[string]any{"problems": fmt.Sprint(z.Problems()), "members": z.Members()}
		for name, sets := range records(z) {
			all["record "+name] = sets
		}
		for _, r := range z.Reverse() {
			checkOrder(t, r)
			for name, sets := range records(r) {
				all["record "+name] = sets
			}
		}
		for _, q := range questions {
			for text, qtype := range types {
				r := lookup(t, z, q, qtype)
				if r.Answer == nil || r.Answer.SOA == nil { // the serial may differ
					all[q+" "+text] = fmt.Sprint(r.Outcome, lines(r))
				}
			}
		}
		return all
	}
	empty, err := zone.New(zone.Config{Origin: "gossip.", Self: "web1", NodeTTL: 5 * time.Second, Reverse: []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("10.0.1.192/29")}})
	if err != nil {
		t.Fatal(err)
	}
	z, state := empty, map[string]*zone.Member{}
	for range 300 {
		before, want := z, dump(z)
		var changes []zone.Change
		for range 1 + rng.IntN(3) {
			c := zone.Change{Name: names[rng.IntN(len(names))]}
			if rng.IntN(3) > 0 {
				c.Member = random(c.Name)
			}
			changes = append(changes, c)
			if state[c.Name] = c.Member; c.Member == nil {
				delete(state, c.Name)
			}
		}
		z = z.Update(changes)
		checkDiff(t, before, z)
		for i, r := range z.Reverse() {
			checkDiff(t, before.Reverse()[i], r)
		}
		var all []zone.Change
		for name, m := range state {
			all = append(all, zone.Change{Name: name, Member: m})
		}
		if got, fresh := dump(z), dump(empty.Update(all)); !reflect.DeepEqual(got, fresh) {
			for k := range fresh {
				if got[k] != fresh[k] {
					t.Errorf("%s: updated %v, rebuilt %v", k, got[k], fresh[k])
				}
			}
			t.FailNow()
		}
		if got := dump(before); !reflect.DeepEqual(got, want) {
			t.Fatal("an update changed the generation before it")
		}
	}
}

// TestStale: whoever is stale marks every answer that shows it, and shortens what may be cached of it.
func TestStale(t *testing.T) {
	t.Parallel()
	z, err := zone.New(zone.Config{Origin: "gossip.", Self: "web1",
		NodeTTL: 60 * time.Second, ServiceTTL: 30 * time.Second, NegativeTTL: 2 * time.Second, Serial: 100})
	if err != nil {
		t.Fatal(err)
	}
	before := z.Update(adds(cluster()...))
	stale := *cluster()[0] // web1
	stale.Stale = true
	after := before.Update([]zone.Change{{Name: "web1", Member: &stale}})
	if after == before || after.Serial() != before.Serial()+1 {
		t.Fatal("becoming stale is no change")
	}
	if after.Update([]zone.Change{{Name: "web1", Member: &stale}}) != after {
		t.Error("staying stale is a change")
	}
	for _, tt := range []struct {
		question string
		stale    bool
		ttl      uint32 // when fresh
	}{
		{"web1.node.gossip. A", true, 60},
		{"web1.node.gossip. TXT", true, 60},
		{"web2.node.gossip. A", false, 60},
		{"web.service.gossip. A", true, 30},
		{"web.service.gossip. SRV", true, 30},
		{"web.service.gossip. AAAA", true, 30}, // web2 alone has one, but web1's may be missing
		{"us.dc.web.service.gossip. A", false, 30},
		{"eu.dc.web.service.gossip. A", true, 30},
		{"eu.dc.tag.gossip. A", true, 30},
		{"cache.service.gossip. A", false, 30},
	} {
		name, typ, _ := strings.Cut(tt.question, " ")
		was, is := lookup(t, before, name, types[typ]), lookup(t, after, name, types[typ])
		if is.Outcome != zone.Success || is.Answer.Len() != was.Answer.Len() {
			t.Errorf("%s: got %v, was %v", tt.question, lines(is), lines(was))
			continue
		}
		ttl := tt.ttl
		if tt.stale {
			ttl = zone.MaxStaleTTL
		}
		if is.Answer.Stale != tt.stale || is.Answer.TTL != ttl || was.Answer.Stale || was.Answer.TTL != tt.ttl {
			t.Errorf("%s: got stale %t, ttl %d; want %t, %d", tt.question, is.Answer.Stale, is.Answer.TTL, tt.stale, ttl)
		}
	}
	for _, srv := range lookup(t, after, "web.service.gossip.", zone.TypeSRV).Answer.SRV {
		if want := strings.HasPrefix(srv.Target.Name, "web1."); srv.Target.A.Stale != want || (srv.Target.A.TTL == zone.MaxStaleTTL) != want {
			t.Errorf("additional addresses of %s: %+v", srv.Target.Name, srv.Target.A)
		}
	}
}
