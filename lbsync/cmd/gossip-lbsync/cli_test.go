package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/seed-645ce708/gossip/lbsync/internal/lbtest"
	"github.com/seed-645ce708/gossip/lbsync/internal/record"
)

type result struct {
	code           int
	stdout, stderr string
}

func command(ctx context.Context, args ...string) result {
	var out, err bytes.Buffer
	code := execute(ctx, args, &out, &err)
	return result{code, out.String(), err.String()}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args string
		code int
		want string // on standard output if the code is 0, or else the whole of standard error
	}{
		{"help", 0, "Usage: gossip-lbsync COMMAND"},
		{"-h", 0, "Usage: gossip-lbsync COMMAND"},
		{"run -h", 0, "-log-format"},
		{"version", 0, "gossip-lbsync v0.0.0-dev"},
		{"", 64, "no command given; see: gossip-lbsync help"},
		{"sync", 64, `unknown command "sync"; see: gossip-lbsync help`},
		{"run", 64, "run needs -config PATH"},
		{"run -config", 64, "flag needs an argument: -config; see: gossip-lbsync help"},
		{"run -konfig x", 64, "flag provided but not defined: -konfig; see: gossip-lbsync help"},
		{"run -config x y", 64, `"y" is one argument too many; see: gossip-lbsync help`},
		{"run -config x -format json", 64, "-format has no effect on run; see: gossip-lbsync help"},
		{"-config x -no-reload check", 64, "-no-reload has no effect on check; see: gossip-lbsync help"},
		{"diff -config x -format yaml", 64, `-format is "yaml"; want text or json`},
		{"once -config x -timeout 0s", 64, "-timeout is 0s; want a time above 0"},
		{"why -config x web", 64, "why needs 2 arguments; see: gossip-lbsync help"},
		{"hold -config x web -for 9000h", 64, "-for is 9000h0m0s; want 1s to 720h0m0s"},
		{"run -config x -log-format xml", 64, `-log-format is "xml"; want text or json`},
		{"check -config /nowhere.hcl", 1, "configuration: open /nowhere.hcl: no such file or directory"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()
			r := command(context.Background(), strings.Fields(tt.args)...)
			if r.code != tt.code {
				t.Errorf("exit code %d, want %d", r.code, tt.code)
			}
			if tt.code == 0 && (!strings.Contains(r.stdout, tt.want) || r.stderr != "") {
				t.Errorf("stdout %q, stderr %q", r.stdout, r.stderr)
			}
			if want := "gossip-lbsync: " + tt.want + "\n"; tt.code != 0 && (r.stderr != want || r.stdout != "") {
				t.Errorf("stderr %q, stdout %q; want %q", r.stderr, r.stdout, want)
			}
		})
	}
}

