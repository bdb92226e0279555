package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/haproxy/cli"
	"github.com/seed-645ce708/gossip/lbsync/internal/lbtest"
	"github.com/seed-645ce708/gossip/lbsync/internal/record"
)

// asProgram in the environment makes the test's binary be gossip-lbsync, so that it can be killed.
const asProgram = "GOSSIP_LBSYNC_TEST_RUN"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// program starts gossip-lbsync as a process of its own.
func program(t *testing.T, args ...string) *lbtest.Process {
	t.Helper()
	return lbtest.Start(t, append([]string{lbtest.Program(t, "env"), asProgram + "=1", os.Args[0]}, args...)...)
}

// tag changes the tags of a member: KEY=VALUE.
func (s serfs) tag(t *testing.T, name, tag string) {
	t.Helper()
	if out, err := exec.Command("serf", "tags", "-rpc-addr="+s.rpcs[name], "-set", tag).CombinedOutput(); err != nil {
		t.Fatalf("serf tags: %v: %s", err, out)
	}
}

// relay stands between gossip-lbsync and HAProxy's Runtime API, and kills gossip-lbsync there.
type relay struct {
	listener net.Listener
	to       string
	victim   atomic.Pointer[lbtest.Process]
	when     atomic.Pointer[string] // "", "command", "reply", "read back"
}

func startRelay(t *testing.T, path, to string) *relay {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listener: l, to: to}
	r.arm("")
	t.Cleanup(func() { _ = l.Close() }) // nothing is left to be heard
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go r.pass(conn)
		}
	}()
	return r
}

func (r *relay) arm(when string) { r.when.Store(&when) }

// strike kills the victim if this is the moment that was ordered.
func (r *relay) strike(when string) bool {
	old := r.when.Load()
	none := ""
	if *old != when || !r.when.CompareAndSwap(old, &none) {
		return false
	}
	_ = r.victim.Load().Kill() // the test waits for its end
	return true
}

// pass hands one line to HAProxy and the reply back.
func (r *relay) pass(client net.Conn) {
	defer func() { _ = client.Close() }() // the other side notices
	server, err := net.Dial("unix", r.to)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }() // the other side notices
	line := make([]byte, 64<<10)
	n, err := client.Read(line)
	if err != nil {
		return
	}
	change := !strings.HasPrefix(string(line[:n]), "show ") && !strings.HasPrefix(string(line[:n]), "@")
	if change && r.strike("command") {
		return
	}
	if !change && r.strike("read back") {
		return
	}
	if _, err := server.Write(line[:n]); err != nil {
		return
	}
	reply, err := io.ReadAll(server)
	if err != nil || change && r.strike("reply") {
		return
	}
	if old := r.when.Load(); change && *old == "command, then read back" {
		next := "read back"
		r.when.CompareAndSwap(old, &next)
	}
	_, _ = client.Write(reply) // it may have been killed
}

