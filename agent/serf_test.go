package agent_test

import (
	"net"
	"os"
	"os/exec"
	"testing"

	"github.com/seed-645ce708/gossip/agent"
	"github.com/seed-645ce708/gossip/agent/agenttest"
	"github.com/seed-645ce708/gossip/agent/agenttest/loopback"
)

// startSerf runs a stock Serf agent until the test ends and returns its gossip address.
func startSerf(t *testing.T, name string) string {
	t.Helper()
	if _, err := exec.LookPath("serf"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("serf is not installed; run 'make deps'")
		}
		t.Skip("serf is not installed")
	}
	bind, rpc := loopback.Addr(t), loopback.Addr(t)
	cmd := exec.Command("serf", "agent", "-node="+name, "-profile=local", "-bind="+bind, "-rpc-addr="+rpc)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // of a kill
	})
	agenttest.Poll(t, "serf takes commands, which it does last of all", func() bool {
		conn, err := net.Dial("tcp", rpc)
		if err != nil {
			return false
		}
		_ = conn.Close() // it was there
		return true
	}, func() string { return rpc })
	return bind
}

// withSerf starts a stock Serf agent called stock, and one of ours called ours, and waits until they see each other.
func withSerf(t *testing.T, change func(*agent.Config)) *agent.Agent {
	t.Helper()
	bind := startSerf(t, "stock")
	a := agenttest.Start(t, "ours", func(cfg *agent.Config) {
		cfg.StartJoin = []string{bind}
		if change != nil {
			change(cfg)
		}
	})
	agenttest.WaitMembers(t, a, 2, "alive")
	return a
}
