package dnsserver

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/dnssec"
	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

func newKey(t *testing.T, name string, a dnssec.Algorithm) *dnssec.Key {
	t.Helper()
	k, err := dnssec.Generate(name, a)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newSigner(t *testing.T, keys ...*dnssec.Key) *dnssec.Signer {
	t.Helper()
	s, err := dnssec.NewSigner(keys)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// signWith has the responder sign with these keys.
func (r *responder) signWith(s *dnssec.Signer) {
	r.policy.identity = newIdentityRef(identity{signer: s})
}

// verifier checks every set of a reply, and returns the types of the NSEC record if there is one.
type verifier struct {
	t   *testing.T
	key *dns.DNSKEY
}

func newVerifier(t *testing.T, k *dnssec.Key) *verifier {
	t.Helper()
	rr, err := dns.NewRR(k.DNSKEY())
	if err != nil {
		t.Fatal(err)
	}
	key, ok := rr.(*dns.DNSKEY)
	if !ok {
		t.Fatalf("%v is no DNSKEY", rr)
	}
	return &verifier{t, key}
}

func (v *verifier) check(m *dns.Msg) (nsec *dns.NSEC) {
	v.t.Helper()
	for _, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		sets := map[string][]dns.RR{}
		sigs := map[string]*dns.RRSIG{}
		for _, rr := range section {
			switch rr := rr.(type) {
			case *dns.OPT:
			case *dns.RRSIG:
				sigs[strings.ToLower(rr.Hdr.Name)+dns.Type(rr.TypeCovered).String()] = rr
			default:
				h := rr.Header()
				k := strings.ToLower(h.Name) + dns.Type(h.Rrtype).String()
				sets[k] = append(sets[k], rr)
				if n, ok := rr.(*dns.NSEC); ok {
					nsec = n
				}
			}
		}
		for k, set := range sets {
			if sig := sigs[k]; sig == nil {
				v.t.Errorf("no signature of %s in\n%v", k, m)
			} else if err := sig.Verify(v.key, set); err != nil || !sig.ValidityPeriod(time.Now()) {
				v.t.Errorf("%v: %v", sig, err)
			}
		}
	}
	return nsec
}

func secureQuery(name string, qtype uint16) *dns.Msg {
	m := new(dns.Msg).SetQuestion(name, qtype)
	m.SetEdns0(4096, true)
	return m
}

func TestSignedAnswers(t *testing.T) {
	t.Parallel()
	z := testZone(t, 100, zone.OrderRandom)
	k := newKey(t, "gossip", dnssec.ECDSAP256)
	v := newVerifier(t, k)
	r := newResponder(z)
	r.signWith(newSigner(t, k))
	r.quick = newQuick(&r.policy, r.stats)
	for do, m := range map[bool]*dns.Msg{true: new(dns.Msg).SetQuestion("web1.node.gossip.", dns.TypeA), false: new(dns.Msg).SetQuestion("nope.gossip.", dns.TypeA)} {
		m.SetEdns0(4096, do)
		m.IsEdns0().SetCo()
		if got := ask(t, r, m, overUDP).IsEdns0(); got == nil || got.Co() != do {
			t.Errorf("asked with CO, and DO %v: %v", do, got)
		}
	}
	for _, tt := range []struct {
		name    string
		qtype   uint16
		answers int // without signatures
	}{
		{"web1.node.gossip.", dns.TypeA, 1},
		{"wEb1.nOde.gossip.", dns.TypeTXT, 2},
		{"web.service.gossip.", dns.TypeSRV, 3},
		{"many.service.gossip.", dns.TypeA, 100},
		{"eu.dc.web.service.gossip.", dns.TypeA, 1},
		{"gossip.", dns.TypeSOA, 1},
		{"gossip.", dns.TypeNS, 1},
		{"gossip.", dns.TypeDNSKEY, 1},
		{"gossip.", dns.TypeCDS, 1},
		{"gosSIP.", dns.TypeCDNSKEY, 1},
		{"web2.node.gossip.", dns.TypeANY, 1},
		{"web2.node.gossip.", dns.TypeNSEC, 1},
	} {
		for range 2 { // from the cache, and in another order
			m := ask(t, r, secureQuery(tt.name, tt.qtype), path{tcp: true, udpLimit: 4096})
			v.check(m)
			if want := tt.answers + 1; len(m.Answer) != want || m.Rcode != dns.RcodeSuccess || m.AuthenticatedData || m.CheckingDisabled || !m.IsEdns0().Do() {
				t.Errorf("%s %s: %d answers, want %d\n%v", tt.name, dns.Type(tt.qtype), len(m.Answer), want, m)
			}
			if m.Answer[0].Header().Name != tt.name {
				t.Errorf("%s: the owner is spelled %s", tt.name, m.Answer[0].Header().Name)
			}
		}
		plain := ask(t, r, new(dns.Msg).SetQuestion(tt.name, tt.qtype), overTCP)
		if len(plain.Answer) != tt.answers {
			t.Errorf("%s %s without DO: %v", tt.name, dns.Type(tt.qtype), plain)
		}
	}
	sigs := ask(t, r, secureQuery("web2.node.gossip.", dns.TypeRRSIG), overTCP)
	if len(sigs.Answer) != 1 || sigs.Answer[0].Header().Rrtype != dns.TypeRRSIG {
		t.Errorf("RRSIG: %v", sigs)
	}
}

// TestSignedHosts: what is additional is signed as far as there is room, and the answer is never harmed by it.
func TestSignedHosts(t *testing.T) {
	t.Parallel()
	k := newKey(t, "gossip", dnssec.Ed25519)
	v := newVerifier(t, k)
	r := newResponder(testZone(t, 30, zone.OrderRandom))
	r.signWith(newSigner(t, k))
	for _, limit := range []int{512, 1232, 1800, 2500, 4096} {
		q := secureQuery("many.service.gossip.", dns.TypeSRV)
		q.IsEdns0().SetUDPSize(uint16(limit))
		m := ask(t, r, q, path{udpLimit: 4096})
		if m.Truncated {
			if limit > 1800 || len(m.Answer)+len(m.Extra) != 1 {
				t.Errorf("%d octets: truncated\n%v", limit, m)
			}
			continue
		}
		m.Extra = slices.DeleteFunc(m.Extra, func(rr dns.RR) bool { // those without a signature
			return rr.Header().Rrtype == dns.TypeA && !slices.ContainsFunc(m.Extra, func(sig dns.RR) bool {
				return sig.Header().Rrtype == dns.TypeRRSIG && sig.Header().Name == rr.Header().Name
			})
		})
		v.check(m)
		if len(m.Answer) != 31 {
			t.Errorf("%d octets: %d answers", limit, len(m.Answer))
		}
	}
}

// TestHugeSignedAnswer: a set that is cut to 64 KiB is a sample, and signed as such.
func TestHugeSignedAnswer(t *testing.T) {
	t.Parallel()
	k := newKey(t, "gossip", dnssec.ECDSAP256)
	r := newResponder(testZone(t, 5000, zone.OrderRandom))
	r.signWith(newSigner(t, k))
	m := ask(t, r, secureQuery("many.service.gossip.", dns.TypeA), overTCP)
	newVerifier(t, k).check(m)
	if len(m.Answer) < 4000 {
		t.Errorf("%d answers", len(m.Answer))
	}
}

func TestSignedDenial(t *testing.T) {
	t.Parallel()
	k := newKey(t, "gossip", dnssec.ECDSAP256)
	v := newVerifier(t, k)
	r := newResponder(testZone(t, 0, zone.OrderRandom))
	r.signWith(newSigner(t, k))
	r.quick = newQuick(&r.policy, r.stats)
	for _, tt := range []struct {
		name  string
		qtype uint16
		types string
	}{
		{"web1.node.gossip.", dns.TypeAAAA, "A TXT RRSIG NSEC"},
		{"web1.node.gossip.", dns.TypeMX, "A TXT RRSIG NSEC"},
		{"web1.node.gossip.", dns.TypeDNSKEY, "A TXT RRSIG NSEC"},
		{"gossip.", dns.TypeA, "NS SOA RRSIG NSEC DNSKEY CDS CDNSKEY"},
		{"gossip.", dns.TypeDS, "NS SOA RRSIG NSEC DNSKEY CDS CDNSKEY"},
		{"service.gossip.", dns.TypeA, "RRSIG NSEC"},
		{"nOpe.gossip.", dns.TypeA, "RRSIG NSEC NXNAME"},
		{"*.gossip.", dns.TypeA, "RRSIG NSEC NXNAME"},
		{`\000.\255\032.service.gossip.`, dns.TypeA, "RRSIG NSEC NXNAME"},
	} {
		nonexistent := strings.HasSuffix(tt.types, "NXNAME")
		for _, compact := range []bool{false, true} {
			q := secureQuery(tt.name, tt.qtype)
			q.IsEdns0().SetCo(compact)
			m := ask(t, r, q, path{udpLimit: 1232})
			nsec := v.check(m)
			if nsec == nil || len(m.Answer) > 0 || len(m.Ns) != 4 {
				t.Fatalf("%s %s: %v", tt.name, dns.Type(tt.qtype), m)
			}
			var types []string
			for _, typ := range nsec.TypeBitMap {
				types = append(types, dns.Type(typ).String())
			}
			if got := strings.Join(types, " "); got != tt.types || nsec.Hdr.Name != m.Question[0].Name {
				t.Errorf("%s: NSEC of %s with types %s, want %s", tt.name, nsec.Hdr.Name, got, tt.types)
			}
			want := dns.RcodeSuccess
			if nonexistent && compact {
				want = dns.RcodeNameError
			}
			if m.Rcode != want || nsec.Hdr.Ttl != 2 {
				t.Errorf("%s, compact %v: rcode %d, want %d; TTL %d", tt.name, compact, m.Rcode, want, nsec.Hdr.Ttl)
			}
			if m.IsEdns0().Co() != compact {
				t.Errorf("%s, compact %v: the reply says otherwise", tt.name, compact)
			}
		}
		plain := ask(t, r, new(dns.Msg).SetQuestion(tt.name, tt.qtype), overUDP)
		if (plain.Rcode == dns.RcodeNameError) != nonexistent || len(plain.Ns) != 1 {
			t.Errorf("%s without DO: %v", tt.name, plain)
		}
	}
}

// TestUnsignedZones: a key signs its own zone and no other, and errors are not signed.
func TestUnsignedZones(t *testing.T) {
	t.Parallel()
	z, err := zone.New(zone.Config{Origin: "gossip.", Self: "web1", Reverse: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	if err != nil {
		t.Fatal(err)
	}
	z = z.Update([]zone.Change{{Name: "web1", Member: &zone.Member{
		Name: "web1", Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.1")}, Live: true,
	}}})
	reverse := newKey(t, "10.in-addr.arpa", dnssec.ECDSAP256)
	r := newResponder(z)
	r.signWith(newSigner(t, reverse))
	q := secureQuery("web1.node.gossip.", dns.TypeA)
	q.IsEdns0().SetCo()
	if m := ask(t, r, q, overUDP); len(m.Answer) != 1 || m.IsEdns0().Co() {
		t.Errorf("a zone without a key: %v", m)
	}
	m := ask(t, r, secureQuery("1.0.0.10.in-addr.arpa.", dns.TypePTR), overUDP)
	if newVerifier(t, reverse).check(m); len(m.Answer) != 2 {
		t.Errorf("a reverse zone: %v", m)
	}
	newVerifier(t, reverse).check(ask(t, r, secureQuery("2.0.0.10.in-addr.arpa.", dns.TypePTR), overUDP))
	if m := ask(t, r, secureQuery("example.com.", dns.TypeA), overUDP); m.Rcode != dns.RcodeRefused || len(m.Ns) > 0 {
		t.Errorf("out of zone: %v", m)
	}
	r.source = func() *zone.Zone { return z.WithTrust(zone.Doubtful) }
	if m := ask(t, r, secureQuery("3.0.0.10.in-addr.arpa.", dns.TypePTR), overUDP); m.Rcode != dns.RcodeServerFailure || len(m.Ns) > 0 {
		t.Errorf("in doubt: %v", m)
	}
}

// TestDelv has BIND's validator check what is signed, from nothing but the DS record.
func TestDelv(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("delv")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("delv is not installed (Debian package bind9-dnsutils)")
		}
		t.Skip("delv is not installed (Debian package bind9-dnsutils)")
	}
	for _, a := range []dnssec.Algorithm{dnssec.ECDSAP256, dnssec.Ed25519} {
		k := newKey(t, "gossip", a)
		z := testZone(t, 100, zone.OrderRandom)
		s := start(t, Config{Addr: "127.0.0.1:0", Source: func() *zone.Zone { return z }, Signer: newSigner(t, k)})
		f := strings.Fields(k.Anchor())
		anchors := filepath.Join(t.TempDir(), "anchors")
		text := `trust-anchors { "gossip." static-ds ` + strings.Join(f[:3], " ") + ` "` + f[3] + `"; };`
		if err := os.WriteFile(anchors, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		addr := netip.MustParseAddrPort(s.Addr())
		for args, want := range map[string]string{
			"web1.node.gossip A":           "; fully validated",
			"wEb.service.gossip SRV":       "; fully validated",
			"_web._tcp.service.gossip SRV": "; fully validated",
			"many.service.gossip A":        "; fully validated",
			"gossip SOA":                   "; fully validated",
			"gossip DNSKEY":                "; fully validated",
			"web1.node.gossip AAAA":        "; negative response, fully validated",
			"service.gossip A":             "; negative response, fully validated",
			"nope.gossip A":                "; negative response, fully validated",
			"a.b.c.nope.gossip SRV":        "; negative response, fully validated",
		} {
			t.Run(a.String()+" "+args, func(t *testing.T) {
				t.Parallel()
				cmd := append([]string{"@127.0.0.1", "-p", strings.Split(addr.String(), ":")[1], "-a", anchors, "+root=gossip."}, strings.Fields(args)...)
				out, err := exec.CommandContext(t.Context(), path, cmd...).CombinedOutput()
				if err != nil || !strings.Contains(string(out), want) {
					t.Errorf("%v: no %q in\n%s", err, want, out)
				}
			})
		}
	}
}
