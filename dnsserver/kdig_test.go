package dnsserver

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// TestKdig: Knot's client, which knows more of EDNS and TLS than dig.
func TestKdig(t *testing.T) {
	t.Parallel()
	kdig := program(t, "kdig", "knot-dnsutils")
	z := testZone(t, 100, zone.OrderStable)
	certFile, keyFile := writeCert(t, t.TempDir(), "dns.example")
	s := start(t, Config{
		Addr: "127.0.0.1:0", TLSAddr: "127.0.0.1:0", TLSCert: certFile, TLSKey: keyFile, Source: func() *zone.Zone { return z },
		NSID: "web1", Version: "gossip 1.2.3",
	})
	const padded = `Received (468|936|1404|1872|2340|2808|3276|3744|4212|4680|5148|5616|6084|6552|7020|7488|7956) B`
	overTLS := "+tls +tls-ca=" + certFile + " +tls-hostname=dns.example "
	tests := []struct {
		tls  bool
		args string
		want []string // each a regular expression that must be found
	}{
		{args: "web1.node.gossip +nsid", want: []string{`NSID: 77656231 "web1"`}},
		{args: "web1.node.gossip +cookie", want: []string{`COOKIE: [0-9A-F]{48}\n`, `status: NOERROR`}},
		{args: "web1.node.gossip +cookie=01020304050607080102030405060708", want: []string{`COOKIE: 010203040506070801000000`, `status: NOERROR`}},
		{args: "web1.node.gossip +ednsopt=10:0102030405", want: []string{`status: FORMERR`}},
		{args: "many.service.gossip +bufsize=512 +ignore", want: []string{`Flags: qr aa tc rd; QUERY: 1; ANSWER: 0`}},
		{args: "many.service.gossip +bufsize=512", want: []string{`Flags: qr aa rd; QUERY: 1; ANSWER: 100`, `\(TCP\)`}},
		{args: "web1.node.gossip +ednsopt=5:0102 +ednsopt=65001", want: []string{`status: NOERROR`, `ANSWER: 1`}},
		{args: "web1.node.gossip +edns=3", want: []string{`(?s)Version: 0.*BADVERS`}},
		{args: "web1.node.gossip +tcp +ednsopt=11", want: []string{`Option \(11\): 0064`}},
		{args: "+tcp +keepopen web1.node.gossip web2.node.gossip AAAA", want: []string{`10\.0\.0\.1\n(?s:.*)fd00::2\n`}},
		{args: "version.bind TXT CH", want: []string{`"gossip 1\.2\.3"`}},
		{args: "id.server TXT CH", want: []string{`"web1"`}},
		{args: "gossip -t NOTIFY=7", want: []string{`opcode: NOTIFY; status: REFUSED`}},
		{tls: true, args: "web1.node.gossip +nsid +cookie +padding", want: []string{`TLS session \(TLS1\.3\)`, `PADDING: \d+ B`, padded, `NSID: 77656231`, `COOKIE:`}},
		{tls: true, args: "many.service.gossip SRV", want: []string{`ANSWER: 100; AUTHORITY: 0; ADDITIONAL: 101`}},
		{tls: true, args: "many.service.gossip SRV +padding", want: []string{padded}},
		{tls: true, args: "+keepopen web1.node.gossip web2.node.gossip AAAA", want: []string{`10\.0\.0\.1\n(?s:.*)fd00::2\n`}},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()
			addr, args := netip.MustParseAddrPort(s.Addr()), tt.args
			if tt.tls {
				addr, args = netip.MustParseAddrPort(s.TLSAddr()), overTLS+args
			}
			args = fmt.Sprintf("@%s -p %d +retry=2 +time=10 %s", addr.Addr(), addr.Port(), args)
			out := run(t, kdig, strings.Fields(args)...)
			for _, want := range tt.want {
				if !regexp.MustCompile(want).MatchString(out) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
		})
	}
}

// TestPipelining: a client that keeps many queries under way on few connections gets an answer to each.
func TestPipelining(t *testing.T) {
	t.Parallel()
	dnsperf := program(t, "dnsperf", "dnsperf")
	z := testZone(t, 100, zone.OrderRandom)
	dir := t.TempDir()
	certFile, keyFile := writeCert(t, dir, "dns.example")
	s := start(t, Config{
		Addr: "127.0.0.1:0", TLSAddr: "127.0.0.1:0", TLSCert: certFile, TLSKey: keyFile, Source: func() *zone.Zone { return z },
	})
	var queries strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&queries, "many%04d.node.gossip A\nmany.service.gossip SRV\n", i%100)
	}
	file := filepath.Join(dir, "queries")
	if err := os.WriteFile(file, []byte(queries.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, listening := range map[string]string{"tcp": s.Addr(), "dot": s.TLSAddr()} {
		addr := netip.MustParseAddrPort(listening)
		out := run(t, dnsperf, "-m", mode, "-s", addr.Addr().String(), "-p", fmt.Sprint(addr.Port()), "-d", file, "-n", "1", "-c", "3", "-q", "60", "-t", "60")
		for _, want := range []string{`Queries completed: +2000 \(100\.00%\)`, `Response codes: +NOERROR 2000 \(100\.00%\)`} {
			if !regexp.MustCompile(want).MatchString(out) {
				t.Errorf("%s: no %q in\n%s", mode, want, out)
			}
		}
	}
	if got := s.Stats(); got.TCP != 2000 || got.TLS != 2000 || got.TCPRefused != 0 {
		t.Errorf("stats %+v", got)
	}
}
