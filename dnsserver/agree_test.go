package dnsserver

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/internal/cookie"
	"github.com/seed-645ce708/gossip/dnsserver/internal/rrl"
	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// richZone has every kind of name, with sets of one and of many records, of one and of both families, in one and in
// several priorities, some stale, some too large for one message.
func richZone(t testing.TB, origin string, order zone.Order) *zone.Zone {
	t.Helper()
	z, err := zone.New(zone.Config{Origin: origin, Self: "node0", NodeTTL: 5 * time.Second, ServiceTTL: time.Second, NegativeTTL: 2 * time.Second, Order: order, Serial: 100})
	if err != nil {
		t.Fatal(err)
	}
	var changes []zone.Change
	for i := range 150 {
		m := zone.Member{Name: fmt.Sprint("node", i), Live: i != 7, Stale: i == 8, Nameserver: i%50 == 1, Tags: map[string]string{
			"dc": fmt.Sprint("dc", i%3), "long": strings.Repeat("x", i*5), "odd": "\x00\xff\"\\"}}
		if i%3 != 2 {
			m.Addrs = append(m.Addrs, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
		}
		if i%3 != 0 {
			m.Addrs = append(m.Addrs, netip.AddrFrom16([16]byte{0: 0xfd, 14: byte(i >> 8), 15: byte(i)}))
		}
		add := func(name string, s zone.Service) {
			s.Name = name
			m.Services = append(m.Services, s)
		}
		if i < 100 {
			add(fmt.Sprint("tens", i%10), zone.Service{Port: 80, Weight: 100, Priority: uint16(i / 30)})
		}
		add("all", zone.Service{Port: uint16(i), Weight: 1})
		if i < 5 {
			add("twice", zone.Service{Port: 1, Weight: 1})
			add("twice", zone.Service{Port: 2, Weight: 1})
			add("portless", zone.Service{})
			add("drained", zone.Service{Port: 1, Drain: true})
			add("few", zone.Service{Port: 443, Weight: uint16(i)})
		}
		if i == 8 {
			add("old", zone.Service{Port: 443, Weight: uint16(i)})
		}
		changes = append(changes, zone.Change{Name: m.Name, Member: &m})
	}
	changes = append(changes, zone.Change{Name: "Node1", Member: &zone.Member{Name: "Node1", Live: true}})
	return z.Update(changes)
}

// richNames are names of every kind below the origin, that are there or not.
var richNames = []string{
	"", "node", "service", "tag", "_tcp.service", "node0.node", "node1.node", "_x4eode1.node", "node2.node", "node7.node", "node8.node", "node149.node",
	"nope.node", "x.node0.node", "tens3.service", "all.service", "few.service", "twice.service", "portless.service", "drained.service",
	"old.service", "nope.service", "_tens3._tcp.service", "_tens4._udp.service", "_few._tcp.service", "_all._tcp.service", "_twice._tcp.service", "_portless._tcp.service",
	"_old._tcp.service", "_nope._tcp.service", "_tens3._sctp.service", "dc1.dc.tag", "dc.tag", "no.dc.tag", "dc1.dc.all.service", "no.dc.all.service", "dc.all.service",
	"ns-node0", "ns-node1", "ns-node2", "hostmaster", "x.ns-node0", "a.b.c.d", strings.Repeat("a.", 60) + "b", strings.Repeat("a", 63),
	"_services._dns-sd._udp", "status",
}

var richTypes = []uint16{
	dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypeTXT, dns.TypeNS, dns.TypeSOA, dns.TypePTR, dns.TypeANY, dns.TypeHTTPS, dns.TypeDNSKEY,
	dns.TypeNone, dns.TypeOPT, dns.TypeTSIG, dns.TypeAXFR, dns.TypeNXNAME, 65280,
}

// both answers one packet on both ways, and compares. It reports whether the packed way had an answer.
type both struct {
	quick   *quick
	general *responder
	z       *zone.Zone
	buf     []byte
	stable  bool
	seen    int // replies of the packed way
}

func newBoth(z *zone.Zone, order zone.Order) *both {
	general := newResponder(z)
	general.policy.cookies = cookie.NewJar(cookie.Random())
	quick := newQuick(&general.policy, new(counters))
	quick.packed.Remember()
	return &both{quick: quick, general: general, z: z, buf: make([]byte, 1<<14),
		stable: order == zone.OrderStable}
}

func (b *both) compare(t *testing.T, what string, packet []byte, p path) {
	t.Helper()
	sent := bytes.Clone(packet)
	got, _ := b.quick.respond(b.buf, packet, b.z, p)
	if !bytes.Equal(sent, packet) {
		t.Fatalf("%s: the query was changed", what)
	}
	if got == nil {
		return
	}
	b.seen++
	want := b.general.respond(packet, p)
	if b.stable {
		if !bytes.Equal(got, want) {
			t.Fatalf("%s: packed\n%x\n%v\ngeneral\n%x\n%v", what, got, unpack(t, got), want, unpack(t, want))
		}
		return
	}
	if !bytes.Equal(got[:4], want[:4]) {
		t.Fatalf("%s: packed\n%v\ngeneral\n%v", what, unpack(t, got), unpack(t, want))
	}
	g, w := unpack(t, got), unpack(t, want)
	all := unpack(t, b.general.respond(packet, path{tcp: true, client: p.client, now: p.now}))
	if cut := max(len(g.Answer), len(w.Answer)) < len(all.Answer) || max(len(g.Extra), len(w.Extra)) < len(all.Extra); cut {
		// By chance other records of the same set, or addresses of other targets, which may be shorter.
		if !subset(g.Answer, all.Answer) || !subset(g.Extra, all.Extra) || len(got) < len(want)-300 || len(got) > len(want)+300 {
			t.Fatalf("%s: packed\n%v\nis no sample of\n%v", what, g, all)
		}
		return
	}
	sortMessage(g)
	sortMessage(w)
	if g.String() != w.String() {
		t.Fatalf("%s: packed\n%v\ngeneral\n%v", what, g, w)
	}
}

func unpack(t *testing.T, packet []byte) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	if err := m.Unpack(packet); err != nil {
		t.Fatalf("%x: %v", packet, err)
	}
	return m
}

