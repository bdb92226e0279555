package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// findProgram looks where Debian keeps daemons, too. What is missing skips the test; in CI that is a fault.
func findProgram(t *testing.T, names ...string) {
	t.Helper()
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is not installed; run 'make deps'", name)
			}
			t.Skipf("%s is not installed", name)
		}
	}
}

// resolverScript runs in namespaces of its own, where the ports and files of a real host are free: a DNS server of ours
// and a resolver with just the snippet that we print, then 'gossip dns check', then questions to the resolver.
const resolverScript = `
set -e
ip link set lo up
mount --bind resolv.conf /etc/resolv.conf
gossip dns -members-file members.json -node web1 $SERVE >dns.log 2>&1 &
gossip dns snippet -dns-addr 127.0.0.1:8600 -dns-zone gossip $SNIPPET %[1]s >snippet.conf
%[2]s >resolver.log 2>&1 &
tries=0
until gossip dns check -dns-addr 127.0.0.1:8600 -dns-zone gossip >check.txt 2>&1; do
	tries=$((tries + 1))
	if [ $tries -gt 300 ]; then cat check.txt dns.log resolver.log snippet.conf; exit 1; fi
	sleep 0.1
done
cat check.txt
ask() { echo "? $*"; dig @127.0.0.1 +noall +comments +answer +tries=3 +time=5 "$@"; }
ask +short web1.node.gossip A
ask +short _web._tcp.service.gossip SRV
ask +dnssec web.service.gossip A
ask +dnssec web1.node.gossip AAAA
ask +dnssec nope.gossip A
getent ahosts web2.node.gossip
`

// TestResolvers has the resolvers forward to us by our own snippets; those that validate do, where the zone is signed.
func TestResolvers(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("resolvers of a host are tested in namespaces, which only root can make")
	}
	findProgram(t, "unshare", "dig", "getent", "unbound", "dnsmasq", "named")
	if out, err := exec.Command("unshare", "-n", "-m", "-p", "-f", "true").CombinedOutput(); err != nil {
		t.Skipf("this system makes no namespaces: %v: %s", err, out)
	}
	const (
		unbound = `printf 'server:\n  interface: 127.0.0.1\n  chroot: ""\n  username: ""\n  directory: "%s"\n  pidfile: ""\n  use-syslog: no\n` +
			`  module-config: "validator iterator"\nremote-control:\n  control-enable: no\ninclude: "snippet.conf"\n' "$PWD" >unbound.conf; exec unbound -d -c unbound.conf`
		dnsmasq = `exec dnsmasq -k --log-facility=- --user=root --listen-address=127.0.0.1 --bind-interfaces --no-hosts --no-resolv --pid-file= -C snippet.conf`
		// Our options must go into those that a snippet may have.
		named = `printf 'directory "%s"; listen-on { 127.0.0.1; }; listen-on-v6 { none; }; pid-file none; session-keyfile none; dnssec-validation yes;\n' "$PWD" >ours.conf; ` +
			`grep -q '^options' snippet.conf || echo 'options { include "ours.conf"; };' >named.conf; ` +
			`sed 's/^options {/options { include "ours.conf";/' snippet.conf >>named.conf; echo 'controls { };' >>named.conf; exec named -g -c named.conf`
	)
	for _, tt := range []struct {
		name, kind, run string
		signed          bool
		validates       bool
	}{
		{"unbound", "unbound", unbound, false, false},
		{"unbound signed", "unbound", unbound, true, true},
		{"dnsmasq", "dnsmasq", dnsmasq, false, false},
		{"dnsmasq signed", "dnsmasq", dnsmasq + " --dnssec --trust-anchor=.,20326,8,2,E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D", true, true},
		{"bind", "bind", named, false, false},
		{"bind signed", "bind", named, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for name, text := range map[string]string{
				"resolv.conf": "nameserver 127.0.0.1\n",
				"members.json": `{"members": [
					{"name": "web1", "addr": "10.0.0.1:7946", "tags": {"role": "web", "port": "80"}, "status": "alive"},
					{"name": "web2", "addr": "10.0.0.2:7946", "tags": {"role": "web", "port": "80"}, "status": "alive"}]}`,
			} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			serve, snippet := "", ""
			if tt.signed {
				base := strings.TrimSpace(runProgram(t, "gossip", "dns", "keygen", "-dir", dir).stdout)
				serve, snippet = "-dns-dnssec-key "+base, "-dnssec-key "+base
			}
			cmd := exec.Command("unshare", "-n", "-m", "-p", "-f", "--kill-child", "sh", "-c", fmt.Sprintf(resolverScript, tt.kind, "sh -c '"+strings.ReplaceAll(tt.run, "'", `'\''`)+"'"))
			cmd.Dir, cmd.Env = dir, append(os.Environ(), "SERVE="+serve, "SNIPPET="+snippet)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			text := string(out)
			for _, want := range []string{
				"ok       resolver 127.0.0.1:53 leads to the agent", "ok       system   programs on this host find ns-web1.gossip",
				"A\n10.0.0.1\n", "0 25600 80 web1.node.gossip.", "10.0.0.2",
			} {
				if !strings.Contains(text, want) {
					t.Errorf("no %q in\n%s", want, text)
				}
			}
			// Of the questions with +dnssec: the answer, the type that is not there, the name that is not there.
			for _, question := range []string{"web.service.gossip A", "web1.node.gossip AAAA", "nope.gossip A"} {
				_, answer, _ := strings.Cut(text, "? +dnssec "+question+"\n")
				flags, _, _ := strings.Cut(answer, "; QUERY:")
				if got := strings.HasSuffix(flags, " ad") || strings.Contains(flags, " ad "); got != tt.validates {
					t.Errorf("%s: validated is %v, want %v\n%s", question, got, tt.validates, text)
				}
			}
		})
	}
}