// TestCheck judges configurations without an agent or a running balancer.
func TestCheck(t *testing.T) {
	t.Parallel()
	lbtest.Program(t, "haproxy")
	lbtest.Program(t, "nginx")
	dir := t.TempDir()
	lbtest.Write(t, dir, "haproxy.cfg", "defaults\n    timeout connect 1s\n    timeout client 1s\n    timeout server 1s\nfrontend f\n    bind 127.0.0.1:1\n    default_backend web\n")
	text := `
source "gossip" {}
service "web" {}
target "haproxy" "edge" {
  config = "haproxy.cfg"
  file { dest = "web.cfg" }
  backend "web" {
    service = "web"
    options = "check inter 2s"
  }
}
target "nginx" "www" {
  file { dest = "web.conf" }
  upstream "web" { service = "web" }
}
`
	good := lbtest.Write(t, dir, "good.hcl", text)
	if r := command(context.Background(), "check", "-config", good); r.code != 0 || r.stdout != good+" is good: 1 services, 2 targets\n" {
		t.Errorf("got %+v", r)
	}
	bad := lbtest.Write(t, dir, "bad.hcl", strings.Replace(text, "check inter 2s", "chekc", 1))
	if r := command(context.Background(), "check", "-config", bad); r.code != 1 || !strings.Contains(r.stderr, "gossip-lbsync: target haproxy/edge: check: ") ||
		!strings.Contains(r.stderr, "'chekc'") {
		t.Errorf("got %+v", r)
	}
	if r := command(context.Background(), "check", "-config", good, "-format", "json", "-target", "nginx/www"); r.code != 0 || !strings.Contains(r.stdout, `"good": true`) {
		t.Errorf("got %+v", r)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 3 {
		t.Errorf("check left something behind: %v, %v", entries, err)
	}
}

func TestNoAgent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	nobody := lbtest.FreeAddr(t, "127.0.0.1")
	path := lbtest.Write(t, dir, "lbsync.hcl", fmt.Sprintf(`
state_dir = "state"
source "gossip" { address = %q }
service "web" {}
target "nginx" "www" {
  file { dest = "web.conf" }
  upstream "web" { service = "web" }
}
`, nobody))
	// What is left of the time when the first attempt has failed is for the machine to say.
	said := regexp.MustCompile(`^waiting up to [0-9.]+m?s for the agent at ` + nobody + `: dial tcp .*\ngossip-lbsync: the agent cannot be reached at ` + nobody + `: dial tcp .*\n$`)
	for _, cmd := range []string{"once", "diff"} {
		r := command(context.Background(), cmd, "-config", path, "-timeout", "3s")
		if r.code != 1 || !said.MatchString(r.stderr) {
			t.Errorf("%s: got %+v", cmd, r)
		}
	}
	store, err := record.Open(filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }() // the folder goes anyway
	for _, cmd := range []string{"once", "run"} {
		r := command(context.Background(), cmd, "-config", path)
		if r.code != exitLocked || !strings.Contains(r.stderr, "in use by another gossip-lbsync") {
			t.Errorf("%s: got %+v", cmd, r)
		}
	}
}

// serf starts stock Serf agents that know each other and returns the RPC address of the first. Each is one
// "NAME TAG=VALUE ..." line.
type serfs struct {
	rpc  string
	proc map[string]*lbtest.Process
	rpcs map[string]string
}

func startSerf(t *testing.T, lines ...string) serfs {
	t.Helper()
	program := lbtest.Program(t, "serf")
	s := serfs{proc: map[string]*lbtest.Process{}, rpcs: map[string]string{}}
	seed := ""
	for _, line := range lines {
		words := strings.Fields(line)
		bind, rpc := lbtest.FreeAddr(t, "127.0.0.1"), lbtest.FreeAddr(t, "127.0.0.1")
		argv := []string{program, "agent", "-profile=local", "-node=" + words[0], "-bind=" + bind, "-rpc-addr=" + rpc}
		for _, tag := range words[1:] {
			argv = append(argv, "-tag", tag)
		}
		if seed == "" {
			seed, s.rpc = bind, rpc
		} else {
			argv = append(argv, "-retry-join="+seed, "-retry-interval=1s")
		}
		s.proc[words[0]] = lbtest.Start(t, argv...)
		s.rpcs[words[0]] = rpc
		lbtest.Eventually(t, func() error {
			conn, err := net.Dial("tcp", rpc)
			if err != nil {
				return err
			}
			return conn.Close()
		})
	}
	return s
}

