package zone_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// records returns all that a zone holds, by name and type, without the serial.
func records(z *zone.Zone) map[string]string {
	all := map[string]string{}
	for owner, set := range z.RRsets() {
		if set.Type == zone.TypeSOA {
			continue
		}
		all[fmt.Sprint(owner, " ", set.Type)] = fmt.Sprint(set.Stale, lines(zone.Result{Answer: set}), glue(set))
	}
	for owner, n := range z.Names() {
		all[owner+" exists"] = fmt.Sprint(n.Exists(), n.Dynamic())
	}
	return all
}

func glue(set *zone.RRset) (addrs []netip.Addr) {
	for _, s := range set.SRV {
		addrs = append(append(addrs, s.Target.A.Addrs...), s.Target.AAAA.Addrs...)
	}
	for _, h := range set.NS {
		addrs = append(append(addrs, h.A.Addrs...), h.AAAA.Addrs...)
	}
	return addrs
}

// checkOrder checks that a zone is walked in canonical order, each name once and each as Lookup has it.
func checkOrder(t *testing.T, z *zone.Zone) {
	t.Helper()
	last := []string(nil)
	for owner, n := range z.Names() {
		labels := strings.Split(strings.TrimSuffix(owner, "."), ".")
		slices.Reverse(labels)
		if last != nil && slices.Compare(last, labels) >= 0 {
			t.Fatalf("%s comes after %v", owner, last)
		}
		last = labels
		for set := range n.Sets() {
			if got := lookup(t, z, owner, set.Type); got.Answer != set {
				t.Fatalf("%s %d: another set is looked up, %v", owner, set.Type, got.Outcome)
			}
		}
	}
	first := true
	for owner, set := range z.RRsets() {
		if soa := set.Type == zone.TypeSOA; soa != first || soa && owner != z.Origin() {
			t.Fatalf("%s %d: the SOA record comes first and once", owner, set.Type)
		}
		first = false
	}
}

// checkDiff checks that Diff tells just the names that differ.
func checkDiff(t *testing.T, old, now *zone.Zone) {
	t.Helper()
	told := map[string]bool{}
	for d := range zone.Diff(old, now) {
		if d.Old == d.New || told[d.Owner] {
			t.Fatalf("%s is told twice, or does not differ", d.Owner)
		}
		told[d.Owner] = true
	}
	if old.Serial() == now.Serial() {
		if old != now || len(told) > 0 {
			t.Fatalf("one serial for two zones, of which %v differ", told)
		}
		return
	}
	if now.Serial() != old.Serial()+1 || !told[now.Origin()] {
		t.Fatalf("serial %d after %d; told %v", now.Serial(), old.Serial(), told)
	}
	a, b := records(old), records(now)
	for k := range maps.Keys(b) {
		owner, _, _ := strings.Cut(k, " ")
		if a[k] != b[k] && !told[owner] {
			t.Fatalf("%s differs and is not told", k)
		}
	}
	for k := range maps.Keys(a) {
		owner, _, _ := strings.Cut(k, " ")
		if _, still := b[k]; !still && !told[owner] {
			t.Fatalf("%s is gone and is not told", k)
		}
	}
}

// TestDiffTellsNoMore: a change of one tag of one member of many leaves all names alone that do not show it.
func TestDiffTellsNoMore(t *testing.T) {
	t.Parallel()
	members := fleet(2000)
	z := newZone(t, members...)
	m := *members[1000]
	m.Tags = maps.Clone(m.Tags)
	m.Tags["build"] = "1235"
	var owners []string
	for d := range zone.Diff(z, z.Update(adds(&m))) {
		owners = append(owners, d.Owner)
	}
	want := []string{"gossip.", "node01000._all._tcp.gossip.", "node01000._svc0._tcp.gossip.", "node01000.node.gossip.",
		"1234.build.all.service.gossip.", "1235.build.all.service.gossip.", "1234.build.svc0.service.gossip.", "1235.build.svc0.service.gossip.",
		"1234.build.tag.gossip.", "1235.build.tag.gossip."}
	if !slices.Equal(owners, want) {
		t.Errorf("got  %q\nwant %q", owners, want)
	}
	for d := range zone.Diff(z, z.WithTrust(zone.Doubtful)) {
		t.Errorf("trust is no change, but %s is told", d.Owner)
	}
}

