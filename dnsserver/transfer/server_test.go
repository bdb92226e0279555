package transfer

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/record"
	"github.com/seed-645ce708/gossip/dnsserver/tsig"
	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// primary is a zone that changes, and the server that hands it out.
type primary struct {
	zone   atomic.Pointer[zone.Zone]
	server *Server
}

func newPrimary(t testing.TB, members int, rules ...string) *primary {
	t.Helper()
	z, err := zone.New(zone.Config{
		Origin: "gossip.", Self: "n0", Serial: 0xfffffff0, NodeTTL: 5 * time.Second, NegativeTTL: 2 * time.Second,
		Reverse: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	})
	if err != nil {
		t.Fatal(err)
	}
	p := &primary{}
	var changes []zone.Change
	for i := range members {
		changes = append(changes, member(i, 0))
	}
	p.zone.Store(z.Update(changes))
	cfg := Config{Source: p.zone.Load}
	for _, text := range rules {
		r, err := ParseRule(text)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Allow = append(cfg.Allow, r)
	}
	p.server = New(cfg)
	return p
}

// member makes one that is different with each version.
func member(i, version int) zone.Change {
	name := fmt.Sprintf("n%d", i)
	return zone.Change{Name: name, Member: &zone.Member{
		Name: name, Live: true, Nameserver: i%7 == 1,
		Addrs:    []netip.Addr{netip.AddrFrom4([4]byte{10, byte(version), byte(i >> 8), byte(i)})},
		Tags:     map[string]string{"dc": fmt.Sprint("dc", version%3), "odd": "\"a\\b\x00\xff; é", "long": strings.Repeat("x", 300)},
		Services: []zone.Service{{Name: fmt.Sprint("svc", (i+version)%5), Port: 80, Weight: uint16(1 + version%9)}},
	}}
}

// ask has the server answer a query, and returns all messages, or the error of Serve.
func (p *primary) ask(t testing.TB, query *dns.Msg, req Request) ([]*dns.Msg, error) {
	t.Helper()
	packet, err := query.Pack()
	if err != nil {
		t.Fatal(err)
	}
	req.Packet = packet
	if !req.From.IsValid() {
		req.From = netip.MustParseAddr("192.0.2.1")
	}
	if !req.TCP {
		req.Limit = 1232
	}
	if !p.server.Admits(req.From, req.Signed) {
		return nil, errors.New("not admitted")
	}
	var messages []*dns.Msg
	err = p.server.Serve(req, func(b []byte) error {
		m := new(dns.Msg)
		if err := m.Unpack(b); err != nil {
			t.Fatalf("message %d: %v", len(messages), err)
		}
		if m.Id != query.Id || !m.Response || len(b) > 65535 {
			t.Fatalf("message %d: %v", len(messages), m)
		}
		messages = append(messages, m)
		return nil
	})
	return messages, err
}

func axfr(name string) *dns.Msg { return new(dns.Msg).SetAxfr(name) }

func ixfr(name string, serial uint32) *dns.Msg {
	return new(dns.Msg).SetIxfr(name, serial, "ns."+name, "hostmaster."+name)
}

// secondary is a copy of a zone, as others would keep it.
type secondary struct {
	serial  uint32
	records map[string]bool
	full    int // transfers
	inc     int
}

