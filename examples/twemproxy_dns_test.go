//go:build linux

package examples_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/agenttest/loopback"
	"github.com/seed-645ce708/gossip/examples/internal/harness"
)

// resolving in the environment says that the test runs where names are looked up at 127.0.0.1.
const resolving = "GOSSIP_TEST_RESOLVES"

// TestMoveByName has a memcached die and come back at another address: nutcracker, which has it by its name in the cluster's DNS,
// follows without a restart. For that the test runs once more, as a process with a network of its own whose resolver is our agent.
func TestMoveByName(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"nutcracker", "memcached", "unshare", "ip"} {
		need(t, program)
	}
	if os.Getenv(resolving) != "" {
		moveByName(t)
		return
	}
	const enter = `ip link set lo up && mount --bind "$1" /etc/resolv.conf && shift && exec "$@"`
	conf := must(stage(t).Write("resolv.conf", "nameserver 127.0.0.1\noptions timeout:5\n"))(t)
	if out, err := exec.Command("unshare", "-m", "-n", "sh", "-c", enter, "sh", conf, "true").CombinedOutput(); err != nil {
		t.Skipf("a network of its own cannot be made here: %v: %s", err, out)
	}
	cmd := exec.CommandContext(within(t), "unshare", "-m", "-n", "sh", "-c", enter, "sh", conf, os.Args[0], "-test.run=^TestMoveByName$", "-test.v")
	cmd.Env = append(os.Environ(), resolving+"=1", "GOSSIP_BIN="+programs)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func moveByName(t *testing.T) {
	ctx, s := within(t), stage(t)
	lb := startAgent(ctx, t, s, harness.AgentConfig{Name: "lb", Args: []string{"-dns-addr=127.0.0.1:53", "-config-file=" + must(s.Write("agent.json", `{"reclaim_timeout": "10ms"}`))(t)}})
	cache := must(loopback.FreeAddr("127.0.0.1"))(t)
	stats := must(loopback.FreeAddr("127.0.0.1"))(t)
	script := must(s.Write("restart.sh", fmt.Sprintf(`set -e
if [ -s pid ]; then kill "$(cat pid)"; while kill -0 "$(cat pid)" 2>/dev/null; do sleep 0.02; done; fi
echo restart >>restarts
exec nutcracker -d -c "$PWD/pools.yml" -p "$PWD/pid" -o "$PWD/nutcracker.log" -a 127.0.0.1 -s %d
`, harness.Port(stats))))(t)
	must(s.Write("lbsync.hcl", fmt.Sprintf(`
state_dir = "state"
source "gossip" {
  address = %q
  settle  = "0s"
}
service "cache" {
  endpoint { allow_loopback = true }
}
target "twemproxy" "cache" {
  file { dest = "pools.yml" }
  restart {
    command      = ["sh", %q]
    stats        = %q
    min_interval = "1s"
  }
  pool "cache" {
    service  = "cache"
    listen   = %q
    address  = "dns"
    settings = { timeout = "20000" }
  }
}
`, lb.RPC, script, stats, cache)))(t)
	t.Cleanup(func() {
		for _, p := range s.Processes() {
			if p.Name == "gossip-lbsync" {
				p.Stop()
			}
		}
		text, _ := os.ReadFile(s.Path("pid")) // it may not have been started
		if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
		}
	})

	port := harness.Port(must(loopback.FreeAddr("127.0.0.21"))(t))
	member := func(host string) (*harness.Agent, *harness.Process) {
		t.Helper()
		server := must(s.Start("memcached-"+host, need(t, "memcached"), "-l", host, "-p", strconv.Itoa(port), "-U", "0", "-m", "8", "-t", "1", "-u", "nobody"))(t)
		eventually(ctx, t, func() error { return store(host, port, 0) })
		a := startAgent(ctx, t, s, harness.AgentConfig{Name: "cache-1", Host: host, Args: []string{fmt.Sprintf("-tag=svc:cache=%d", port), "-join=" + lb.Gossip}})
		return a, server
	}
	agent, server := member("127.0.0.21")
	sees(ctx, t, lb, "cache-1", "alive")
	must(s.Start("gossip-lbsync", "gossip-lbsync", "run", "-config", "lbsync.hcl"))(t)
	through := func() error { return store(harness.Host(cache), harness.Port(cache), 100) }
	eventually(ctx, t, through)
	if n := stored(ctx, t, "127.0.0.21", port); n != 100 {
		t.Errorf("the memcached has %d of 100 keys", n)
	}

	server.Kill()
	agent.Kill()
	sees(ctx, t, lb, "cache-1", "failed")
	member("127.0.0.22")
	eventually(ctx, t, func() error {
		members, err := lb.Members(ctx)
		if addr := members["cache-1"].Addr; err == nil && !strings.HasPrefix(addr, "127.0.0.22:") {
			err = fmt.Errorf("cache-1 is still known at %s", addr)
		}
		return err
	})
	eventually(ctx, t, through)
	if n := stored(ctx, t, "127.0.0.22", port); n != 100 {
		t.Errorf("the memcached at the new address has %d of 100 keys", n)
	}
	if err := s.InStep(ctx, "lbsync.hcl"); err != nil {
		t.Error(err)
	}
	if file := must(os.ReadFile(s.Path("pools.yml")))(t); !strings.Contains(string(file), fmt.Sprintf("- cache-1.node.gossip:%d:100 cache-1\n", port)) {
		t.Errorf("the file is\n%s", file)
	}
	if n := len(lines(s.Path("restarts"))); n != 1 {
		t.Errorf("%d restarts, want that at the start alone", n)
	}
}

// store puts keys into a memcached.
func store(host string, port, keys int) error {
	return memcache(host, port, keys, "set key-%d 0 0 1\r\nx\r\n", "STORED")
}

// stored counts how many of a hundred keys a memcached has.
func stored(ctx context.Context, t *testing.T, host string, port int) (n int) {
	t.Helper()
	for i := range 100 {
		err := memcache(host, port, 1, fmt.Sprintf("incr key-%d 0\r\n", i), "CLIENT_ERROR") // what is there is no number
		if ctx.Err() != nil {
			t.Fatal(err)
		}
		if err == nil {
			n++
		}
	}
	return n
}

// memcache sends a command for each key, and wants each to be answered so.
func memcache(host string, port, keys int, format, want string) error {
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(host, strconv.Itoa(port)), 10*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close() // it was read
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	answers := bufio.NewScanner(conn)
	for i := range keys {
		command := format
		if strings.Contains(format, "%d") {
			command = fmt.Sprintf(format, i)
		}
		if _, err := conn.Write([]byte(command)); err != nil {
			return err
		}
		if !answers.Scan() {
			return fmt.Errorf("no answer: %w", answers.Err())
		}
		if !strings.HasPrefix(answers.Text(), want) {
			return fmt.Errorf("%q is answered by %q", command, answers.Text())
		}
	}
	return nil
}
