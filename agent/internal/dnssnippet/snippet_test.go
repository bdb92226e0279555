package dnssnippet

import (
	"flag"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

var variants = map[string]Params{
	"": {Zone: "gossip.", Addr: netip.MustParseAddrPort("127.0.0.1:8600"), Service: "web"},
	"-signed": {
		Zone: "fleet.example.org", Addr: netip.MustParseAddrPort("[2001:db8::53]:53"), Service: "api",
		Anchor: []string{"2371 13 2 1F987CC6583E92DF0890718C42A4B5B1DBB1B7E9C2B1C2D4E2D8F3A1A55B0C11"},
	},
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for _, kind := range Kinds() {
		for suffix, p := range variants {
			got, err := Render(kind, p)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", kind+suffix+".golden")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s is not as in %s (go test -update writes it):\n%s", kind, file, got)
			}
		}
	}
}

// TestDocumented: what the documentation shows is what is printed.
func TestDocumented(t *testing.T) {
	t.Parallel()
	docs, err := os.ReadFile("../../../docs/dns.md")
	if err != nil {
		t.Fatal(err)
	}
	text, err := Render("unbound", variants[""])
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(docs), "$ gossip dns snippet unbound\n"+text+"```") {
		t.Errorf("docs/dns.md does not show\n%s", text)
	}
}

// checkers are how the programs check a file themselves. CoreDNS and systemd-resolved have no such way.
var checkers = map[string]struct {
	program string
	args    func(file string) []string
	frame   string // what a file must have besides
}{
	"unbound": {"unbound-checkconf", func(f string) []string { return []string{f} }, ""},
	"bind":    {"named-checkconf", func(f string) []string { return []string{f} }, ""},
	"dnsmasq": {"dnsmasq", func(f string) []string { return []string{"--test", "-C", f} }, ""},
	"haproxy": {"haproxy", func(f string) []string { return []string{"-c", "-f", f} },
		"defaults\n  mode tcp\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\nlisten other\n  bind 127.0.0.1:1\n"},
}

// TestAccepted has the real programs read what is printed for them.
func TestAccepted(t *testing.T) {
	t.Parallel()
	for kind, check := range checkers {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			program := lookup(t, check.program)
			for suffix, p := range variants {
				text, err := Render(kind, p)
				if err != nil {
					t.Fatal(err)
				}
				file := filepath.Join(t.TempDir(), kind+".conf")
				if err := os.WriteFile(file, []byte(check.frame+text), 0o600); err != nil {
					t.Fatal(err)
				}
				if out, err := exec.CommandContext(t.Context(), program, check.args(file)...).CombinedOutput(); err != nil {
					t.Errorf("%s%s: %v\n%s\n%s", kind, suffix, err, out, text)
				}
			}
		})
	}
}

// lookup finds a program, also where Debian keeps daemons. One that is missing skips the test; in CI that is a fault.
func lookup(t *testing.T, program string) string {
	t.Helper()
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/sbin") {
		if found, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return found
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed; run 'make deps'", program)
	}
	t.Skipf("%s is not installed", program)
	return ""
}

func TestRenderRefuses(t *testing.T) {
	t.Parallel()
	good := variants[""]
	for _, tt := range []struct {
		name, kind, want string
		edit             func(*Params)
	}{
		{"kind", "nscd", "there are: bind, coredns, dnsmasq, haproxy, systemd-resolved, unbound", func(*Params) {}},
		{"path", "../snippet", "there is no snippet", func(*Params) {}},
		{"root", "bind", "the root", func(p *Params) { p.Zone = "." }},
		{"zone", "bind", "not a DNS name", func(p *Params) { p.Zone = "a\"b" }},
		{"service", "haproxy", "not a DNS label", func(p *Params) { p.Service = "a.b" }},
		{"address", "bind", "needs the address", func(p *Params) { p.Addr = netip.AddrPort{} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := good
			tt.edit(&p)
			if _, err := Render(tt.kind, p); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}
