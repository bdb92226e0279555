package dnsserver

import (
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// program finds a program of a Debian package, or skips the test.
func program(t *testing.T, name, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed (Debian package %s)", name, pkg)
		}
		t.Skipf("%s is not installed (Debian package %s)", name, pkg)
	}
	return path
}

// run returns what a program writes.
func run(t *testing.T, path string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", path, args, err, out)
	}
	return string(out)
}

// dig runs BIND's dig against the server.
func dig(t *testing.T, s *Server, args ...string) string {
	t.Helper()
	path := program(t, "dig", "bind9-dnsutils")
	addr := netip.MustParseAddrPort(s.Addr())
	return run(t, path, append([]string{"@" + addr.Addr().String(), "-p", strings.Split(s.Addr(), ":")[1], "+tries=3", "+time=5"}, args...)...)
}

func TestDig(t *testing.T) {
	t.Parallel()
	z := testZone(t, 100, zone.OrderStable)
	s := start(t, Config{Addr: "127.0.0.1:0", Source: func() *zone.Zone { return z }})
	tests := []struct {
		args string
		want []string // each a regular expression that must be found
		deny string   // one that must not
	}{
		{args: "web1.node.gossip A +noedns", deny: "OPT PSEUDOSECTION",
			want: []string{`status: NOERROR`, `flags: qr aa rd; QUERY: 1, ANSWER: 1, AUTHORITY: 0, ADDITIONAL: 0`, `web1\.node\.gossip\.\s+5\s+IN\s+A\s+10\.0\.0\.1`}},
		{args: "web2.node.gossip AAAA", want: []string{`IN\s+AAAA\s+fd00::2`, `EDNS: version: 0, flags:; udp: 1232`}},
		{args: "web1.node.gossip TXT", want: []string{`TXT\s+"dc=eu"`}},
		{args: "web.service.gossip SRV", want: []string{`0 25600 8080 web1\.node\.gossip\.`, `ADDITIONAL SECTION:\nweb1\.node\.gossip\.\s+5\s+IN\s+A\s+10\.0\.0\.1`}},
		{args: "_web._tcp.service.gossip SRV", want: []string{`1 256 8082 web3\.node\.gossip\.`}},
		{args: "nope.gossip", want: []string{`status: NXDOMAIN`, `AUTHORITY SECTION:\ngossip\.\s+2\s+IN\s+SOA\s+ns-web1\.gossip\. hostmaster\.gossip\. 101 60 10 86400 2`}},
		{args: "web1.node.gossip MX", want: []string{`status: NOERROR`, `ANSWER: 0, AUTHORITY: 1`}},
		{args: "wEb1.nOde.gOssIp", want: []string{`;wEb1\.nOde\.gOssIp\.`, `wEb1\.nOde\.gOssIp\.\s+5\s+IN\s+A`}},
		{args: "gossip SOA", want: []string{`gossip\.\s+2\s+IN\s+SOA`}},
		{args: "gossip NS", want: []string{`NS\s+ns-web1\.gossip\.`, `ns-web1\.gossip\.\s+5\s+IN\s+A\s+10\.0\.0\.1`}},
		{args: "example.com", want: []string{`status: REFUSED`, `EDE: 20`}},
		{args: "web1.node.gossip +edns=1 +noednsnegotiation", want: []string{`status: BADVERS`}},
		{args: "web1.node.gossip +ednsopt=65001:00ff +cookie", want: []string{`status: NOERROR`, `COOKIE: [0-9a-f]{48} \(good\)`}},
		{args: "many.service.gossip A +noedns +ignore", want: []string{`flags: qr aa tc rd`, `ANSWER: 29`}},
		{args: "many.service.gossip A +bufsize=512 +ignore", want: []string{`flags: qr aa tc rd`, `ANSWER: 0`}},
		{args: "many.service.gossip A +bufsize=512", want: []string{`Truncated, retrying in TCP mode`, `ANSWER: 100,`, `\(TCP\)`}},
		{args: "many.service.gossip SRV +bufsize=8192", want: []string{`ANSWER: 100,`, `\(UDP\)`}, deny: `Truncated`},
		{args: "many.service.gossip SRV +tcp", want: []string{`ANSWER: 100, AUTHORITY: 0, ADDITIONAL: 101`}},
		{args: "web1.node.gossip ANY +notcp", want: []string{`ANSWER: 1,`}},
		{args: "version.bind TXT CH", want: []string{`status: REFUSED`}},
		{args: "gossip AXFR", want: []string{`Transfer failed`}},
		{args: "gossip SOA +opcode=notify", want: []string{`opcode: NOTIFY, status: REFUSED`}},
		{args: "gossip SOA +opcode=update", want: []string{`opcode: UPDATE, status: REFUSED`, `EDE: 18`}},
		{args: "example.com SOA +opcode=update", want: []string{`opcode: UPDATE, status: NOTAUTH`, `EDE: 20`}},
		{args: "web1.node.gossip +opcode=6", want: []string{`status: NOTIMP`, `EDE: 21`}},
		{args: ". +header-only +cookie", want: []string{`status: NOERROR`, `COOKIE: [0-9a-f]{48} \(good\)`}},
		{args: "web1.node.gossip +tcp +keepalive", want: []string{`TCP KEEPALIVE: 10\.0 secs`}},
		{args: "web1.node.gossip +zflag +cdflag +adflag", want: []string{`flags: qr aa rd;`}},
		{args: "web1.node.gossip +opcode=status", want: []string{`opcode: STATUS, status: NOTIMP`}},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()
			out := dig(t, s, strings.Fields(tt.args)...)
			for _, want := range tt.want {
				if !regexp.MustCompile(want).MatchString(out) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
			if tt.deny != "" && regexp.MustCompile(tt.deny).MatchString(out) {
				t.Errorf("found %q in\n%s", tt.deny, out)
			}
		})
	}
}

func TestDigNotReady(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Addr: "127.0.0.1:0", Source: func() *zone.Zone { return nil }})
	out := dig(t, s, "web1.node.gossip")
	for _, want := range []string{"status: SERVFAIL", "EDE: 14"} {
		if !slices.Contains(regexp.MustCompile(want).FindStringSubmatch(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}