func TestEqual(t *testing.T) {
	t.Parallel()
	z := newZone(t, cluster()...)
	moved := *cluster()[0]
	moved.Addrs = addrs("10.9.9.9")
	now := z.Update(adds(&moved))
	for _, tt := range []struct {
		question string
		equal    bool
	}{
		{"web.service.gossip. SRV", true}, // its target's address is another set
		{"web.service.gossip. A", false},
		{"web1.node.gossip. A", false},
		{"web1.node.gossip. TXT", true},
		{"gossip. SOA", false},
		{"gossip. NS", true},
		{"_web._tcp.gossip. PTR", true},
	} {
		name, typ, _ := strings.Cut(tt.question, " ")
		a, b := lookup(t, z, name, types[typ]).Answer, lookup(t, now, name, types[typ]).Answer
		if a.Equal(b) != tt.equal || !a.Equal(a) || a.Equal(nil) {
			t.Errorf("%s: equal %t", tt.question, a.Equal(b))
		}
	}
}

// TestReverse: the networks of the operator become zones of whole octets and nibbles, and nothing beside them is answered.
func TestReverse(t *testing.T) {
	t.Parallel()
	var networks []netip.Prefix
	for _, s := range []string{"10.1.2.3/16", "10.1.7.0/24", "192.0.2.64/30", "172.16.0.0/15", "fd00:1::/32", "fd00:2:8000::/34"} {
		networks = append(networks, netip.MustParsePrefix(s))
	}
	empty, err := zone.New(zone.Config{Origin: "gossip.", Self: "a", NodeTTL: 5 * time.Second, NegativeTTL: 2 * time.Second, Reverse: networks, Serial: 100})
	if err != nil {
		t.Fatal(err)
	}
	var origins []string
	for _, r := range empty.Reverse() {
		origins = append(origins, r.Origin())
	}
	slices.Sort(origins)
	if want := []string{"1.0.0.0.0.0.d.f.ip6.arpa.", "1.10.in-addr.arpa.", "16.172.in-addr.arpa.", "17.172.in-addr.arpa.",
		"64.2.0.192.in-addr.arpa.", "65.2.0.192.in-addr.arpa.", "66.2.0.192.in-addr.arpa.", "67.2.0.192.in-addr.arpa.",
		"8.2.0.0.0.0.0.d.f.ip6.arpa.", "9.2.0.0.0.0.0.d.f.ip6.arpa.", "a.2.0.0.0.0.0.d.f.ip6.arpa.", "b.2.0.0.0.0.0.d.f.ip6.arpa."}; !slices.Equal(origins, want) {
		t.Errorf("zones: got %q", origins)
	}
	member := func(name string, addresses ...string) *zone.Member {
		return &zone.Member{Name: name, Addrs: addrs(addresses...), Live: name != "b", Nameserver: name == "a"}
	}
	z := empty.Update(adds(member("a", "10.1.0.1", "fd00:1::1"), member("b", "10.1.0.1", "192.0.2.65"), member("c", "10.2.0.1")))
	ask := func(z *zone.Zone, question string, outcome zone.Outcome, origin string, want ...string) {
		t.Helper()
		name, typ, _ := strings.Cut(question, " ")
		got := lookup(t, z, name, types[typ])
		if got.Outcome != outcome || !slices.Equal(lines(got), append([]string{}, want...)) || got.Zone == nil != (origin == "") || got.Zone != nil && got.Zone.Origin() != origin {
			t.Errorf("%s: got %v %q", question, got.Outcome, lines(got))
		}
	}
	const ten = "1.10.in-addr.arpa."
	ask(z, "1.0.1.10.in-addr.arpa. PTR", zone.Success, ten, "5 PTR a.node.gossip.", "5 PTR b.node.gossip.")
	ask(z, "1.0.1.10.IN-ADDR.arpa. A", zone.NoData, ten)
	ask(z, "0.1.10.in-addr.arpa. PTR", zone.NoData, ten)
	ask(z, "2.0.1.10.in-addr.arpa. PTR", zone.NXDomain, ten)
	ask(z, ten+" NS", zone.Success, ten, "5 NS ns-a.gossip.")
	ask(z, ten+" SOA", zone.Success, ten, "2 SOA ns-a.gossip. hostmaster.gossip. 101 60 10 86400 2")
	ask(z, "1.0.2.10.in-addr.arpa. PTR", zone.Refused, "")
	ask(z, "65.2.0.192.in-addr.arpa. PTR", zone.Success, "65.2.0.192.in-addr.arpa.", "5 PTR b.node.gossip.")
	ask(z, "65.2.0.192.in-addr.arpa. SOA", zone.Success, "65.2.0.192.in-addr.arpa.", "2 SOA ns-a.gossip. hostmaster.gossip. 101 60 10 86400 2")
	ask(z, "66.2.0.192.in-addr.arpa. PTR", zone.NoData, "66.2.0.192.in-addr.arpa.")
	ask(z, "68.2.0.192.in-addr.arpa. PTR", zone.Refused, "")
	ask(z, "1."+strings.Repeat("0.", 23)+"1.0.0.0.0.0.d.f.ip6.arpa. PTR", zone.Success, "1.0.0.0.0.0.d.f.ip6.arpa.", "5 PTR a.node.gossip.")

	// What does not change an address changes no serial there; an address that moves does.
	tagged := member("b", "10.1.0.1", "192.0.2.65")
	tagged.Tags = map[string]string{"k": "v"}
	next := z.Update(adds(tagged))
	if next.Serial() != 102 {
		t.Errorf("serial %d", next.Serial())
	}
	for i, r := range next.Reverse() {
		if r != z.Reverse()[i] {
			t.Errorf("%s changed by a tag", r.Origin())
		}
	}
	next = next.Update(adds(member("b", "10.1.0.2")))
	ask(next, "1.0.1.10.in-addr.arpa. PTR", zone.Success, ten, "5 PTR a.node.gossip.")
	ask(next, "2.0.1.10.in-addr.arpa. PTR", zone.Success, ten, "5 PTR b.node.gossip.")
	ask(next, "65.2.0.192.in-addr.arpa. PTR", zone.NoData, "65.2.0.192.in-addr.arpa.")
	for i, r := range next.Reverse() {
		want := z.Reverse()[i].Serial()
		if r.Origin() == ten || r.Origin() == "65.2.0.192.in-addr.arpa." {
			want++
		}
		if r.Serial() != want {
			t.Errorf("%s: serial %d, want %d", r.Origin(), r.Serial(), want)
		}
	}
	if next = next.Update([]zone.Change{{Name: "b"}}).WithTrust(zone.Doubtful); next.Reverse()[0].Trust() != zone.Doubtful {
		t.Error("zones of addresses are trusted more than the names")
	}
	ask(next, "2.0.1.10.in-addr.arpa. PTR", zone.Unsure, ten)

	for _, bad := range []zone.Config{
		{Origin: "1.10.in-addr.arpa", Reverse: networks},
		{Origin: "x", Reverse: []netip.Prefix{{}}},
		{Origin: "x", Reverse: slices.Repeat(networks[3:4], 1)[:0]},
	} {
		if len(bad.Reverse) == 0 {
			for i := range 10 {
				bad.Reverse = append(bad.Reverse, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i)}), 17))
			}
		}
		if _, err := zone.New(bad); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}