func subset(some, all []dns.RR) bool {
	seen := map[string]int{}
	for _, rr := range all {
		seen[rr.String()]++
	}
	for _, rr := range some {
		if seen[rr.String()]--; seen[rr.String()] < 0 {
			return false
		}
	}
	return true
}

func sortMessage(m *dns.Msg) {
	for _, rrs := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		slices.SortFunc(rrs, func(a, b dns.RR) int { return strings.Compare(a.String(), b.String()) })
	}
}

// mixed spells a name in capitals and small letters by chance, as resolvers do to make forgery harder.
func mixed(name string, random *rand.Rand) string {
	b := []byte(name)
	for i, c := range b {
		if 'a' <= c && c <= 'z' && random.IntN(2) == 0 {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

// TestPathsAgree compares the packed and the general way over every combination of name, type, flags, EDNS and transport,
// in the order that is kept octet for octet, in random order record by record.
func TestPathsAgree(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	client, now := netip.MustParseAddr("192.0.2.7"), time.Now()
	paths := []path{{udpLimit: DefaultUDPSize}, {udpLimit: maxLoopback}, {udpLimit: 4096}, {tcp: true}}
	for i := range paths {
		paths[i].client, paths[i].now = client, now
	}
	for _, origin := range []string{"gossip.", "cluster.example.org."} {
		for _, order := range []zone.Order{zone.OrderStable, zone.OrderRandom} {
			b := newBoth(richZone(t, origin, order), order)
			for _, name := range append(slices.Clone(richNames), "..", "example", "x"+strings.TrimSuffix(origin, ".")) {
				for _, qtype := range richTypes {
					qname := name + "." + origin
					switch name {
					case "":
						qname = origin
					case "..":
						qname = "."
					case "example":
						qname = "example.com."
					}
					if len(qname) > 254 {
						continue
					}
					for variant := range 32 {
						m := new(dns.Msg).SetQuestion(qname, qtype)
						m.RecursionDesired = variant&1 != 0
						m.CheckingDisabled = variant&4 != 0
						m.AuthenticatedData = variant&4 != 0
						if variant&2 != 0 {
							m.Question[0].Name = mixed(qname, random)
						}
						switch variant / 8 {
						case 1:
							m.SetEdns0([]uint16{0, 512, 700, 1232, 4096, 65535}[random.IntN(6)], variant&4 != 0)
						case 2:
							m.SetEdns0(uint16(random.IntN(5000)), variant&1 != 0)
						case 3:
							m.SetEdns0(uint16(random.IntN(5000)), variant&4 != 0)
							addCookie(m, b.general.policy.cookies, client, now, variant)
						}
						packet, err := m.Pack()
						if err != nil {
							t.Fatal(err)
						}
						for _, p := range paths {
							b.compare(t, fmt.Sprintf("%s %d, order %d, %+v, %v", qname, qtype, order, p, m), packet, p)
						}
					}
				}
			}
			if total := len(richNames) * 11 * 32 * len(paths); b.seen < total*2/3 {
				t.Errorf("%s: the packed way answered %d of about %d", origin, b.seen, total)
			}
		}
	}
}

// addCookie adds a client's half of a cookie; or both, which are good or bad.
func addCookie(m *dns.Msg, jar *cookie.Jar, client netip.Addr, now time.Time, variant int) {
	c := jar.Make([cookie.ClientSize]byte{1, 2, 3}, client, now)
	size := len(c)
	switch variant % 3 {
	case 0:
		size = cookie.ClientSize
	case 1:
		c[size-1]++
	}
	m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: hex.EncodeToString(c[:size])}}
}

// TestPathsAgreeOnCookies: so do they when cookies are required and when replies are over the limit, in what they say and
// in what they count.
func TestPathsAgreeOnCookies(t *testing.T) {
	t.Parallel()
	client, now := netip.MustParseAddr("192.0.2.7"), time.Now()
	p := path{udpLimit: DefaultUDPSize, client: client, now: now}
	for variant := range 12 {
		b := newBoth(richZone(t, "gossip.", zone.OrderStable), zone.OrderStable)
		b.general.policy.requireCookie = variant >= 9
		if variant >= 3 && variant < 9 {
			b.general.policy.limiter = rrl.New(rrl.Config{Rate: 1, Slip: 1})
			b.general.policy.limiter.Decide(client, rrl.Answer, 0)
			b.general.policy.origin = now
		}
		for _, tcp := range []bool{false, true} {
			p.tcp = tcp
			m := new(dns.Msg).SetQuestion("tens3.service.gossip.", dns.TypeA).SetEdns0(1232, variant >= 6)
			addCookie(m, b.general.policy.cookies, client, now, variant)
			packet, err := m.Pack()
			if err != nil {
				t.Fatal(err)
			}
			b.seen = 0
			b.compare(t, fmt.Sprintf("variant %d, TCP %t", variant, tcp), packet, p)
			if unproved := variant >= 9 && variant%3 != 2 && !tcp; unproved != (b.seen == 0) {
				t.Errorf("variant %d, TCP %t: the packed way answered %d", variant, tcp, b.seen)
			}
		}
		got, want := b.quick.stats.read(), b.general.stats.read()
		if variant < 9 && (got.CookiesGood != want.CookiesGood || got.CookiesBad != want.CookiesBad || got.Slipped != want.Slipped ||
			got.Truncated != want.Truncated || !maps.Equal(got.Rcodes, want.Rcodes)) {
			t.Errorf("variant %d: packed counts\n%+v\ngeneral\n%+v", variant, got, want)
		}
	}
}

var (
	fuzzClient = netip.MustParseAddr("192.0.2.7")
	fuzzTime   = time.Unix(1<<30, 0)
)

// FuzzPathsAgree compares the two ways on any packet.
func FuzzPathsAgree(f *testing.F) {
	for i, name := range richNames {
		if name += "."; name == "." {
			name = ""
		}
		m := new(dns.Msg).SetQuestion(name+"gossip.", richTypes[i%len(richTypes)])
		if i%3 > 0 {
			m.SetEdns0(uint16(i*50), i%3 == 1)
		}
		packet, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packet, uint16(i*30), i%5 == 0)
		if m.IsEdns0() != nil {
			addCookie(m, cookie.NewJar(cookie.Random()), fuzzClient, fuzzTime, i)
			if packet, err = m.Pack(); err != nil {
				f.Fatal(err)
			}
			f.Add(packet, uint16(i*30), i%5 == 0)
		}
		binary.BigEndian.PutUint16(packet[2:], uint16(i)<<8)
		f.Add(packet, uint16(i*30), i%5 == 0)
	}
	b := newBoth(richZone(f, "gossip.", zone.OrderStable), zone.OrderStable)
	random := newBoth(richZone(f, "gossip.", zone.OrderRandom), zone.OrderRandom)
	f.Fuzz(func(t *testing.T, packet []byte, limit uint16, tcp bool) {
		p := path{tcp: tcp, udpLimit: int(limit), client: fuzzClient, now: fuzzTime}
		b.compare(t, "", packet, p)
		random.compare(t, "", packet, p)
	})
}