// refresh brings the copy up to date as RFC 1995 and RFC 5936 say.
func (s *secondary) refresh(t testing.TB, p *primary, origin string, req Request) {
	t.Helper()
	query := ixfr(origin, s.serial)
	if s.records == nil {
		query = axfr(origin)
	}
	messages, err := p.ask(t, query, req)
	if err != nil {
		t.Fatal(err)
	}
	var answer []dns.RR
	for _, m := range messages {
		if m.Rcode != dns.RcodeSuccess || !m.Authoritative {
			t.Fatalf("got %v", m)
		}
		answer = append(answer, m.Answer...)
	}
	newest := answer[0].(*dns.SOA).Serial
	if len(answer) == 1 {
		if newest != s.serial && req.TCP {
			t.Fatalf("one record, and %d is not %d", newest, s.serial)
		}
		return
	}
	last, ok := answer[len(answer)-1].(*dns.SOA)
	if !ok || last.Serial != newest {
		t.Fatalf("it ends with %v", answer[len(answer)-1])
	}
	body := answer[1 : len(answer)-1]
	if old, ok := answer[1].(*dns.SOA); !ok {
		s.full++
		s.records = map[string]bool{}
		for _, rr := range body {
			if s.records[rr.String()] {
				t.Errorf("%v twice", rr)
			}
			s.records[rr.String()] = true
		}
	} else {
		s.inc++
		if old.Serial != s.serial {
			t.Fatalf("an increment from %d, and we have %d", old.Serial, s.serial)
		}
		adding := false
		for _, rr := range body[1:] {
			text := rr.String()
			switch _, isSOA := rr.(*dns.SOA); {
			case isSOA:
				adding = true
			case adding && s.records[text], !adding && !s.records[text]:
				t.Fatalf("adding %v: %v", adding, rr)
			case adding:
				s.records[text] = true
			default:
				delete(s.records, text)
			}
		}
	}
	s.serial = newest
}

// is compares the copy with the zone.
func (s *secondary) is(t testing.TB, z *zone.Zone) {
	t.Helper()
	if s.serial != z.Serial() {
		t.Fatalf("serial %d, want %d", s.serial, z.Serial())
	}
	want := map[string]bool{}
	for owner, set := range z.RRsets() {
		for _, rr := range record.Of(owner, set) {
			if set.Type != zone.TypeSOA {
				want[rr.String()] = true
			}
		}
	}
	for text := range want {
		if !s.records[text] {
			t.Errorf("missing: %s", text)
		}
	}
	for text := range s.records {
		if !want[text] {
			t.Errorf("too much: %s", text)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
}

// Secondaries follow through hundreds of changes and around the end of serials, each at its own pace.
func TestSecondaries(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, 40, "192.0.2.0/24")
	rng := rand.New(rand.NewPCG(1, 2))
	origins := []string{"gossip.", "10.in-addr.arpa."}
	zoneOf := func(i int) *zone.Zone {
		if i == 0 {
			return p.zone.Load()
		}
		return p.zone.Load().Reverse()[0]
	}
	copies := [3][2]secondary{}
	for step := range 300 {
		var changes []zone.Change
		for range 1 + rng.IntN(3) {
			c := member(rng.IntN(45), rng.IntN(9))
			if rng.IntN(5) == 0 {
				c.Member = nil
			}
			changes = append(changes, c)
		}
		p.zone.Store(p.zone.Load().Update(changes))
		for i := range copies {
			if step%(1+3*i) == 0 {
				for j := range origins {
					copies[i][j].refresh(t, p, origins[j], Request{TCP: true, From: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})})
					copies[i][j].is(t, zoneOf(j))
				}
			}
		}
	}
	for i := range copies {
		if c := &copies[i][0]; c.full != 1 || c.inc < 40 {
			t.Errorf("secondary %d: %d full, %d incremental", i, c.full, c.inc)
		}
	}
	if s := p.server.Stats(); s.Full != 6 || s.Fallback != 0 || s.Incremental < 300 || s.Failed != 0 || s.Running != 0 || s.Changes == 0 {
		t.Errorf("%+v", s)
	}
}

