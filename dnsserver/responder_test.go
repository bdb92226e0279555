package dnsserver

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/internal/cookie"
	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// testZone has web1 to web3, and a service "many" of n members with SRV records.
func testZone(t testing.TB, n int, order zone.Order) *zone.Zone {
	t.Helper()
	z, err := zone.New(zone.Config{Origin: "gossip.", Self: "web1", NodeTTL: 5 * time.Second, NegativeTTL: 2 * time.Second, Order: order, Serial: 100})
	if err != nil {
		t.Fatal(err)
	}
	var changes []zone.Change
	add := func(m zone.Member) {
		m.Live = true
		changes = append(changes, zone.Change{Name: m.Name, Member: &m})
	}
	add(zone.Member{Name: "web1", Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.1")}, Tags: map[string]string{"dc": "eu", "q": `a"b\c` + "\x00\xff"},
		Services: []zone.Service{{Name: "web", Port: 8080, Weight: 100}, {Name: "solo", Port: 1, Weight: 1}}})
	add(zone.Member{Name: "web2", Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("fd00::2")},
		Services: []zone.Service{{Name: "web", Port: 8081, Weight: 50}}})
	add(zone.Member{Name: "web3", Addrs: []netip.Addr{netip.MustParseAddr("fd00::3")}, Services: []zone.Service{{Name: "web", Port: 8082, Weight: 1, Priority: 1}}})
	for i := range n {
		add(zone.Member{Name: fmt.Sprintf("many%04d", i), Addrs: []netip.Addr{netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})},
			Services: []zone.Service{{Name: "many", Port: 80, Weight: 100}}})
	}
	return z.Update(changes)
}

func newResponder(z *zone.Zone) *responder {
	return &responder{source: func() *zone.Zone { return z }, stats: new(counters)}
}

var (
	overUDP = path{udpLimit: DefaultUDPSize}
	overTCP = path{tcp: true}
)

// ask packs the message, responds, and unpacks the reply.
func ask(t *testing.T, r *responder, m *dns.Msg, p path) *dns.Msg {
	t.Helper()
	packet, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return respond(t, r, packet, p)
}

func respond(t *testing.T, r *responder, packet []byte, p path) *dns.Msg {
	t.Helper()
	out := r.respond(packet, p)
	if out == nil {
		return nil
	}
	reply := new(dns.Msg)
	if err := reply.Unpack(out); err != nil {
		t.Fatalf("the reply does not parse: %v", err)
	}
	return reply
}

// section writes records in zone-file form, without the class.
func section(rrs []dns.RR) []string {
	out := []string{}
	for _, rr := range rrs {
		if rr.Header().Rrtype != dns.TypeOPT {
			out = append(out, strings.Join(strings.Fields(strings.Replace(rr.String(), "\tIN\t", " ", 1)), " "))
		}
	}
	return out
}

const soa = "gossip. 2 SOA ns-web1.gossip. hostmaster.gossip. 101 60 10 86400 2"

// TestAnswers has a row for each kind of answer about names.
func TestAnswers(t *testing.T) {
	t.Parallel()
	r := newResponder(testZone(t, 0, zone.OrderStable))
	tests := []struct {
		name, qname string
		qtype       uint16
		rcode       int
		answer      []string
		authority   []string
		additional  []string
	}{
		{name: "name known, type present", qname: "web1.node.gossip.", qtype: dns.TypeA,
			answer: []string{"web1.node.gossip. 5 A 10.0.0.1"}},
		{name: "the question's case is echoed", qname: "WeB1.nOdE.GosSip.", qtype: dns.TypeA,
			answer: []string{"WeB1.nOdE.GosSip. 5 A 10.0.0.1"}},
		{name: "service", qname: "web.service.gossip.", qtype: dns.TypeA,
			answer: []string{"web.service.gossip. 0 A 10.0.0.1", "web.service.gossip. 0 A 10.0.0.2"}},
		{name: "SRV with addresses", qname: "_web._tcp.service.gossip.", qtype: dns.TypeSRV,
			answer: []string{
				"_web._tcp.service.gossip. 0 SRV 0 25600 8080 web1.node.gossip.",
				"_web._tcp.service.gossip. 0 SRV 0 12800 8081 web2.node.gossip.",
				"_web._tcp.service.gossip. 0 SRV 1 256 8082 web3.node.gossip."},
			additional: []string{"web1.node.gossip. 5 A 10.0.0.1", "web2.node.gossip. 5 A 10.0.0.2",
				"web2.node.gossip. 5 AAAA fd00::2", "web3.node.gossip. 5 AAAA fd00::3"}},
		{name: "TXT of any octets", qname: "web1.node.gossip.", qtype: dns.TypeTXT,
			answer: []string{`web1.node.gossip. 5 TXT "dc=eu"`, `web1.node.gossip. 5 TXT "q=a\"b\\c\000\255"`}},
		{name: "name known, type absent", qname: "web1.node.gossip.", qtype: dns.TypeAAAA, authority: []string{soa}},
		{name: "type we do not know", qname: "web1.node.gossip.", qtype: 65280, authority: []string{soa}},
		{name: "empty non-terminal", qname: "node.gossip.", qtype: dns.TypeA, authority: []string{soa}},
		{name: "name unknown", qname: "nope.service.gossip.", qtype: dns.TypeA, rcode: dns.RcodeNameError, authority: []string{soa}},
		{name: "name unknown, in capitals", qname: "NOPE.GOSSIP.", qtype: dns.TypeA, rcode: dns.RcodeNameError,
			authority: []string{strings.Replace(soa, "gossip.", "GOSSIP.", 1)}},
		{name: "apex SOA", qname: "gossip.", qtype: dns.TypeSOA, answer: []string{soa}},
		{name: "apex NS with glue", qname: "gossip.", qtype: dns.TypeNS,
			answer: []string{"gossip. 5 NS ns-web1.gossip."}, additional: []string{"ns-web1.gossip. 5 A 10.0.0.1"}},
		{name: "ANY gets one set", qname: "web2.node.gossip.", qtype: dns.TypeANY, answer: []string{"web2.node.gossip. 5 A 10.0.0.2"}},
		{name: "ANY of a name with one type", qname: "web3.node.gossip.", qtype: dns.TypeANY, answer: []string{"web3.node.gossip. 5 AAAA fd00::3"}},
		{name: "ANY at the apex", qname: "gossip.", qtype: dns.TypeANY, answer: []string{soa}},
		{name: "ANY of an empty non-terminal", qname: "tag.gossip.", qtype: dns.TypeANY, authority: []string{soa}},
		{name: "ANY of no name", qname: "nope.gossip.", qtype: dns.TypeANY, rcode: dns.RcodeNameError, authority: []string{soa}},
	}
	for _, tt := range tests {
		for _, p := range []path{overUDP, overTCP} {
			for _, edns := range []bool{false, true} {
				m := new(dns.Msg).SetQuestion(tt.qname, tt.qtype)
				if edns {
					m.SetEdns0(1232, true)
				}
				got := ask(t, r, m, p)
				name := fmt.Sprintf("%s (tcp %v, edns %v)", tt.name, p.tcp, edns)
				if got.Rcode != tt.rcode || !got.Response || !got.Authoritative || got.Truncated || got.RecursionAvailable ||
					!got.RecursionDesired || got.AuthenticatedData || got.CheckingDisabled || got.Zero || got.Id != m.Id {
					t.Errorf("%s: header %+v", name, got.MsgHdr)
				}
				if len(got.Question) != 1 || got.Question[0] != m.Question[0] {
					t.Errorf("%s: question %v", name, got.Question)
				}
				for _, s := range []struct {
					name string
					got  []dns.RR
					want []string
				}{{"answer", got.Answer, tt.answer}, {"authority", got.Ns, tt.authority}, {"additional", got.Extra, tt.additional}} {
					if got := section(s.got); !slices.Equal(got, s.want) {
						t.Errorf("%s: %s\ngot  %q\nwant %q", name, s.name, got, s.want)
					}
				}
				opt := got.IsEdns0()
				if (opt != nil) != edns {
					t.Fatalf("%s: OPT %v", name, opt)
				}
				if edns && (opt.Version() != 0 || opt.UDPSize() != 1232 || !opt.Do() || len(opt.Option) != 0) {
					t.Errorf("%s: OPT %v", name, opt)
				}
			}
		}
	}
}

// TestOddMessages has a row for each message that is not a plain question about the zone.
func TestOddMessages(t *testing.T) {
	t.Parallel()
	r := newResponder(testZone(t, 0, zone.OrderStable))
	question := func(edit func(*dns.Msg)) []byte {
		m := new(dns.Msg).SetQuestion("web1.node.gossip.", dns.TypeA)
		m.Id = 4711
		edit(m)
		packet, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		return packet
	}
	edns := func(m *dns.Msg) { m.SetEdns0(1232, false) }
	raw := func(edit func([]byte) []byte) []byte { return edit(question(edns)) }
	notReady := newResponder(nil)

	const silence = -1
	const none = -1
	tests := []struct {
		name   string
		r      *responder // nil: r
		packet []byte
		rcode  int
		ede    int
		aa     bool
	}{
		{name: "out of zone", packet: question(func(m *dns.Msg) { edns(m); m.Question[0].Name = "example.com." }),
			rcode: dns.RcodeRefused, ede: int(dns.ExtendedErrorCodeNotAuthoritative)},
		{name: "out of zone, no EDNS", packet: question(func(m *dns.Msg) { m.Question[0].Name = "." }), rcode: dns.RcodeRefused, ede: none},
		{name: "not synced", r: notReady, packet: question(edns), rcode: dns.RcodeServerFailure, ede: int(dns.ExtendedErrorCodeNotReady)},
		{name: "not synced, no EDNS", r: notReady, packet: question(func(*dns.Msg) {}), rcode: dns.RcodeServerFailure, ede: none},
		{name: "EDNS version 1", packet: question(func(m *dns.Msg) { edns(m); m.IsEdns0().SetVersion(1) }), rcode: dns.RcodeBadVers, ede: none},
		{name: "unknown option", packet: question(func(m *dns.Msg) {
			edns(m)
			m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_LOCAL{Code: 65001, Data: []byte{1}}}
		}), ede: none, aa: true},
		{name: "class CHAOS", packet: question(func(m *dns.Msg) { edns(m); m.Question[0].Qclass = dns.ClassCHAOS }),
			rcode: dns.RcodeRefused, ede: int(dns.ExtendedErrorCodeProhibited)},
		{name: "class HESIOD", packet: question(func(m *dns.Msg) { edns(m); m.Question[0].Qclass = dns.ClassHESIOD }),
			rcode: dns.RcodeRefused, ede: int(dns.ExtendedErrorCodeNotAuthoritative)},
		{name: "class ANY", packet: question(func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassANY }), ede: none},
		{name: "class NONE", packet: question(func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassNONE }), rcode: dns.RcodeRefused, ede: none},
		{name: "AXFR", packet: question(func(m *dns.Msg) { edns(m); m.SetAxfr("gossip.") }),
			rcode: dns.RcodeRefused, ede: int(dns.ExtendedErrorCodeProhibited)},
		{name: "IXFR", packet: question(func(m *dns.Msg) { m.SetIxfr("gossip.", 1, "a.", "b.") }), rcode: dns.RcodeRefused, ede: none},
		{name: "MAILB", packet: question(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeMAILB }), rcode: dns.RcodeNotImplemented, ede: none},
		{name: "question for OPT", packet: question(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeOPT }), rcode: dns.RcodeFormatError, ede: none},
		{name: "NXNAME", packet: question(func(m *dns.Msg) { edns(m); m.Question[0].Qtype = dns.TypeNXNAME }),
			rcode: dns.RcodeFormatError, ede: int(dns.ExtendedErrorCodeInvalidQueryType)},
		{name: "type 0", packet: question(func(m *dns.Msg) { m.Question[0].Qtype = 0 }), rcode: dns.RcodeFormatError, ede: none},
		{name: "NOTIFY", packet: question(func(m *dns.Msg) { m.SetNotify("GOSSIP."); m.Id = 4711; edns(m) }),
			rcode: dns.RcodeRefused, ede: int(dns.ExtendedErrorCodeProhibited)},
		{name: "NOTIFY of another zone", packet: question(func(m *dns.Msg) { m.SetNotify("example.com."); m.Id = 4711 }), rcode: dns.RcodeNotAuth, ede: none},
		{name: "UPDATE", packet: question(func(m *dns.Msg) { m.SetUpdate("gossip."); m.Id = 4711; edns(m) }),
			rcode: dns.RcodeRefused, ede: int(dns.ExtendedErrorCodeProhibited)},
		{name: "UPDATE before we know the zone", r: notReady, packet: question(func(m *dns.Msg) { m.SetUpdate("gossip."); m.Id = 4711 }),
			rcode: dns.RcodeRefused, ede: none},
		{name: "UPDATE of another zone", packet: question(func(m *dns.Msg) { m.SetUpdate("com."); m.Id = 4711; edns(m) }),
			rcode: dns.RcodeNotAuth, ede: int(dns.ExtendedErrorCodeNotAuthoritative)},
		{name: "UPDATE of a name that is no zone", packet: question(func(m *dns.Msg) { m.SetUpdate("node.gossip."); m.Id = 4711 }), rcode: dns.RcodeNotAuth, ede: none},
		{name: "UPDATE of a zone of another class", packet: question(func(m *dns.Msg) { m.SetUpdate("gossip."); m.Id = 4711; m.Question[0].Qclass = 3 }),
			rcode: dns.RcodeNotAuth, ede: none},
		{name: "UPDATE that names no zone", packet: question(func(m *dns.Msg) { edns(m); m.Opcode = dns.OpcodeUpdate }),
			rcode: dns.RcodeFormatError, ede: int(dns.ExtendedErrorCodeOther)},
		{name: "opcode DSO", packet: question(func(m *dns.Msg) { edns(m); m.Opcode = dns.OpcodeStateful; m.Question = nil }),
			rcode: dns.RcodeNotImplemented, ede: int(dns.ExtendedErrorCodeNotSupported)},
		{name: "opcode STATUS", packet: question(func(m *dns.Msg) { m.Opcode = dns.OpcodeStatus }), rcode: dns.RcodeNotImplemented, ede: none},
		{name: "opcode 15", packet: question(func(m *dns.Msg) { m.Opcode = 15 }), rcode: dns.RcodeNotImplemented, ede: none},
		{name: "no question", packet: question(func(m *dns.Msg) { m.Question = nil }), rcode: dns.RcodeFormatError, ede: none},
		{name: "two questions", packet: question(func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }),
			rcode: dns.RcodeFormatError, ede: none},
		{name: "an answer in a query", packet: question(func(m *dns.Msg) {
			m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeA, Class: dns.ClassINET}, A: []byte{1, 2, 3, 4}}}
		}), rcode: dns.RcodeFormatError, ede: none},
		{name: "two OPT", packet: question(func(m *dns.Msg) { edns(m); m.Extra = append(m.Extra, m.Extra[0]) }), rcode: dns.RcodeFormatError, ede: int(dns.ExtendedErrorCodeOther)},
		{name: "OPT not at the root", packet: question(func(m *dns.Msg) { edns(m); m.Extra[0].Header().Name = "x." }),
			rcode: dns.RcodeFormatError, ede: none},
		{name: "trailing octets", packet: raw(func(b []byte) []byte { return append(b, 0) }), rcode: dns.RcodeFormatError, ede: int(dns.ExtendedErrorCodeOther)},
		{name: "cut in the question", packet: raw(func(b []byte) []byte { return b[:20] }), rcode: dns.RcodeFormatError, ede: none},
		{name: "a record of an unknown type, whatever it holds", packet: raw(func(b []byte) []byte {
			b[11] = 2
			return append(b, 0xc0, 12, 0xff, 0x01, 0, 1, 0, 0, 0, 0, 0, 3, 1, 2, 3)
		}), ede: none, aa: true},
		{name: "a record cut in its data", packet: raw(func(b []byte) []byte {
			b[11] = 2
			return append(b, 0xc0, 12, 0xff, 0x01, 0, 1, 0, 0, 0, 0, 0, 4, 1, 2, 3)
		}), rcode: dns.RcodeFormatError, ede: int(dns.ExtendedErrorCodeOther)},
		{name: "cut in OPT", packet: raw(func(b []byte) []byte { return b[:len(b)-2] }), rcode: dns.RcodeFormatError, ede: none},
		{name: "compressed question", packet: raw(func(b []byte) []byte { b[12] = 0xc0; return b }), rcode: dns.RcodeFormatError, ede: none},
		{name: "reserved label type", packet: raw(func(b []byte) []byte { b[12] = 0x80; return b }), rcode: dns.RcodeFormatError, ede: none},
		{name: "records that are not there", packet: raw(func(b []byte) []byte { b[10], b[11] = 0xff, 0xff; return b }), rcode: dns.RcodeFormatError, ede: int(dns.ExtendedErrorCodeOther)},
		{name: "a response", packet: question(func(m *dns.Msg) { m.Response = true }), rcode: silence},
		{name: "shorter than a header", packet: make([]byte, 11), rcode: silence},
		{name: "nothing", packet: nil, rcode: silence},
		{name: "a bare header", packet: make([]byte, 12), rcode: dns.RcodeFormatError, ede: none},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			from := r
			if tt.r != nil {
				from = tt.r
			}
			got := respond(t, from, tt.packet, overUDP)
			if tt.rcode == silence {
				if got != nil {
					t.Fatalf("want silence, got %v", got)
				}
				return
			}
			if got == nil {
				t.Fatal("no reply")
			}
			if got.Rcode != tt.rcode || got.Id != binary.BigEndian.Uint16(tt.packet) || !got.Response || got.Authoritative != tt.aa {
				t.Errorf("got %v, want %s", got, dns.RcodeToString[tt.rcode])
			}
			ede := none
			if opt := got.IsEdns0(); opt != nil && len(opt.Option) == 1 {
				ede = int(opt.Option[0].(*dns.EDNS0_EDE).InfoCode)
			}
			if ede != tt.ede {
				t.Errorf("extended error: got %d, want %d", ede, tt.ede)
			}
		})
	}
}

// TestTruncation: TC says that a required record was cut, and nothing else does.
func TestTruncation(t *testing.T) {
	t.Parallel()
	r := newResponder(testZone(t, 300, zone.OrderRandom))
	tests := []struct {
		name    string
		qname   string
		qtype   uint16
		payload uint16 // of EDNS; 0: none
		path    path
		limit   int
		tc      bool
		answers int // at least; none if the client speaks EDNS, and has to ask for more or over TCP
	}{
		{"no EDNS, SRV", "many.service.gossip.", dns.TypeSRV, 0, overUDP, 512, true, 10},
		{"no EDNS", "many.service.gossip.", dns.TypeA, 0, overUDP, 512, true, 29},
		{"small payload counts as 512", "many.service.gossip.", dns.TypeA, 100, overUDP, 512, true, 0},
		{"payload 1232", "many.service.gossip.", dns.TypeA, 1232, overUDP, 1232, true, 0},
		{"payload 4096 is cut to ours", "many.service.gossip.", dns.TypeA, 4096, overUDP, 1232, true, 0},
		{"loopback takes what is asked", "many.service.gossip.", dns.TypeA, 8192, path{udpLimit: maxLoopback}, 8192, false, 300},
		{"SRV", "many.service.gossip.", dns.TypeSRV, 1232, overUDP, 1232, true, 0},
		{"SRV whole, addresses cut", "many.service.gossip.", dns.TypeSRV, 13000, path{udpLimit: maxLoopback}, 13000, false, 300},
		{"TCP", "many.service.gossip.", dns.TypeSRV, 0, overTCP, 65535, false, 300},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := new(dns.Msg).SetQuestion(tt.qname, tt.qtype)
			if tt.payload > 0 {
				m.SetEdns0(tt.payload, false)
			}
			packet, err := m.Pack()
			if err != nil {
				t.Fatal(err)
			}
			out := r.respond(packet, tt.path)
			got := new(dns.Msg)
			if err := got.Unpack(out); err != nil {
				t.Fatal(err)
			}
			if len(out) > tt.limit || got.Truncated != tt.tc || len(got.Answer) < tt.answers || tt.answers == 0 && len(got.Answer) > 0 {
				t.Errorf("%d octets, TC %v, %d answers; want at most %d, %v, at least %d",
					len(out), got.Truncated, len(got.Answer), tt.limit, tt.tc, tt.answers)
			}
			seen := map[string]bool{}
			for _, rr := range got.Answer {
				if seen[rr.String()] {
					t.Errorf("twice: %v", rr)
				}
				seen[rr.String()] = true
			}
		})
	}
}

// Above what TCP can carry the answer is a sample, and says nothing of truncation: there is no larger transport.
func TestMoreThanTCPHolds(t *testing.T) {
	t.Parallel()
	r := newResponder(testZone(t, 6000, zone.OrderRandom))
	first := map[string]int{}
	for range 3 {
		got := ask(t, r, new(dns.Msg).SetQuestion("many.service.gossip.", dns.TypeA), overTCP)
		if got.Truncated || len(got.Answer) < 4000 {
			t.Fatalf("TC %v, %d answers", got.Truncated, len(got.Answer))
		}
		for _, rr := range got.Answer {
			first[rr.String()]++
		}
	}
	if len(first) < 5500 {
		t.Errorf("three samples held only %d of 6000 records", len(first))
	}
	if got := ask(t, r, new(dns.Msg).SetQuestion("many.service.gossip.", dns.TypeSRV), overTCP); len(got.Answer) < 1000 || got.Truncated {
		t.Errorf("SRV: TC %v, %d answers", got.Truncated, len(got.Answer))
	}
}

// TestOrder: each member comes first equally often, and priorities stay in order.
func TestOrder(t *testing.T) {
	t.Parallel()
	z := testZone(t, 10, zone.OrderRandom)
	r := newResponder(z)
	const rounds = 5000
	first := map[string]int{}
	for range rounds {
		got := ask(t, r, new(dns.Msg).SetQuestion("many.service.gossip.", dns.TypeA), overUDP)
		first[got.Answer[0].(*dns.A).A.String()]++
		srv := ask(t, r, new(dns.Msg).SetQuestion("web.service.gossip.", dns.TypeSRV), overUDP)
		if srv.Answer[2].(*dns.SRV).Priority != 1 {
			t.Fatalf("priorities out of order: %v", srv.Answer)
		}
	}
	for addr, n := range first {
		if n < rounds/10*7/10 || n > rounds/10*13/10 { // 7 standard deviations
			t.Errorf("%s came first %d times of %d among 10", addr, n, rounds)
		}
	}
	if len(first) != 10 {
		t.Errorf("only %d of 10 ever came first", len(first))
	}
	stable := newResponder(testZone(t, 10, zone.OrderStable))
	for range 10 {
		got := ask(t, stable, new(dns.Msg).SetQuestion("many.service.gossip.", dns.TypeA), overUDP)
		if a := got.Answer[0].(*dns.A).A.String(); a != "10.1.0.0" {
			t.Errorf("stable order begins with %s", a)
		}
	}
}

// The longest names that there can be, in mixed case so that little compresses, stay within 512 octets.
func TestLongNames(t *testing.T) {
	t.Parallel()
	origin := strings.Repeat("zone567890.", 13) + "x."
	z, err := zone.New(zone.Config{Origin: origin, Self: strings.Repeat("n", 60)})
	if err != nil {
		t.Fatal(err)
	}
	z = z.Update([]zone.Change{{Name: strings.Repeat("n", 60), Member: &zone.Member{Live: true,
		Services: []zone.Service{{Name: "web", Port: 1}}}}})
	r := newResponder(z)
	for _, qname := range []string{"web.service." + strings.ToUpper(origin), "nope." + strings.ToUpper(origin),
		strings.Repeat("abcdefghi.", 10) + strings.ToUpper(origin)} {
		for _, qtype := range []uint16{dns.TypeSRV, dns.TypeNS} {
			m := new(dns.Msg).SetQuestion(qname, qtype)
			packet, err := m.Pack()
			if err != nil {
				t.Fatal(err)
			}
			out := r.respond(packet, overUDP)
			if len(out) == 0 || len(out) > 512 {
				t.Errorf("%s: %d octets", qname, len(out))
			}
		}
	}
}

func TestStats(t *testing.T) {
	t.Parallel()
	r := newResponder(testZone(t, 100, zone.OrderRandom))
	for qname, qtype := range map[string]uint16{"web1.node.gossip.": dns.TypeA, "nope.gossip.": dns.TypeMX, "many.service.gossip.": dns.TypeAAAA,
		"_many._tcp.service.gossip.": dns.TypeSRV} {
		ask(t, r, new(dns.Msg).SetQuestion(qname, qtype), overUDP)
	}
	r.respond([]byte("short"), overUDP)
	got := r.stats.read()
	if got.Rcodes["NOERROR"] != 3 || got.Rcodes["NXDOMAIN"] != 1 || got.Types["A"] != 1 || got.Types["other"] != 1 ||
		got.Truncated != 1 || got.Silent != 1 || got.Errors != 0 {
		t.Errorf("got %+v", got)
	}
}

// FuzzRespond: whatever comes in, what goes out parses, answers it, and fits.
func FuzzRespond(f *testing.F) {
	seed := func(edit func(*dns.Msg)) {
		m := new(dns.Msg).SetQuestion("many.service.gossip.", dns.TypeSRV)
		edit(m)
		packet, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packet, false)
		f.Add(packet, true)
	}
	seed(func(*dns.Msg) {})
	seed(func(m *dns.Msg) { m.SetEdns0(1232, true) })
	seed(func(m *dns.Msg) { m.SetEdns0(4096, true).IsEdns0().SetVersion(3) })
	seed(func(m *dns.Msg) { m.SetIxfr("gossip.", 1, "a.", "b.") })
	seed(func(m *dns.Msg) {
		m.Question[0] = dns.Question{Name: "web1.node.gossip.", Qtype: dns.TypeANY, Qclass: dns.ClassANY}
	})
	seed(func(m *dns.Msg) { m.Question[0].Name = `a\.b\000\255.node.gossip.` })
	seed(func(m *dns.Msg) { m.SetUpdate("gossip.") })
	seed(func(m *dns.Msg) {
		m.SetEdns0(512, false).IsEdns0().Option = []dns.EDNS0{local(dns.EDNS0COOKIE, 1, 2, 3, 4, 5, 6, 7, 8), local(dns.EDNS0NSID),
			local(dns.EDNS0PADDING, 0), local(dns.EDNS0TCPKEEPALIVE)}
	})
	seed(func(m *dns.Msg) {
		m.Question[0] = dns.Question{Name: "version.bind.", Qtype: dns.TypeTXT, Qclass: dns.ClassCHAOS}
	})
	r := newResponder(testZone(f, 60, zone.OrderRandom))
	r.policy = policy{cookies: cookie.NewJar(cookie.Random()), nsid: strings.Repeat("n", MaxIdentifier), version: "1"}
	f.Fuzz(func(t *testing.T, packet []byte, tcp bool) {
		p := path{tcp: tcp, tls: tcp, udpLimit: DefaultUDPSize}
		out := r.respond(packet, p)
		if out == nil {
			if len(packet) >= headerSize && packet[2]&0x80 == 0 {
				t.Fatal("silence for a query")
			}
			return
		}
		limit := minUDP
		query := new(dns.Msg)
		if query.Unpack(packet) == nil && query.IsEdns0() != nil {
			limit = max(limit, min(int(query.IsEdns0().UDPSize()), DefaultUDPSize))
		}
		if !tcp && len(out) > limit {
			t.Errorf("%d octets, the client takes %d", len(out), limit)
		}
		reply := new(dns.Msg)
		if err := reply.Unpack(out); err != nil {
			t.Fatalf("does not parse: %v", err)
		}
		if !reply.Response || out[0] != packet[0] || out[1] != packet[1] || reply.Opcode != int(packet[2]>>3)&0xf {
			t.Errorf("header %+v", reply.MsgHdr)
		}
		if len(reply.Question) == 1 {
			end, _ := skipName(out, headerSize)
			if !slices.Equal(out[headerSize:end+questionTail], packet[headerSize:end+questionTail]) {
				t.Errorf("the question came back changed")
			}
		}
	})
}

// TestStaleAnswers: an answer that may not be true any more is given, and says so to clients that speak EDNS.
func TestStaleAnswers(t *testing.T) {
	t.Parallel()
	z := testZone(t, 0, zone.OrderStable)
	web1 := &zone.Member{Name: "web1", Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.1")}, Live: true, Stale: true,
		Services: []zone.Service{{Name: "web", Port: 8080, Weight: 100}}}
	r := newResponder(z.Update([]zone.Change{{Name: "web1", Member: web1}}))
	for _, tt := range []struct {
		qname string
		edns  bool
		stale bool
	}{
		{"web.service.gossip.", true, true},
		{"web.service.gossip.", false, true},
		{"web1.node.gossip.", true, true},
		{"web2.node.gossip.", true, false},
		{"nope.node.gossip.", true, false},
	} {
		m := new(dns.Msg)
		m.SetQuestion(tt.qname, dns.TypeA)
		if tt.edns {
			m.SetEdns0(1232, false)
		}
		before := r.stats.read().Stale
		reply := ask(t, r, m, overUDP)
		var errs []uint16
		if opt := reply.IsEdns0(); opt != nil {
			for _, o := range opt.Option {
				if ede, ok := o.(*dns.EDNS0_EDE); ok {
					errs = append(errs, ede.InfoCode)
				}
			}
		}
		want := []uint16(nil)
		if tt.edns && tt.stale {
			want = []uint16{dns.ExtendedErrorCodeStaleAnswer}
		}
		if !slices.Equal(errs, want) || tt.stale && len(reply.Answer) == 0 {
			t.Errorf("%s, EDNS %t: got extended errors %v with %v; want %v", tt.qname, tt.edns, errs, reply.Answer, want)
		}
		if counted := r.stats.read().Stale > before; counted != tt.stale {
			t.Errorf("%s: counted as stale is %t", tt.qname, counted)
		}
	}
}