// TestQuickAllocations: once a set has been asked for, an answer from it takes no memory.
func TestQuickAllocations(t *testing.T) {
	b := newBoth(richZone(t, "gossip.", zone.OrderRandom), zone.OrderRandom)
	for _, q := range []struct {
		name  string
		qtype uint16
	}{
		{"node1.node", dns.TypeA}, {"node1.node", dns.TypeTXT}, {"tens3.service", dns.TypeA}, {"tens3.service", dns.TypeAAAA},
		{"_tens3._tcp.service", dns.TypeSRV}, {"nope.node", dns.TypeA}, {"node1.node", dns.TypeSRV},
	} {
		packet, err := new(dns.Msg).SetQuestion(q.name+".gossip.", q.qtype).SetEdns0(1232, false).Pack()
		if err != nil {
			t.Fatal(err)
		}
		n := testing.AllocsPerRun(100, func() {
			if _, ok := b.quick.respond(b.buf, packet, b.z, overUDP); !ok {
				t.Fatalf("%s %d: no answer", q.name, q.qtype)
			}
		})
		if n != 0 {
			t.Errorf("%s %d: %v allocations", q.name, q.qtype, n)
		}
	}
}

// BenchmarkCookie is what a question with a cookie costs beside the system calls, packed and in general.
func BenchmarkCookie(b *testing.B) {
	both := newBoth(testZone(b, 20, zone.OrderRandom), zone.OrderRandom)
	p := path{udpLimit: DefaultUDPSize, client: fuzzClient, now: fuzzTime}
	m := new(dns.Msg).SetQuestion("many.service.gossip.", dns.TypeA).SetEdns0(1232, false)
	addCookie(m, both.general.policy.cookies, p.client, p.now, 2)
	packet, err := m.Pack()
	if err != nil {
		b.Fatal(err)
	}
	b.Run("packed", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := both.quick.respond(both.buf, packet, both.z, p); !ok {
				b.Fatal("no answer")
			}
		}
	})
	b.Run("general", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			both.general.respond(packet, p)
		}
	})
}

// BenchmarkQuick is what a plain question costs beside the system calls.
func BenchmarkQuick(b *testing.B) {
	both := newBoth(testZone(b, 20, zone.OrderRandom), zone.OrderRandom)
	for _, q := range benchQueries {
		packet := benchQuery(b, q.qname, q.qtype)
		b.Run(q.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := both.quick.respond(both.buf, packet, both.z, overUDP); !ok {
					b.Fatal("no answer")
				}
			}
		})
	}
}