// Who has a version that is not from us, or too old, gets all of the zone.
func TestFallback(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, 10, "192.0.2.1", "192.0.2.2")
	var a, b secondary
	tcp := Request{TCP: true, From: netip.MustParseAddr("192.0.2.1")}
	a.refresh(t, p, "gossip.", tcp)
	// b has the same serial, as from another agent.
	b = secondary{serial: a.serial, records: map[string]bool{"other": true}}
	p.zone.Store(p.zone.Load().Update([]zone.Change{member(1, 5)}))
	b.refresh(t, p, "gossip.", Request{TCP: true, From: netip.MustParseAddr("192.0.2.2")})
	b.is(t, p.zone.Load())
	a.refresh(t, p, "gossip.", tcp)
	a.is(t, p.zone.Load())
	if a.full != 1 || a.inc != 1 || b.full != 1 || b.inc != 0 {
		t.Errorf("%+v, %+v", a, b)
	}
	// The journal forgets.
	for i := range maxChanges + 1 {
		p.zone.Store(p.zone.Load().Update([]zone.Change{member(1, i%2)}))
		b.refresh(t, p, "gossip.", Request{TCP: true, From: netip.MustParseAddr("192.0.2.2")})
	}
	a.refresh(t, p, "gossip.", tcp)
	a.is(t, p.zone.Load())
	b.is(t, p.zone.Load())
	if a.full != 2 || b.full != 1 {
		t.Errorf("%d, %d full", a.full, b.full)
	}
	// Nothing new, and a version from the future.
	for _, serial := range []uint32{a.serial, a.serial + 1} {
		messages, err := p.ask(t, ixfr("gossip.", serial), tcp)
		if err != nil || len(messages) != 1 || len(messages[0].Answer) != 1 {
			t.Errorf("%v, %v", messages, err)
		}
	}
	if s := p.server.Stats(); s.Fallback != 2 || s.Current != 2 {
		t.Errorf("%+v", s)
	}
}

// Over UDP there is what fits, or the way to TCP.
func TestUDP(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, 10, "0.0.0.0/0")
	var a secondary
	a.refresh(t, p, "gossip.", Request{TCP: true})
	p.zone.Store(p.zone.Load().Update([]zone.Change{{Name: "x", Member: &zone.Member{Name: "x", Addrs: []netip.Addr{netip.MustParseAddr("10.9.9.9")}}}}))
	a.refresh(t, p, "gossip.", Request{})
	a.is(t, p.zone.Load())
	if a.inc != 1 {
		t.Errorf("%d incremental", a.inc)
	}
	var many []zone.Change
	for i := range 30 {
		many = append(many, member(100+i, 1))
	}
	p.zone.Store(p.zone.Load().Update(many))
	a.refresh(t, p, "gossip.", Request{})
	if a.serial == p.zone.Load().Serial() {
		t.Error("so much fits into no packet")
	}
	a.refresh(t, p, "gossip.", Request{TCP: true})
	a.is(t, p.zone.Load())
	// An unknown version is no answer of 1000 records, but a way to TCP.
	if messages, err := p.ask(t, ixfr("gossip.", 5), Request{}); err != nil || len(messages) != 1 || len(messages[0].Answer) != 1 {
		t.Errorf("%v, %v", messages, err)
	}
	// A signature takes its part of the packet.
	key, err := tsig.NewKey("k", "hmac-sha512", "c2VjcmV0IG9mIHRoaXJ0eS10d28gb2N0ZXRzISE/Pz8=")
	if err != nil {
		t.Fatal(err)
	}
	o := sender{req: Request{Limit: 1232, Signed: tsig.NewExchange(key)}, query: ixfr("gossip.", 1)}
	delta := difference(newPrimary(t, 1).zone.Load(), newPrimary(t, 3).zone.Load())
	for n := range delta.Added {
		d := delta
		d.Added = delta.Added[:n]
		var sent int
		o.write = func(b []byte) error { sent = len(b); return nil }
		o.messages = 0
		fits := o.fits(d)
		if err := o.delta(d); err != nil {
			t.Fatal(err)
		}
		if fits && sent > 1232 || !fits && sent < 1100 {
			t.Errorf("%d records: fits %v, %d octets", n, fits, sent)
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, 3, "192.0.2.1")
	two := axfr("gossip.")
	two.Question = append(two.Question, two.Question[0])
	bare := ixfr("gossip.", 1)
	bare.Ns = nil
	chaos := axfr("gossip.")
	chaos.Question[0].Qclass = dns.ClassCHAOS
	for name, tt := range map[string]struct {
		query *dns.Msg
		tcp   bool
		want  int
	}{
		"not the origin":       {axfr("node.gossip."), true, dns.RcodeNotAuth},
		"not ours":             {axfr("example.com."), true, dns.RcodeNotAuth},
		"another class":        {chaos, true, dns.RcodeNotAuth},
		"all over UDP":         {axfr("gossip."), false, dns.RcodeFormatError},
		"no version":           {bare, true, dns.RcodeFormatError},
		"two questions":        {two, true, dns.RcodeFormatError},
		"case":                 {axfr("GosSip."), true, dns.RcodeSuccess},
		"a zone of addresses":  {axfr("10.in-addr.arpa."), true, dns.RcodeSuccess},
		"no zone of addresses": {axfr("11.in-addr.arpa."), true, dns.RcodeNotAuth},
		"inside one":           {axfr("1.10.in-addr.arpa."), true, dns.RcodeNotAuth},
	} {
		tt.query.SetEdns0(1232, false)
		messages, err := p.ask(t, tt.query, Request{TCP: tt.tcp})
		if err != nil || messages[0].Rcode != tt.want || messages[0].IsEdns0() == nil {
			t.Errorf("%s: %v, %v", name, messages, err)
		}
		if err == nil && tt.want != dns.RcodeSuccess && (len(messages) != 1 || len(messages[0].Answer) > 0 || len(messages[0].IsEdns0().Option) != 1) {
			t.Errorf("%s: %v", name, messages)
		}
	}
	if p.server.Admits(netip.MustParseAddr("192.0.2.2"), nil) || newPrimary(t, 1).server.Admits(netip.MustParseAddr("127.0.0.1"), nil) {
		t.Error("who is not allowed is admitted")
	}
	p.zone.Store(nil)
	if messages, err := p.ask(t, axfr("gossip."), Request{TCP: true}); err != nil || messages[0].Rcode != dns.RcodeServerFailure {
		t.Errorf("without a zone: %v, %v", messages, err)
	}
}

