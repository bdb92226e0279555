package zone_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

func newZone(t testing.TB, members ...*zone.Member) *zone.Zone {
	t.Helper()
	z, err := zone.New(zone.Config{
		Origin: "gossip.", Self: "web1",
		NodeTTL: 5 * time.Second, ServiceTTL: 0, NegativeTTL: 2 * time.Second, Serial: 100,
	})
	if err != nil {
		t.Fatal(err)
	}
	return z.Update(adds(members...))
}

func adds(members ...*zone.Member) []zone.Change {
	var changes []zone.Change
	for _, m := range members {
		changes = append(changes, zone.Change{Name: m.Name, Member: m})
	}
	return changes
}

func addrs(texts ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range texts {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// cluster is the zone of the lookup tests.
func cluster() []*zone.Member {
	web := func(port, weight, priority uint16) zone.Service {
		return zone.Service{Name: "web", Port: port, Weight: weight, Priority: priority}
	}
	return []*zone.Member{
		{Name: "web1", Addrs: addrs("10.0.0.1"), Live: true, Services: []zone.Service{web(8080, 100, 0)},
			Tags: map[string]string{"dc": "eu", "version": "2.1", "role": "web"}},
		{Name: "web2", Addrs: addrs("10.0.0.2", "fd00::2"), Live: true, Nameserver: true, Services: []zone.Service{web(8081, 50, 1)},
			Tags: map[string]string{"dc": "us", "version": "2.1"}},
		{Name: "web3", Addrs: addrs("::ffff:10.0.0.3"), Live: true, Tags: map[string]string{"dc": "eu"},
			Services: []zone.Service{{Name: "web", Port: 8082, Weight: 100, Drain: true}, {Name: "old", Port: 1, Drain: true}}},
		{Name: "web4", Addrs: addrs("10.0.0.4"), Live: false, Services: []zone.Service{web(8083, 100, 0), {Name: "last", Port: 2}},
			Tags: map[string]string{"dc": "asia"}},
		{Name: "cache1", Addrs: addrs("10.0.0.5"), Live: true, Services: []zone.Service{{Name: "cache"}}, Tags: map[string]string{"empty": ""}},
		{Name: "six", Addrs: addrs("fd00::6"), Live: true, Services: []zone.Service{{Name: "v6", Port: 53, Weight: 1}}},
		{Name: "db1.example", Addrs: addrs("10.0.0.7"), Live: true, Services: []zone.Service{{Name: "My DB", Port: 5432, Weight: 0}}},
		{Name: "nowhere", Live: true, Services: []zone.Service{{Name: "dark", Port: 9}}},
	}
}

// lines writes an answer in zone-file form, without the owner, which is the name asked for.
func lines(r zone.Result) []string {
	out := []string{}
	if r.Answer == nil {
		return out
	}
	add := func(t, format string, args ...any) {
		out = append(out, fmt.Sprintf("%d %s ", r.Answer.TTL, t)+fmt.Sprintf(format, args...))
	}
	for _, a := range r.Answer.Addrs {
		add(map[zone.Type]string{zone.TypeA: "A", zone.TypeAAAA: "AAAA"}[r.Answer.Type], "%v", a)
	}
	for _, s := range r.Answer.SRV {
		add("SRV", "%d %d %d %s", s.Priority, s.Weight, s.Port, s.Target.Name)
	}
	for _, s := range r.Answer.TXT {
		add("TXT", "%q", s)
	}
	for _, n := range r.Answer.Names {
		add("PTR", "%s", n)
	}
	for _, h := range r.Answer.NS {
		add("NS", "%s", h.Name)
	}
	if s := r.Answer.SOA; s != nil {
		add("SOA", "%s %s %d %d %d %d %d", s.Primary, s.Mailbox, s.Serial, s.Refresh, s.Retry, s.Expire, s.Minimum)
	}
	return out
}

func lookup(t testing.TB, z *zone.Zone, name string, qtype zone.Type) zone.Result {
	t.Helper()
	wire, err := zone.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	return z.Lookup(wire, qtype)
}

var types = map[string]zone.Type{"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "MX": 15, "PTR": 12, "TXT": 16, "AAAA": 28, "SRV": 33, "ANY": 255}

func TestLookup(t *testing.T) {
	t.Parallel()
	z := newZone(t, cluster()...)
	tests := []struct {
		question string // name and type
		outcome  zone.Outcome
		want     []string
	}{
		// Nodes.
		{"web1.node.gossip. A", zone.Success, []string{"5 A 10.0.0.1"}},
		{"WEB1.Node.GoSSiP. A", zone.Success, []string{"5 A 10.0.0.1"}},
		{"web1.node.gossip. AAAA", zone.NoData, nil},
		{"web2.node.gossip. AAAA", zone.Success, []string{"5 AAAA fd00::2"}},
		{"web3.node.gossip. A", zone.Success, []string{"5 A 10.0.0.3"}},
		{"web3.node.gossip. AAAA", zone.NoData, nil},
		{"web4.node.gossip. A", zone.Success, []string{"5 A 10.0.0.4"}},
		{"six.node.gossip. A", zone.NoData, nil},
		{"nowhere.node.gossip. A", zone.NoData, nil},
		{"web1.node.gossip. SRV", zone.NoData, nil},
		{"web1.node.gossip. MX", zone.NoData, nil},
		{"web1.node.gossip. TXT", zone.Success, []string{`5 TXT ["dc=eu"]`, `5 TXT ["role=web"]`, `5 TXT ["version=2.1"]`}},
		{"six.node.gossip. TXT", zone.NoData, nil},
		{"db1_x2eexample.node.gossip. A", zone.Success, []string{"5 A 10.0.0.7"}},
		{"web9.node.gossip. A", zone.NXDomain, nil},
		{"x.web1.node.gossip. A", zone.NXDomain, nil},

		// Services.
		{"web.service.gossip. A", zone.Success, []string{"0 A 10.0.0.1", "0 A 10.0.0.2"}},
		{"web.service.gossip. AAAA", zone.Success, []string{"0 AAAA fd00::2"}},
		{"web.service.gossip. SRV", zone.Success, []string{"0 SRV 0 25600 8080 web1.node.gossip.", "0 SRV 1 12800 8081 web2.node.gossip."}},
		{"web.service.gossip. TXT", zone.NoData, nil},
		{"_web._tcp.service.gossip. SRV", zone.Success, []string{"0 SRV 0 25600 8080 web1.node.gossip.", "0 SRV 1 12800 8081 web2.node.gossip."}},
		{"_Web._UDP.service.gossip. SRV", zone.Success, []string{"0 SRV 0 25600 8080 web1.node.gossip.", "0 SRV 1 12800 8081 web2.node.gossip."}},
		{"_web._tcp.service.gossip. A", zone.NoData, nil},
		{"_web._sctp.service.gossip. SRV", zone.NXDomain, nil},
		{"web._tcp.service.gossip. SRV", zone.NXDomain, nil},
		{"_._tcp.service.gossip. SRV", zone.NXDomain, nil},
		{"_nope._tcp.service.gossip. SRV", zone.NXDomain, nil},
		{"x._web._tcp.service.gossip. SRV", zone.NXDomain, nil},
		{"cache.service.gossip. A", zone.Success, []string{"0 A 10.0.0.5"}},
		{"cache.service.gossip. SRV", zone.NoData, nil},
		{"_cache._tcp.service.gossip. SRV", zone.NoData, nil},
		{"v6.service.gossip. A", zone.NoData, nil},
		{"v6.service.gossip. AAAA", zone.Success, []string{"0 AAAA fd00::6"}},
		{"dark.service.gossip. A", zone.NoData, nil},
		{"dark.service.gossip. SRV", zone.Success, []string{"0 SRV 0 256 9 nowhere.node.gossip."}},
		{"my_x20db.service.gossip. SRV", zone.Success, []string{"0 SRV 0 256 5432 db1_x2eexample.node.gossip."}},
		{"nope.service.gossip. A", zone.NXDomain, nil},

		// Drained or leaving: gone from positive answers, while the name remains.
		{"old.service.gossip. A", zone.NoData, nil},
		{"old.service.gossip. SRV", zone.NoData, nil},
		{"last.service.gossip. A", zone.NoData, nil},
		{"asia.dc.tag.gossip. A", zone.NoData, nil},
		{"asia.dc.web.service.gossip. A", zone.NoData, nil},

		// Services by tag.
		{"eu.dc.web.service.gossip. A", zone.Success, []string{"0 A 10.0.0.1"}},
		{"US.DC.WEB.service.gossip. SRV", zone.Success, []string{"0 SRV 1 12800 8081 web2.node.gossip."}},
		{"2_x2e1.version.web.service.gossip. A", zone.Success, []string{"0 A 10.0.0.1", "0 A 10.0.0.2"}},
		{"2_x2e1.version.eu.dc.web.service.gossip. A", zone.Success, []string{"0 A 10.0.0.1"}},
		{"2_x2e1.version.mars.dc.web.service.gossip. A", zone.NXDomain, nil},
		{"mars.dc.web.service.gossip. A", zone.NXDomain, nil},
		{"eu.dc.nope.service.gossip. A", zone.NXDomain, nil},
		{"eu.dc.2_x2e1.version.eu.dc.web.service.gossip. A", zone.Success, []string{"0 A 10.0.0.1"}},
		{"2_x2e1.version.us.dc.web.service.gossip. SRV", zone.Success, []string{"0 SRV 1 12800 8081 web2.node.gossip."}},
		{"2_x2e1.version.asia.dc.web.service.gossip. A", zone.NXDomain, nil},
		{"eu.dc.web.role.web.service.gossip. AAAA", zone.NoData, nil},

		// Tags.
		{"eu.dc.tag.gossip. A", zone.Success, []string{"0 A 10.0.0.1", "0 A 10.0.0.3"}},
		{"us.dc.tag.gossip. AAAA", zone.Success, []string{"0 AAAA fd00::2"}},
		{"eu.dc.tag.gossip. SRV", zone.NoData, nil},
		{"mars.dc.tag.gossip. A", zone.NXDomain, nil},
		{"x.empty.tag.gossip. A", zone.NXDomain, nil},

		// Empty non-terminals.
		{"node.gossip. A", zone.NoData, nil},
		{"service.gossip. A", zone.NoData, nil},
		{"tag.gossip. A", zone.NoData, nil},
		{"_tcp.service.gossip. SRV", zone.NoData, nil},
		{"dc.tag.gossip. A", zone.NoData, nil},
		{"dc.web.service.gossip. A", zone.NoData, nil},
		{"version.eu.dc.web.service.gossip. A", zone.NoData, nil},
		{"nope.tag.gossip. A", zone.NXDomain, nil},
		{"nope.web.service.gossip. A", zone.NXDomain, nil},
		{"version.mars.dc.web.service.gossip. A", zone.NXDomain, nil},

		{"role.eu.dc.web.service.gossip. A", zone.NoData, nil},
		{"role.us.dc.web.service.gossip. A", zone.NXDomain, nil},
		{"x.role.eu.dc.web.service.gossip. A", zone.NXDomain, nil},
		{"role.2_x2e1.version.eu.dc.web.service.gossip. A", zone.NoData, nil},
		{"_udp.gossip. A", zone.NoData, nil},
		{"_dns-sd._udp.gossip. A", zone.NoData, nil},

		// Browsing.
		{"_services._dns-sd._udp.gossip. PTR", zone.Success, []string{"0 PTR _dark._tcp.gossip.", "0 PTR _my_x20db._tcp.gossip.", "0 PTR _v6._tcp.gossip.", "0 PTR _web._tcp.gossip."}},
		{"b._dns-sd._udp.gossip. PTR", zone.Success, []string{"5 PTR gossip."}},
		{"lb._dns-sd._udp.gossip. PTR", zone.Success, []string{"5 PTR gossip."}},
		{"x._dns-sd._udp.gossip. PTR", zone.NXDomain, nil},
		{"_web._tcp.gossip. PTR", zone.Success, []string{"0 PTR web1._web._tcp.gossip.", "0 PTR web2._web._tcp.gossip."}},
		{"_WEB._tcp.gossip. SRV", zone.Success, []string{"0 SRV 0 25600 8080 web1.node.gossip.", "0 SRV 1 12800 8081 web2.node.gossip."}},
		{"_web._tcp.gossip. TXT", zone.NoData, nil},
		{"_web._udp.gossip. PTR", zone.NXDomain, nil},
		{"_cache._tcp.gossip. PTR", zone.NoData, nil},
		{"_old._tcp.gossip. PTR", zone.NoData, nil},
		{"_nope._tcp.gossip. PTR", zone.NXDomain, nil},
		{"web2._web._tcp.gossip. SRV", zone.Success, []string{"0 SRV 1 12800 8081 web2.node.gossip."}},
		{"web2._web._tcp.gossip. TXT", zone.Success, []string{`0 TXT ["dc=us" "version=2.1"]`}},
		{"six._v6._tcp.gossip. TXT", zone.Success, []string{`0 TXT [""]`}},
		{"web2._web._tcp.gossip. A", zone.NoData, nil},
		{"web3._web._tcp.gossip. SRV", zone.NXDomain, nil},
		{"web4._web._tcp.gossip. SRV", zone.NXDomain, nil},
		{"cache1._cache._tcp.gossip. SRV", zone.NXDomain, nil},

		// Where the server says how it is.
		{"status.gossip. TXT", zone.Dynamic, nil},
		{"status.gossip. A", zone.Dynamic, nil},
		{"x.status.gossip. A", zone.NXDomain, nil},

		// The apex, and who serves it.
		{"gossip. SOA", zone.Success, []string{"2 SOA ns-web1.gossip. hostmaster.gossip. 101 60 10 86400 2"}},
		{"gossip. NS", zone.Success, []string{"5 NS ns-web2.gossip."}},
		{"gossip. A", zone.NoData, nil},
		{"ns-web2.gossip. A", zone.Success, []string{"5 A 10.0.0.2"}},
		{"ns-web2.gossip. AAAA", zone.Success, []string{"5 AAAA fd00::2"}},
		{"ns-web1.gossip. A", zone.Success, []string{"5 A 10.0.0.1"}},
		{"ns-web3.gossip. A", zone.NXDomain, nil},
		{"ns-web2.gossip. TXT", zone.NoData, nil},
		{"nope.gossip. A", zone.NXDomain, nil},

		// Elsewhere.
		{"example.com. A", zone.Refused, nil},
		{"xgossip. A", zone.Refused, nil},
		{"gossip.example. A", zone.Refused, nil},
		{". NS", zone.Refused, nil},
	}
	for _, tt := range tests {
		t.Run(tt.question, func(t *testing.T) {
			t.Parallel()
			name, qtype, _ := strings.Cut(tt.question, " ")
			got := lookup(t, z, name, types[qtype])
			if got.Outcome != tt.outcome {
				t.Errorf("outcome: got %v, want %v", got.Outcome, tt.outcome)
			}
			if got := lines(got); !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestLookupOfWhatIsNoName(t *testing.T) {
	t.Parallel()
	z := newZone(t, cluster()...)
	if got := z.Lookup([]byte("\x0bweb\x00service\x06gossip\x00"), zone.TypeA); got.Outcome != zone.NXDomain {
		t.Errorf("a zero within a label: got %v", got.Outcome)
	}
	for _, wire := range []string{"", "\x01", "\x03ab", "\x06gossip", "\x06gossip\x00\x00", "\x40" + strings.Repeat("a", 64) + "\x00",
		"\xc0\x0c", strings.Repeat("\x01a", 127) + "\x01", strings.Repeat("\x01a", 128) + "\x00"} {
		if got := z.Lookup([]byte(wire), zone.TypeA); got.Outcome != zone.Refused {
			t.Errorf("%q: got %v, want refused", wire, got.Outcome)
		}
	}
}

func TestSharedAddressIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	var members []*zone.Member
	for i := range 3 {
		members = append(members, &zone.Member{Name: fmt.Sprint("n", i), Addrs: addrs("127.0.0.1", "127.0.0.1"), Live: true,
			Services: []zone.Service{{Name: "web", Port: uint16(8000 + i)}}})
	}
	z := newZone(t, members...)
	if got, want := lines(lookup(t, z, "web.service.gossip", zone.TypeA)), []string{"0 A 127.0.0.1"}; !slices.Equal(got, want) {
		t.Errorf("A: got %q, want %q", got, want)
	}
	if got := lines(lookup(t, z, "web.service.gossip", zone.TypeSRV)); len(got) != 3 {
		t.Errorf("SRV: got %q, want three", got)
	}
	// Two spellings of a service are one name; the same port twice is one record.
	z = newZone(t, &zone.Member{Name: "n", Addrs: addrs("10.0.0.1"), Live: true, Services: []zone.Service{
		{Name: "Web", Port: 80, Weight: 1}, {Name: "web", Port: 80, Weight: 1}, {Name: "web", Port: 81, Weight: 1}}})
	want := []string{"0 SRV 0 256 80 n.node.gossip.", "0 SRV 0 256 81 n.node.gossip."}
	if got := lines(lookup(t, z, "web.service.gossip", zone.TypeSRV)); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Weights keep their ratio, none becomes 0, and they survive a division by 256 where 16 bits allow.
func TestSRVWeights(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, want []uint16 }{
		{[]uint16{100, 50, 1, 0}, []uint16{25600, 12800, 256, 256}},
		{[]uint16{255, 1}, []uint16{65280, 256}},
		{[]uint16{256, 128}, []uint16{65535, 32768}},
		{[]uint16{65535, 1, 0}, []uint16{65535, 1, 1}},
		{[]uint16{0}, []uint16{256}},
	}
	for _, tt := range tests {
		var members []*zone.Member
		for i, w := range tt.in {
			members = append(members, &zone.Member{Name: fmt.Sprint("n", i), Live: true,
				Services: []zone.Service{{Name: "web", Port: 80, Weight: w}}})
		}
		var got []uint16
		for _, s := range lookup(t, newZone(t, members...), "web.service.gossip", zone.TypeSRV).Answer.SRV {
			got = append(got, s.Weight)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("weights %v: got %v, want %v", tt.in, got, tt.want)
		}
	}
}

func TestLongTagIsSplit(t *testing.T) {
	t.Parallel()
	z := newZone(t, &zone.Member{Name: "n", Live: true, Tags: map[string]string{"k": strings.Repeat("v", 300)}})
	got := lookup(t, z, "n.node.gossip", zone.TypeTXT).Answer.TXT
	if len(got) != 1 || len(got[0]) != 2 || len(got[0][0]) != 255 || strings.Join(got[0], "") != "k="+strings.Repeat("v", 300) {
		t.Errorf("got %q", got)
	}
}

func TestNSSet(t *testing.T) {
	t.Parallel()
	// Nobody serves the zone, and we are not a member yet.
	z := newZone(t)
	if got := lines(lookup(t, z, "gossip", zone.TypeNS)); !slices.Equal(got, []string{"5 NS ns.gossip."}) {
		t.Errorf("alone: got %q", got)
	}
	// Nobody announces it: we do serve it.
	z = z.Update(adds(&zone.Member{Name: "web1", Addrs: addrs("10.0.0.1"), Live: true}))
	if got := lines(lookup(t, z, "gossip", zone.TypeNS)); !slices.Equal(got, []string{"5 NS ns-web1.gossip."}) {
		t.Errorf("self: got %q", got)
	}
	// Many do: the set is bounded. One that leaves is not in it.
	var members []*zone.Member
	for i := range 20 {
		members = append(members, &zone.Member{Name: fmt.Sprintf("n%02d", i), Addrs: addrs("10.0.0.9"), Live: i != 0, Nameserver: true})
	}
	z = z.Update(adds(members...))
	got := lines(lookup(t, z, "gossip", zone.TypeNS))
	if len(got) != 13 || got[0] != "5 NS ns-n01.gossip." {
		t.Errorf("many: got %q", got)
	}
}

func TestNamesThatDifferInCase(t *testing.T) {
	t.Parallel()
	member := func(name, addr string) *zone.Member {
		return &zone.Member{Name: name, Addrs: addrs(addr), Live: true, Services: []zone.Service{{Name: "web", Port: 80, Weight: 1}}}
	}
	check := func(z *zone.Zone, name string, want ...string) {
		t.Helper()
		if got := lines(lookup(t, z, name, zone.TypeA)); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	z := newZone(t, member("Db", "10.0.0.1"))
	check(z, "db.node.gossip", "5 A 10.0.0.1")
	if p := z.Problems(); len(p) != 0 {
		t.Errorf("one name: problems %v", p)
	}
	// The one in small letters takes the name; the other is published beside it.
	z = z.Update(adds(member("db", "10.0.0.2"), member("DB", "10.0.0.3")))
	check(z, "db.node.gossip", "5 A 10.0.0.2")
	check(z, "_x44b.node.gossip", "5 A 10.0.0.1")
	check(z, "_x44_x42.node.gossip", "5 A 10.0.0.3")
	for _, s := range lookup(t, z, "web.service.gossip", zone.TypeSRV).Answer.SRV {
		check(z, s.Target.Name, fmt.Sprintf("5 A %v", s.Target.A.Addrs[0]))
	}
	if p := z.Problems(); len(p) != 2 || !strings.Contains(p[0].Text, `"DB" differs from "db" in case only`) {
		t.Errorf("problems %v", p)
	}
	// When it goes, the next takes it.
	z = z.Update([]zone.Change{{Name: "db"}})
	check(z, "db.node.gossip", "5 A 10.0.0.3")
	check(z, "_x44b.node.gossip", "5 A 10.0.0.1")
	check(z, "_x44_x42.node.gossip")
	z = z.Update([]zone.Change{{Name: "DB"}, {Name: "Db"}})
	check(z, "db.node.gossip")
	if p := z.Problems(); len(p) != 0 {
		t.Errorf("none left: problems %v", p)
	}
}

// TestSpellings: services whose names differ in case only are one, which is told once for each spelling for as long as it is
// so; who is not there just now counts.
func TestSpellings(t *testing.T) {
	t.Parallel()
	member := func(name string, live bool, services ...string) *zone.Member {
		m := &zone.Member{Name: name, Live: live, Tags: map[string]string{"dc": "eu"}}
		for i, s := range services {
			m.Services = append(m.Services, zone.Service{Name: s, Port: uint16(80 + i)})
		}
		return m
	}
	long := strings.Repeat("L", 63)
	z := newZone(t)
	for _, step := range []struct {
		change *zone.Member
		gone   string
		want   []string // member: name
	}{
		{change: member("a", true, "Web")},
		{change: member("b", true, "Web", "api")},
		{change: member("c", true, "WEB"), want: []string{`a: "Web" differs from "WEB"`}},
		{change: member("d", true, "web"), want: []string{`a: "Web" differs from "web"`, `c: "WEB" differs from "web"`}},
		{change: member("a", true, "web"), want: []string{`b: "Web" differs from "web"`, `c: "WEB" differs from "web"`}},
		{change: member("c", false, "WEB"), want: []string{`b: "Web" differs from "web"`, `c: "WEB" differs from "web"`}},
		{gone: "c", want: []string{`b: "Web" differs from "web"`}},
		{change: member("b", true, "API", "api"), want: []string{`b: "API" differs from "api"`}},
		{gone: "b"},
		{change: member("e", true, long, strings.ToLower(long)), want: []string{`e: "` + long + `" differs from "` + strings.ToLower(long) + `"`}},
		{gone: "e"},
	} {
		if step.gone != "" {
			z = z.Update([]zone.Change{{Name: step.gone}})
		} else {
			z = z.Update(adds(step.change))
		}
		var got []string
		for _, p := range z.Problems() {
			text, ok := strings.CutPrefix(p.Text, "service name ")
			text, rest, cut := strings.Cut(text, " in case only: both are found as ")
			if !ok || !cut || !strings.Contains(rest, ".service.gossip.;") {
				t.Errorf("says %q", p.Text)
			}
			got = append(got, p.Member+": "+text)
		}
		if !slices.Equal(got, step.want) {
			t.Errorf("after %+v%s: problems %q, want %q", step.change, step.gone, got, step.want)
		}
	}
}

// TestCatalogFollows: the list for browsing has a service while somebody can be connected to.
func TestCatalogFollows(t *testing.T) {
	t.Parallel()
	z := newZone(t)
	for _, step := range []struct {
		name string
		m    *zone.Member
		want []string
	}{
		{"a", &zone.Member{Live: true, Services: []zone.Service{{Name: "cache"}}}, nil},
		{"b", &zone.Member{Live: true, Services: []zone.Service{{Name: "cache", Port: 6379}}}, []string{"0 PTR _cache._tcp.gossip."}},
		{"c", &zone.Member{Live: true, Services: []zone.Service{{Name: "Cache", Port: 6379}, {Name: "api", Port: 1}}}, []string{"0 PTR _api._tcp.gossip.", "0 PTR _cache._tcp.gossip."}},
		{"b", nil, []string{"0 PTR _api._tcp.gossip.", "0 PTR _cache._tcp.gossip."}},
		{"c", &zone.Member{Live: true, Services: []zone.Service{{Name: "Cache", Port: 6379, Drain: true}, {Name: "api", Port: 2}}}, []string{"0 PTR _api._tcp.gossip."}},
		{"c", &zone.Member{Down: true, Services: []zone.Service{{Name: "Cache", Port: 6379}}}, nil},
		{"c", &zone.Member{Live: true, Services: []zone.Service{{Name: "Cache", Port: 6379}}}, []string{"0 PTR _cache._tcp.gossip."}},
	} {
		z = z.Update([]zone.Change{{Name: step.name, Member: step.m}})
		if got := lines(lookup(t, z, "_services._dns-sd._udp.gossip", zone.TypePTR)); !slices.Equal(got, step.want) {
			t.Errorf("after %s %+v: got %q, want %q", step.name, step.m, got, step.want)
		}
	}
}

func TestNamesWithoutLabel(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 64)
	z := newZone(t, &zone.Member{Name: long, Addrs: addrs("10.0.0.1"), Live: true, Tags: map[string]string{"k": long},
		Services: []zone.Service{{Name: "web", Port: 80}, {Name: long, Port: 81}}})
	if got := lines(lookup(t, z, "web.service.gossip", zone.TypeA)); !slices.Equal(got, []string{"0 A 10.0.0.1"}) {
		t.Errorf("A: got %q", got)
	}
	if got := lookup(t, z, "web.service.gossip", zone.TypeSRV); got.Outcome != zone.NoData {
		t.Errorf("SRV: got %v", got)
	}
	if p := z.Problems(); len(p) != 2 || !strings.HasPrefix(p[0].Text, "node name") || !strings.HasPrefix(p[1].Text, "service name") {
		t.Errorf("problems %v", p)
	}
	if z = z.Update([]zone.Change{{Name: long}}); len(z.Problems()) != 0 || lookup(t, z, "web.service.gossip", zone.TypeA).Outcome != zone.NXDomain {
		t.Errorf("after it went: problems %v", z.Problems())
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		cfg  zone.Config
		want string
	}{
		{zone.Config{}, "empty"},
		{zone.Config{Origin: "."}, "root"},
		{zone.Config{Origin: "a..b"}, "label"},
		{zone.Config{Origin: "a b"}, "not allowed"},
		{zone.Config{Origin: "a@b"}, "not allowed"},
		{zone.Config{Origin: strings.Repeat("a", 64)}, "63"},
		{zone.Config{Origin: strings.Repeat("abcdefg.", 20)}, "octets"},
		{zone.Config{Origin: strings.Repeat("abcdefg.", 40)}, "octets"},
		{zone.Config{Origin: "x", NodeTTL: -time.Second}, "node ttl"},
		{zone.Config{Origin: "x", NegativeTTL: 100 * 365 * 24 * time.Hour}, "negative ttl"},
	}
	for _, tt := range tests {
		if _, err := zone.New(tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: got %v, want an error with %q", tt.cfg, err, tt.want)
		}
	}
}

func FuzzLookup(f *testing.F) {
	z := newZone(f, cluster()...)
	for _, s := range []string{"web.service.gossip", "eu.dc.web.service.gossip", "_web._tcp.service.gossip", "gossip", "a.b.c.d"} {
		wire, err := zone.ParseName(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire, uint16(1))
	}
	f.Fuzz(func(t *testing.T, wire []byte, qtype uint16) {
		r := z.Lookup(wire, zone.Type(qtype))
		if (r.Outcome == zone.Success) != (r.Answer != nil && r.Answer.Len() > 0) {
			t.Errorf("%q: %v with %+v", wire, r.Outcome, r.Answer)
		}
	})
}
