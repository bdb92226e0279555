//go:build unix

package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/agenttest/loopback"
)

// TestMetrics: a running agent's figures arrive at a statsd server under Serf's names, and SIGUSR1 does not end it.
func TestMetrics(t *testing.T) {
	t.Parallel()
	host, err := os.Hostname()
	if err != nil {
		t.Skip("this host has no name:", err)
	}
	statsd, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer statsd.Close()
	dir, rpc, dns := t.TempDir(), loopback.Addr(t), loopback.Addr(t)
	settings := `{"statsd_addr": "` + statsd.LocalAddr().String() + `", "event_handlers": ["user=true"]}`
	if err := os.WriteFile(filepath.Join(dir, "c.json"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := startProcess(dir, os.Environ(), "gossip", "agent", "-config-file", "c.json", "-node", "a",
		"-bind", "127.0.0.1:0", "-rpc-addr", rpc, "-dns-addr", dns, "-snapshot", "snapshot")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.kill()
		if t.Failed() {
			t.Logf("output of the agent:\n%s", r.out.String())
		}
	})
	if err := within("event", func() bool {
		return runProgram(t, "gossip", "event", "-rpc-addr", rpc, "deploy").code == 0
	}); err != nil {
		t.Fatal(err)
	}
	if code := runProgram(t, "gossip", "resolve", "-dns-addr", dns, "a.node").code; code != 0 {
		t.Errorf("gossip resolve: code %d", code)
	}
	if err := r.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	missing := []string{
		"serf-agent.serf.member.join:1.000000|c", "serf-agent.serf.events:1.000000|c", "serf-agent.serf.events.deploy:1.000000|c",
		"serf-agent.agent.ipc.accept:", "serf-agent.agent.ipc.command:", "serf-agent.agent.invoke.true:",
		"serf-agent.serf.snapshot.appendLine:", "serf-agent.memberlist.", "serf-agent." + host + ".runtime.num_goroutines:",
		"serf-agent.gossip.dns.queries_udp:1.000000|c", "serf-agent.gossip.dns.replies_noerror:1.000000|c", "serf-agent.gossip.dns.type_a:1.000000|c",
		"serf-agent.gossip.dns.changes:", "serf-agent." + host + ".gossip.dns.age:", "serf-agent." + host + ".gossip.dns.latency_p99:",
	}
	if err := statsd.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for packet := make([]byte, 65536); len(missing) > 0; {
		n, _, err := statsd.ReadFrom(packet)
		if err != nil {
			t.Fatalf("%v; no %q among\n%s", err, missing, &got)
		}
		got.Write(packet[:n])
		for len(missing) > 0 && strings.Contains(got.String(), missing[0]) {
			missing = missing[1:]
		}
	}
	if code := runProgram(t, "gossip", "members", "-rpc-addr", rpc).code; code != 0 {
		t.Errorf("the agent does not answer after SIGUSR1: code %d", code)
	}
}
