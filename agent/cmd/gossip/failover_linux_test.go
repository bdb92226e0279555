package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/agenttest/loopback"
)

// dnsAgent is an agent that answers DNS.
type dnsAgent struct {
	process        *running
	rpc, bind, dns string
}

func startDNSAgent(t *testing.T, name string, args ...string) dnsAgent {
	t.Helper()
	line := []string{"agent", "-node", name, "-bind", "127.0.0.1:0", "-rpc-addr", "127.0.0.1:0", "-dns-addr", "127.0.0.1:0", "-profile", "local"}
	a := dnsAgent{process: startUntil(t, "Log data will now stream in", "gossip", append(line, args...)...)}
	for _, m := range bannerAddr.FindAllStringSubmatch(a.process.out.String(), -1) {
		switch m[1] {
		case "RPC":
			a.rpc = m[2]
		case "Bind":
			a.bind = m[2]
		case "DNS":
			a.dns = m[2]
		}
	}
	return a
}

// startUntil runs a program until the test ends, and waits for what it prints when it is ready.
func startUntil(t *testing.T, ready, program string, args ...string) *running {
	t.Helper()
	r, err := startProcess(t.TempDir(), os.Environ(), program, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.kill()
		if t.Failed() {
			t.Logf("output of %s %s:\n%s", program, strings.Join(args, " "), r.out.String())
		}
	})
	err = within(program+" is ready", func() bool {
		_, ended := r.ended()
		return ended || strings.Contains(r.out.String(), ready)
	})
	if _, ended := r.ended(); err != nil || ended {
		t.Fatalf("%s does not run: %v\n%s", program, err, r.out.String())
	}
	return r
}

// TestFailOver: resolvers, HAProxy and 'gossip dns' that know two agents go on answering when one of them dies, and
// follow the other.
func TestFailOver(t *testing.T) {
	findProgram(t, "unbound", "dnsmasq", "haproxy", "dig")
	one := startDNSAgent(t, "one")
	two := startDNSAgent(t, "two", "-join", one.bind)
	web := startDNSAgent(t, "web", "-join", one.bind, "-tag", "svc:web=80")
	port := func(addr string) string { _, p, _ := net.SplitHostPort(addr); return p }
	// ask asks a server for the ports of the service, as a patient client; an error is none.
	ask := func(addr string) string {
		out := runProgram(t, "dig", "@127.0.0.1", "-p", port(addr), "+short", "+tries=6", "+time=5", "_web._tcp.service.gossip", "SRV").stdout
		var ports []string
		for line := range strings.Lines(out) {
			if f := strings.Fields(line); len(f) == 4 && f[3] == "web.node.gossip." {
				ports = append(ports, f[2])
			}
		}
		return strings.Join(ports, " ")
	}
	for _, a := range []dnsAgent{one, two, web} {
		if err := within("the service at "+a.dns, func() bool { return ask(a.dns) == "80" }); err != nil {
			t.Fatal(err)
		}
	}

	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	clients := map[string]string{} // where to ask, by who it is
	clients["unbound"] = loopback.Addr(t)
	startUntil(t, "start of service", "unbound", "-d", "-c", write("unbound.conf", fmt.Sprintf(`server:
  interface: 127.0.0.1
  port: %s
  chroot: ""
  username: ""
  directory: %q
  pidfile: ""
  use-syslog: no
  verbosity: 1
  do-not-query-localhost: no
  domain-insecure: "gossip."
remote-control:
  control-enable: no
forward-zone:
  name: "gossip."
  forward-addr: 127.0.0.1@%s
  forward-addr: 127.0.0.1@%s
`, port(clients["unbound"]), dir, port(one.dns), port(two.dns))))
	clients["dnsmasq"] = loopback.Addr(t)
	startUntil(t, "using nameserver", "dnsmasq", "-k", "--log-facility=-", "--user=root", "--listen-address=127.0.0.1", "--bind-interfaces", "--no-hosts",
		"--no-resolv", "--all-servers", "--pid-file=", "--conf-file=/dev/null", "--port="+port(clients["dnsmasq"]),
		"--server=/gossip/127.0.0.1#"+port(one.dns), "--server=/gossip/127.0.0.1#"+port(two.dns))
	for _, a := range []dnsAgent{one, two} {
		r := startUntil(t, "Serving DNS at", "gossip", "dns", "-rpc-addr", a.rpc, "-dns-addr", "127.0.0.1:0")
		clients["gossip dns at "+a.rpc] = servingAddr.FindStringSubmatch(r.out.String())[1]
	}
	stale := clients["gossip dns at "+one.rpc]
	for name, addr := range clients {
		if err := within("the service from "+name, func() bool { return ask(addr) == "80" }); err != nil {
			t.Fatal(err)
		}
	}
	socket := haproxySocket(t, write, one.dns, two.dns)
	if err := within("HAProxy's server", func() bool { return strings.Contains(ports(socket), " 80 ") }); err != nil {
		t.Fatal(err, ports(socket))
	}

	one.process.kill()
	for range 5 {
		for name, addr := range clients {
			if got := ask(addr); got != "80" {
				t.Errorf("%s, after one agent died: got %q", name, got)
			}
		}
	}
	if !strings.Contains(ports(socket), " 80 ") {
		t.Errorf("HAProxy lost its server: %s", ports(socket))
	}
	// News comes from the other agent alone.
	if out := runProgram(t, "gossip", "tags", "-rpc-addr", web.rpc, "-set", "svc:web=81"); out.code != 0 {
		t.Fatal(out.stderr)
	}
	for name, addr := range clients {
		want := "81"
		if addr == stale {
			want = "80" // its agent is gone; a resolver that knows both asks the other as well
		}
		if err := within("news from "+name, func() bool { return ask(addr) == want }); err != nil {
			t.Error(err)
		}
	}
	if err := within("news at HAProxy", func() bool { return strings.Contains(ports(socket), " 81 ") }); err != nil {
		t.Error(err, ports(socket))
	}
}

// haproxySocket runs HAProxy with two agents as name servers, and returns the path of its runtime API.
func haproxySocket(t *testing.T, write func(name, text string) string, one, two string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "failover") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	file := write("haproxy.cfg", fmt.Sprintf(`global
  stats socket %s level admin
defaults
  mode tcp
  timeout connect 1s
  timeout client 1s
  timeout server 1s
resolvers gossip
  nameserver one %s
  nameserver two %s
  accepted_payload_size 8192
  timeout resolve 200ms
  hold obsolete 1s
  hold nx 30s
  hold refused 30s
  hold timeout 30s
  hold other 30s
backend web
  server-template web 3 _web._tcp.service.gossip resolvers gossip resolve-prefer ipv4 init-addr none
`, socket, one, two))
	cmd := exec.Command("haproxy", "-db", "-f", file)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("haproxy:\n%s", &out)
		}
	})
	return socket
}

// ports returns what HAProxy has of its servers, a line each: their address and port, with spaces around.
func ports(socket string) string {
	conn, err := net.DialTimeout("unix", socket, 5*time.Second)
	if err != nil {
		return ""
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(conn, "show servers state web\n"); err != nil {
		return ""
	}
	text, _ := io.ReadAll(conn)
	var out strings.Builder
	for line := range strings.Lines(string(text)) {
		// be_id be_name srv_id srv_name srv_addr ... srv_port is the 19th
		if f := strings.Fields(line); len(f) > 18 && !strings.HasPrefix(f[0], "#") {
			fmt.Fprintf(&out, " %s %s \n", f[4], f[18])
		}
	}
	return out.String()
}