// Only so many transfers run at a time, and one whose client goes away gives its place back.
func TestBusy(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, 2000, "0.0.0.0/0")
	query, err := axfr("gossip.").Pack()
	if err != nil {
		t.Fatal(err)
	}
	release, done := make(chan struct{}), make(chan error)
	started := make(chan struct{}, DefaultMaxTransfers)
	gone := errors.New("gone")
	for range DefaultMaxTransfers {
		go func() {
			first := true
			done <- p.server.Serve(Request{Packet: query, TCP: true, From: netip.MustParseAddr("192.0.2.1")}, func([]byte) error {
				if first {
					first = false
					started <- struct{}{}
					<-release
					return nil
				}
				return gone
			})
		}()
	}
	for range DefaultMaxTransfers {
		<-started
	}
	messages, err := p.ask(t, axfr("gossip."), Request{TCP: true})
	if err != nil || len(messages) != 1 || messages[0].Rcode != dns.RcodeServerFailure {
		t.Errorf("one too many: %v, %v", messages, err)
	}
	close(release)
	for range DefaultMaxTransfers {
		if err := <-done; !errors.Is(err, gone) {
			t.Errorf("got %v", err)
		}
	}
	messages, err = p.ask(t, axfr("gossip."), Request{TCP: true})
	if err != nil || len(messages) < 10 || messages[1].Question != nil {
		t.Errorf("after: %d messages, %v", len(messages), err)
	}
	if s := p.server.Stats(); s.Busy != 1 || s.Failed != DefaultMaxTransfers || s.Running != 0 {
		t.Errorf("%+v", s)
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"10.0.0.0/8":            "10.0.0.0/8",
		"10.1.2.3/8":            "10.0.0.0/8",
		"127.0.0.1":             "127.0.0.1/32",
		"::ffff:127.0.0.1":      "127.0.0.1/32",
		"fd00::/8":              "fd00::/8",
		"key=A.b":               "key=a.b.",
		" key=a.  10.0.0.0/8 ":  "10.0.0.0/8 key=a.",
		"":                      "",
		"10.0.0.0/8 10.0.0.0/8": "",
		"key=a key=b":           "",
		"key=":                  "",
		"key=a..b":              "",
		"host":                  "",
		"10.0.0.0/33":           "",
		"::ffff:10.0.0.0/104":   "",
	} {
		r, err := ParseRule(text)
		if (err != nil) != (want == "") || err == nil && r.String() != want {
			t.Errorf("%q: %v, %v", text, r, err)
		}
	}
	for _, tt := range []struct {
		rule, addr, key string
		want            bool
	}{
		{"10.0.0.0/8", "10.1.1.1", "", true},
		{"10.0.0.0/8", "::ffff:10.1.1.1", "", true},
		{"10.0.0.0/8", "10.1.1.1", "any.", true},
		{"10.0.0.0/8", "11.1.1.1", "", false},
		{"key=a", "11.1.1.1", "a.", true},
		{"key=a", "11.1.1.1", "b.", false},
		{"key=a", "11.1.1.1", "", false},
		{"10.0.0.0/8 key=a", "10.1.1.1", "a.", true},
		{"10.0.0.0/8 key=a", "10.1.1.1", "", false},
		{"10.0.0.0/8 key=a", "11.1.1.1", "a.", false},
		{"fe80::/10", "fe80::1%eth0", "", true},
	} {
		r, err := ParseRule(tt.rule)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.admits(netip.MustParseAddr(tt.addr), tt.key); got != tt.want {
			t.Errorf("%v admits %s with %q: %v", r, tt.addr, tt.key, got)
		}
	}
	if (Rule{}).admits(netip.MustParseAddr("127.0.0.1"), "a.") {
		t.Error("the empty rule admits")
	}
}