// web starts a web server and returns its port.
func web(t *testing.T, name string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(lbtest.Web(t, name).Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// TestWithStockSerf runs the whole program against unmodified Serf agents and a real HAProxy: once, diff and
// run; a graceful leave under load without a lost request; a death.
func TestWithStockSerf(t *testing.T) {
	t.Parallel()
	b := lbtest.HAProxy(t)
	cluster := startSerf(t, "lb", "a role=web port="+web(t, "a"), "b svc:web="+web(t, "b")+",w=50", "c role=web port="+web(t, "c"))
	path := lbtest.Write(t, b.Dir, "lbsync.hcl", fmt.Sprintf(`
state_dir = "state"
source "gossip" {
  address = %q
  settle  = "100ms"
}
service "web" {
  endpoint { allow_loopback = true }
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
  }
  reload { master = "master.sock" }
  backend "web" {
    service = "web"
    options = "check inter 200ms rise 1"
  }
}
`, cluster.rpc))

	// The agents need a moment to find each other, and diff shows when they did.
	ctx := context.Background()
	lbtest.Eventually(t, func() error {
		r := command(ctx, "diff", "-config", path)
		if r.code != exitChanges || !strings.Contains(r.stdout, "service web  0 -> 3 servers +3") {
			return fmt.Errorf("%+v", r)
		}
		return nil
	})
	var diff jsonReport
	if r := command(ctx, "diff", "-format=json", "-config", path); json.Unmarshal([]byte(r.stdout), &diff) != nil ||
		len(diff.Services[0].Added) != 3 || !diff.Targets[0].Write || diff.Targets[0].Reload == "" {
		t.Errorf("got %+v", r)
	}
	r := command(ctx, "once", "-config", path)
	if r.code != exitOK || !strings.Contains(r.stdout, "target haproxy/edge: wrote "+b.Dest+", reloaded, for ") || !strings.Contains(r.stderr, "settles for 100ms") {
		t.Errorf("got %+v", r)
	}
	if r := command(ctx, "diff", "-config", path); r.code != exitOK {
		t.Errorf("after once: %+v", r)
	}
	file := func() string {
		data, err := os.ReadFile(b.Dest)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	if text := file(); strings.Count(text, "    server ") != 3 || !strings.Contains(text, "weight 50") {
		t.Errorf("got\n%s", text)
	}

	running, stop := context.WithCancel(ctx)
	var log bytes.Buffer
	var wg sync.WaitGroup
	wg.Go(func() {
		if code := execute(running, []string{"run", "-config", path}, &log, &log); code != exitOK {
			t.Errorf("run: exit code %d", code)
		}
	})
	t.Cleanup(func() {
		stop()
		wg.Wait()
		if t.Failed() {
			t.Logf("log of run:\n%s", log.String())
		}
	})
	gone := func(name string) {
		lbtest.Eventually(t, func() error {
			if text := file(); strings.Contains(text, " server "+name+" ") {
				return fmt.Errorf("%s is still there:\n%s", name, text)
			}
			return nil
		})
	}
	load := lbtest.StartLoad(t, b.Addr)
	leave := lbtest.Start(t, lbtest.Program(t, "serf"), "leave", "-rpc-addr="+cluster.rpcs["c"])
	<-leave.Done()
	gone("c")
	before := load.OK.Load()
	lbtest.Eventually(t, func() error {
		if load.OK.Load() < before+300 {
			return fmt.Errorf("only %d requests", load.OK.Load())
		}
		return nil
	})
	if err := load.Stop(); load.Failed.Load() > 0 {
		t.Errorf("%d of %d requests failed: %v", load.Failed.Load(), load.OK.Load(), err)
	}
	if err := cluster.proc["b"].Kill(); err != nil {
		t.Fatal(err)
	}
	gone("b")

	// Suddenly nobody serves it: the last one stays, and once says that something is held.
	stop()
	wg.Wait()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lbtest.Write(t, b.Dir, "lbsync.hcl", strings.Replace(string(data), "service \"web\" {\n", "service \"web\" {\n  select { service = \"nobody\" }\n", 1))
	if r := command(ctx, "once", "-config", path); r.code != exitHeld || !strings.Contains(r.stdout, "! a                    held: at least 1 must stay") {
		t.Errorf("got %+v", r)
	}
	if !strings.Contains(file(), " server a ") {
		t.Errorf("the last server is gone:\n%s", file())
	}
}