// TestKilled kills gossip-lbsync with SIGKILL at each step of a pass. The next one converges from there: with what it should
// have in HAProxy and in the file, and without a reload that is not needed.
func TestKilled(t *testing.T) {
	t.Parallel()
	b := lbtest.HAProxy(t)
	portB, portC := web(t, "b"), web(t, "c")
	cluster := startSerf(t, "lb", "a role=web port="+web(t, "a"), "b", "c")
	in := func(name string) string { return filepath.Join(b.Dir, name) }
	relay := startRelay(t, in("relay.sock"), b.Admin)
	lbtest.Write(t, b.Dir, "check.sh", fmt.Sprintf(`if rm %[1]s/kill-check 2>/dev/null; then kill -9 $PPID; fi
exec haproxy -c -q -f %[1]s/haproxy.cfg -f "$1"
`, b.Dir))
	lbtest.Write(t, b.Dir, "installed.sh", fmt.Sprintf("if rm %s/kill-installed 2>/dev/null; then kill -9 $PPID; fi\n", b.Dir))
	lbtest.Write(t, b.Dir, "reload.sh", fmt.Sprintf(`cd %s
if rm kill-before 2>/dev/null; then kill -9 $PPID; exit 1; fi
echo reload >>reloads
while [ -e wait ]; do sleep 0.05; done
kill -USR2 "$(cat pid)"
if rm kill-after 2>/dev/null; then kill -9 $PPID; fi
`, b.Dir))
	text := fmt.Sprintf(`
state_dir = "state"
source "gossip" {
  address = %q
  settle  = "0s"
  resync  = "1s"
}
service "web" {
  endpoint { allow_loopback = true }
  wait {
    add   = "0s"
    leave = "0s"
    fail  = "0s"
  }
  guard {
    max_removal  = "100%%"
    failed_grace = "0s"
  }
  drain { timeout = "100ms" }
}
target "haproxy" "edge" {
  config = "haproxy.cfg"
  file {
    dest  = "web.cfg"
    adopt = true
    check = ["sh", %q, "{candidate}"]

    check_installed = ["sh", %q]
  }
  runtime { socket = "relay.sock" }
  reload {
    command      = ["sh", %q]
    min_interval = "10ms"
  }
  backend "web" {
    service = "web"
    options = "check inter 200ms rise 1"
  }
}
`, cluster.rpc, in("check.sh"), in("installed.sh"), in("reload.sh"))
	path := lbtest.Write(t, b.Dir, "lbsync.hcl", text)
	var running *lbtest.Process
	start := func() {
		running = program(t, "run", "-config", path)
		relay.victim.Store(running)
	}
	reloads := func() int {
		data, _ := os.ReadFile(in("reloads")) // not there before the first
		return strings.Count(string(data), "\n")
	}
	store := record.Peek(in("state"))
	converged := func(want map[string]int) {
		t.Helper()
		lbtest.Eventually(t, func() error {
			got := map[string]int{}
			reply, err := cli.New(b.Admin, 10*time.Second).Query(context.Background(), cli.ShowState("web"))
			if err != nil {
				return err
			}
			states, err := cli.ParseServersState(reply[0])
			if err != nil {
				return err
			}
			for _, s := range states {
				got[s.Name] = s.Weight
			}
			rec, err := store.Target("haproxy/edge")
			if err != nil || len(rec.Written) != 1 || rec.Loaded != rec.Written[0] || rec.Fallback || fmt.Sprint(got) != fmt.Sprint(want) {
				return errors.Join(fmt.Errorf("HAProxy has %v, want %v; recorded is %+v\n%s", got, want, rec, running.Output()), err)
			}
			data, err := os.ReadFile(b.Dest)
			if err != nil || strings.Count(string(data), "    server ") != len(want) {
				return errors.Join(fmt.Errorf("the file is\n%s", data), err)
			}
			if left, err := filepath.Glob(in(".web.cfg.*.tmp")); err != nil || len(left) > 0 {
				return errors.Join(fmt.Errorf("left behind: %v", left), err)
			}
			return nil
		})
	}
	killed := func() {
		t.Helper()
		select {
		case <-running.Done():
		case <-time.After(2 * time.Minute):
			t.Fatalf("it was not killed:\n%s", running.Output())
		}
	}

	start()
	converged(map[string]int{"a": 100})
	base := reloads()
	want := map[string]int{"a": 100}
	for _, step := range []struct {
		at           string
		member, tags string
		weight       int
	}{
		{"check", "b", "svc:web=" + portB, 100},
		{"installed", "b", "svc:web=" + portB + ",w=50", 50},
		{"command", "c", "svc:web=" + portC, 100},
		{"reply", "b", "svc:web=" + portB + ",w=10", 10},
		{"command, then read back", "c", "svc:web=" + portC + ",w=20", 20},
		{"command", "b", "svc:web=none", 0},
		{"reply", "b", "svc:web=" + portB + ",w=30", 30},
		{"reply", "c", "svc:web=none", 0},
	} {
		if step.at == "check" || step.at == "installed" {
			lbtest.Write(t, b.Dir, "kill-"+step.at, "")
		} else {
			relay.arm(step.at)
		}
		cluster.tag(t, step.member, step.tags)
		killed()
		start()
		if want[step.member] = step.weight; step.weight == 0 {
			delete(want, step.member)
		}
		converged(want)
		if n := reloads() - base; n != 0 {
			t.Fatalf("%s at its %s: %d reloads\n%s", step.member, step.at, n, running.Output())
		}
	}

	// A change of structure is one reload, wherever on its way the process was killed.
	pid := func() (pid string) {
		t.Helper()
		lbtest.Eventually(t, func() error {
			reply, err := cli.New(b.Admin, 10*time.Second).Query(context.Background(), cli.ShowInfo())
			if err == nil {
				pid = pidOf(reply[0])
			}
			return err
		})
		return pid
	}
	for i, at := range []string{"check", "installed", "before", "after", "read back"} {
		_ = running.Kill() // that it is dead while its configuration changes is nothing new
		killed()
		before, base := pid(), reloads()
		options := fmt.Sprintf("inter %dms", 210+i)
		lbtest.Write(t, b.Dir, "lbsync.hcl", strings.Replace(text, "inter 200ms", options, 1))
		if at == "read back" {
			lbtest.Write(t, b.Dir, "wait", "")
		} else {
			lbtest.Write(t, b.Dir, "kill-"+at, "")
		}
		start()
		if at == "read back" {
			lbtest.Eventually(t, func() error {
				if reloads() == base {
					return errors.New("no reload yet")
				}
				return nil
			})
			relay.arm(at)
			if err := os.Remove(in("wait")); err != nil {
				t.Fatal(err)
			}
		}
		killed()
		if at == "after" || at == "read back" { // it comes while nobody looks
			lbtest.Eventually(t, func() error {
				if pid() == before {
					return errors.New("not reloaded")
				}
				return nil
			})
		}
		start()
		lbtest.Eventually(t, func() error {
			data, err := os.ReadFile(b.Dest)
			if err == nil && !strings.Contains(string(data), options) {
				err = fmt.Errorf("%s is not in\n%s", options, data)
			}
			return err
		})
		converged(want)
		if n := reloads() - base; n != 1 {
			t.Errorf("killed at the reload's %s: %d reloads\n%s", at, n, running.Output())
		}
	}
}

func pidOf(info string) string {
	_, rest, _ := strings.Cut(info, "\nPid: ")
	pid, _, _ := strings.Cut(rest, "\n")
	return pid
}