// Rules come and go. Where there are none, a request is no news.
func TestSetRules(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, 1)
	rule, err := ParseRule("192.0.2.0/24")
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		rules   []Rule
		from    string
		admits  bool
		refused uint64
	}{
		{nil, "192.0.2.1", false, 0},
		{[]Rule{rule}, "192.0.2.1", true, 0},
		{[]Rule{rule}, "198.51.100.1", false, 1},
		{nil, "192.0.2.1", false, 1},
	} {
		p.server.SetRules(step.rules)
		if got := p.server.Admits(netip.MustParseAddr(step.from), nil); got != step.admits || p.server.Stats().Refused != step.refused {
			t.Errorf("%v, %s: admitted %v, %d refused", step.rules, step.from, got, p.server.Stats().Refused)
		}
	}
}

func FuzzServe(f *testing.F) {
	p := newPrimary(f, 5, "0.0.0.0/0")
	for _, m := range []*dns.Msg{axfr("gossip."), ixfr("gossip.", p.zone.Load().Serial()-1), ixfr("10.in-addr.arpa.", 0)} {
		b, err := m.SetEdns0(1232, false).Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, true)
		f.Add(b, false)
	}
	f.Fuzz(func(t *testing.T, packet []byte, tcp bool) {
		before := slices.Clone(packet)
		sent := 0
		err := p.server.Serve(Request{Packet: packet, TCP: tcp, Limit: 512, From: netip.MustParseAddr("192.0.2.1")}, func(b []byte) error {
			sent++
			if err := new(dns.Msg).Unpack(b); err != nil {
				t.Error(err)
			}
			if !tcp && len(b) > 512 {
				t.Errorf("%d octets over UDP", len(b))
			}
			return nil
		})
		if err != nil || sent == 0 || !tcp && sent > 1 || !slices.Equal(packet, before) {
			t.Errorf("%v, %d messages", err, sent)
		}
	})
}
