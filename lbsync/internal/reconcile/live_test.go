package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/client"
	"github.com/seed-645ce708/gossip/lbsync/internal/adapters"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/haproxy/cli"
	"github.com/seed-645ce708/gossip/lbsync/internal/lbtest"
	"github.com/seed-645ce708/gossip/lbsync/internal/reconcile"
	"github.com/seed-645ce708/gossip/lbsync/internal/record"
	"github.com/seed-645ce708/gossip/lbsync/internal/target"
)

// fakeSource is an agent's view that a test sets by hand.
type fakeSource struct {
	mu      sync.Mutex
	view    client.View
	changed chan struct{}
}

func newSource() *fakeSource { return &fakeSource{changed: make(chan struct{})} }

func (s *fakeSource) Watch() (client.View, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.view, s.changed
}

func (s *fakeSource) set(change func(v *client.View)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.view)
	s.view.Rev++
	close(s.changed)
	s.changed = make(chan struct{})
}

// members makes the source show these, on a connection that is an hour old.
func (s *fakeSource) members(members ...api.Member) {
	s.set(func(v *client.View) {
		self := api.Member{Name: "lb", Addr: net.IPv4(10, 9, 9, 9), Status: "alive"}
		v.Members, v.Connected, v.Since, v.Updated = append(members, self), true, time.Now().Add(-time.Hour), time.Now()
	})
}

func member(name, addr, status string) api.Member {
	host, port, _ := net.SplitHostPort(addr)
	return api.Member{Name: name, Addr: net.ParseIP(host), Status: status, Tags: map[string]string{"role": "web", "port": port}}
}

// startLoop runs a loop for the configuration, whose text may use the folder of the balancer, and ends it with
// the test.
func startLoop(t testing.TB, src reconcile.Source, dir, text string) *config.Config {
	t.Helper()
	path := lbtest.Write(t, dir, "lbsync.hcl", text)
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	store, err := record.Open(cfg.StateDir)
	if err != nil {
		t.Fatal(err)
	}
	var targets []reconcile.Target
	for _, tc := range cfg.Targets {
		driver, err := adapters.New(tc, store.Memory(tc.ID()))
		if err != nil {
			t.Fatal(err)
		}
		targets = append(targets, target.New(tc, driver, store))
	}
	loop, err := reconcile.New(reconcile.Options{Config: cfg, Source: src, Store: store, Targets: targets,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { loop.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return cfg
}

const head = `
state_dir = "state"
source "gossip" { settle = "0s" }
service "web" {
  endpoint { allow_loopback = true }
  wait {
    add   = "50ms"
    leave = "20ms"
    fail  = "50ms"
  }
  guard {
    max_removal  = "100%"
    failed_grace = "0s"
  }
  drain { timeout = "0s" }
}
`

const haproxyTarget = `
target "haproxy" "edge" {
  config = "haproxy.cfg"
  file {
    dest  = "web.cfg"
    adopt = true
  }
  reload {
    master       = "master.sock"
    min_interval = "100ms"
  }
  backend "web" {
    service = "web"
    options = "check inter 100ms rise 1 fall 2"
  }
}
`

const nginxTarget = `
target "nginx" "www" {
  config = "nginx.conf"
  file {
    dest  = "web.conf"
    adopt = true
  }
  reload {
    pid_file     = "pid"
    min_interval = "100ms"
  }
  upstream "web" {
    service = "web"
    options = "max_fails=1 fail_timeout=1s"
  }
}
`

// lines returns how many server lines the file has.
func lines(path string) int {
	data, _ := os.ReadFile(path) // none in a file that cannot be read
	n := 0
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "    server ") {
			n++
		}
	}
	return n
}

// loaded tells whether the state folder says that the file is loaded as it is.
func loaded(t *testing.T, cfg *config.Config, servers int) error {
	t.Helper()
	tc := cfg.Targets[0]
	if n := lines(tc.Files[0].Dest); n != servers {
		return fmt.Errorf("%d servers in the file, want %d", n, servers)
	}
	rec, err := record.Peek(cfg.StateDir).Target(tc.ID())
	if err != nil {
		return err
	}
	if len(rec.Written) != 1 || rec.Loaded != rec.Written[0] {
		return fmt.Errorf("not in step: %+v", rec)
	}
	return nil
}

// TestHAProxyUnderLoad: members join and leave a real HAProxy under load, by reloads and over the Runtime API; not one
// request is lost.
func TestHAProxyUnderLoad(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"reloads": haproxyTarget,
		"runtime": strings.Replace(haproxyTarget, "  reload {", "  runtime { socket = \"admin.sock\" }\n  reload {", 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			haproxyUnderLoad(t, text, name == "runtime")
		})
	}
}

func haproxyUnderLoad(t *testing.T, text string, runtime bool) {
	t.Helper()
	b := lbtest.HAProxy(t)
	webs := map[string]*httptest.Server{}
	for _, name := range []string{"a", "b", "c"} {
		webs[name] = lbtest.Web(t, name)
	}
	at := func(name, status string) api.Member { return member(name, webs[name].Listener.Addr().String(), status) }
	src := newSource()
	cfg := startLoop(t, src, b.Dir, head+text)
	src.members(at("a", "alive"), at("b", "alive"))
	lbtest.Eventually(t, func() error { return loaded(t, cfg, 2) })
	lbtest.Eventually(t, func() error { _, err := b.Get(); return err })

	instance := recorded(t, cfg)
	load := lbtest.StartLoad(t, b.Addr)
	for range 3 {
		src.members(at("a", "alive"), at("b", "alive"), at("c", "alive"))
		lbtest.Eventually(t, func() error { return loaded(t, cfg, 3) })
		enough(t, load, 200)
		src.members(at("a", "alive"), at("b", "leaving"), at("c", "alive"))
		lbtest.Eventually(t, func() error { return loaded(t, cfg, 2) })
		enough(t, load, 200)
	}
	webs["b"].Close() // gracefully: what runs is finished
	enough(t, load, 200)
	if now := recorded(t, cfg); runtime && now != instance {
		t.Errorf("reloaded: %s became %s", instance, now)
	}
	err := load.Stop()
	t.Logf("%d requests, %d failed", load.OK.Load(), load.Failed.Load())
	if load.Failed.Load() > 0 {
		t.Errorf("%d of %d requests failed, the first with: %v", load.Failed.Load(), load.OK.Load()+load.Failed.Load(), err)
	}
}

// recorded returns the process of the balancer that the state folder knows.
func recorded(t *testing.T, cfg *config.Config) string {
	t.Helper()
	rec, err := record.Peek(cfg.StateDir).Target(cfg.Targets[0].ID())
	if err != nil {
		t.Fatal(err)
	}
	return rec.Instance
}

// enough waits until n more requests were answered.
func enough(t *testing.T, load *lbtest.Load, n int64) {
	t.Helper()
	want := load.OK.Load() + n
	lbtest.Eventually(t, func() error {
		if got := load.OK.Load(); got < want {
			return fmt.Errorf("%d requests, want %d", got, want)
		}
		return nil
	})
}

// TestHAProxyMemberDies: its own health check ends the traffic; the server goes when gossip says failed.
func TestHAProxyMemberDies(t *testing.T) {
	t.Parallel()
	b := lbtest.HAProxy(t)
	one, two := lbtest.Web(t, "a"), lbtest.Web(t, "b")
	a, bb := one.Listener.Addr().String(), two.Listener.Addr().String()
	src := newSource()
	cfg := startLoop(t, src, b.Dir, head+haproxyTarget)
	src.members(member("a", a, "alive"), member("b", bb, "alive"))
	lbtest.Eventually(t, func() error { return loaded(t, cfg, 2) })

	two.Close() // and the agent has not noticed
	lbtest.Eventually(t, func() error {
		for range 10 {
			if got, err := b.Get(); err != nil || got != "a" {
				return errors.Join(fmt.Errorf("got %q", got), err)
			}
		}
		return nil
	})
	if err := loaded(t, cfg, 2); err != nil {
		t.Error(err)
	}
	src.members(member("a", a, "alive"), member("b", bb, "failed"))
	lbtest.Eventually(t, func() error { return loaded(t, cfg, 1) })

	// Gossip says that the last one failed, too: it stays until there is another.
	src.members(member("a", a, "failed"))
	src.members(member("c", "127.0.0.1:1", "alive"), member("a", a, "failed"))
	lbtest.Eventually(t, func() error {
		if text := readFile(t, b.Dest); !strings.Contains(text, "server c 127.0.0.1:1 ") || strings.Contains(text, "server a ") {
			return errors.New(text)
		}
		return nil
	})
}

// TestBadReload: a configuration that the checks pass but HAProxy cannot load leaves the old file, the old
// worker, and a reload that is tried again.
func TestBadReload(t *testing.T) {
	t.Parallel()
	b := lbtest.HAProxy(t)
	one, two := lbtest.Web(t, "a"), lbtest.Web(t, "b")
	src := newSource()
	// The check is fooled by a main file of its own; the master reads the real one.
	lbtest.Write(t, b.Dir, "good.cfg", readFile(t, b.Main))
	cfg := startLoop(t, src, b.Dir, head+strings.ReplaceAll(haproxyTarget, `"haproxy.cfg"`, `"good.cfg"`))
	src.members(member("a", one.Listener.Addr().String(), "alive"))
	lbtest.Eventually(t, func() error { return loaded(t, cfg, 1) })
	before := readFile(t, b.Dest)

	good := readFile(t, b.Main)
	lbtest.Write(t, b.Dir, "haproxy.cfg", good+"nonsense\n")
	src.members(member("a", one.Listener.Addr().String(), "alive"), member("b", two.Listener.Addr().String(), "alive"))
	store := record.Peek(cfg.StateDir)
	lbtest.Eventually(t, func() error { // what is loaded is in doubt, and the old file is back
		if rec, err := store.Target("haproxy/edge"); err != nil || rec.Loaded != "" {
			return errors.Join(fmt.Errorf("recorded is %+v", rec), err)
		}
		if got := readFile(t, b.Dest); got != before {
			return fmt.Errorf("the file is now\n%s", got)
		}
		return nil
	})
	if got, err := b.Get(); err != nil || got != "a" {
		t.Errorf("got %q, %v", got, err)
	}
	lbtest.Write(t, b.Dir, "haproxy.cfg", good)
	lbtest.Eventually(t, func() error { return loaded(t, cfg, 2) })
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestBalancerStartsLater: the file is kept right before there is a balancer.
func TestBalancerStartsLater(t *testing.T) {
	t.Parallel()
	lbtest.Program(t, "haproxy")
	dir := t.TempDir()
	lbtest.Write(t, dir, "haproxy.cfg", "defaults\n    timeout connect 1s\n    timeout client 1s\n    timeout server 1s\nfrontend f\n    bind "+lbtest.FreeAddr(t, "127.0.0.1")+"\n    default_backend web\n")
	src := newSource()
	startLoop(t, src, dir, head+haproxyTarget)
	src.members(member("a", "127.0.0.1:1", "alive"))
	lbtest.Eventually(t, func() error {
		if n := lines(filepath.Join(dir, "web.cfg")); n != 1 {
			return fmt.Errorf("%d servers", n)
		}
		return nil
	})
}

// TestForeignHands: somebody else reloads HAProxy, changes a weight, and kills it. The loop notices each, without an event, and
// heals it without a reload of its own: the file alone was right all the time.
func TestForeignHands(t *testing.T) {
	t.Parallel()
	b := lbtest.HAProxy(t)
	src := newSource()
	text := strings.Replace(haproxyTarget, "  reload {", "  runtime { socket = \"admin.sock\" }\n  reload {", 1)
	cfg := startLoop(t, src, b.Dir, strings.Replace(head, `{ settle = "0s" }`, "{\n  settle = \"0s\"\n  resync = \"1s\"\n}", 1)+text)
	var members []api.Member
	for _, name := range []string{"a", "b"} {
		members = append(members, member(name, lbtest.Web(t, name).Listener.Addr().String(), "alive"))
		src.members(members...) // b comes at run time
		lbtest.Eventually(t, func() error { return loaded(t, cfg, len(members)) })
	}
	runtime := cli.New(b.Admin, 10*time.Second)
	// right waits until HAProxy, the one that is on record, has both servers as they should be.
	right := func(not string) (instance string) {
		t.Helper()
		lbtest.Eventually(t, func() error {
			replies, err := runtime.Query(context.Background(), cli.ShowInfo(), cli.ShowState("web"))
			if err != nil {
				return err
			}
			info, err := cli.ParseInfo(replies[0])
			if err != nil {
				return err
			}
			states, err := cli.ParseServersState(replies[1])
			if err != nil {
				return err
			}
			if instance = info.Instance; instance == not || recorded(t, cfg) != instance {
				return fmt.Errorf("%s runs, %s is on record", instance, recorded(t, cfg))
			}
			for _, s := range states {
				if s.Weight != 100 || s.InMaint() {
					return fmt.Errorf("%+v", s)
				}
			}
			if len(states) != 2 {
				return fmt.Errorf("%d servers", len(states))
			}
			return nil
		})
		return instance
	}
	reloads := func() int { return strings.Count(b.Output(), "Reloading HAProxy") }
	first := right("")
	before := reloads()

	if err := runtime.Change(context.Background(), cli.SetWeight(cli.Ref{Backend: "web", Server: "a"}, 7),
		cli.SetState(cli.Ref{Backend: "web", Server: "b"}, cli.Maint)); err != nil {
		t.Fatal(err)
	}
	right("")
	if err := b.Signal(syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	second := right(first)
	if n := reloads() - before; n != 1 {
		t.Errorf("%d reloads beside the foreign one", n-1)
	}

	pid, _, _ := strings.Cut(second, "@")
	worker, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(worker, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-b.Done() // the master goes with it
	b.Process = lbtest.Start(t, lbtest.Program(t, "haproxy"), "-W", "-S", b.Socket, "-p", b.PIDFile, "-f", b.Main, "-f", b.Dest)
	right(second)
	if n := reloads(); n != 0 {
		t.Errorf("%d reloads after a restart", n)
	}
}

// TestNginx: joins, leaves and refusals with a real nginx, over new connections: none is lost.
func TestNginx(t *testing.T) {
	t.Parallel()
	b := lbtest.Nginx(t)
	one, two := lbtest.Web(t, "a"), lbtest.Web(t, "b")
	a, bb := one.Listener.Addr().String(), two.Listener.Addr().String()
	src := newSource()
	cfg := startLoop(t, src, b.Dir, head+strings.Replace(nginxTarget, "  file", "  precheck = \"wrapper\" # which does not see the main file\n  file", 1))
	src.members(member("a", a, "alive"))
	lbtest.Eventually(t, func() error { return loaded(t, cfg, 1) })
	for i := range 3 {
		src.members(member("a", a, "alive"), member("b", bb, "alive"))
		lbtest.Eventually(t, func() error { return loaded(t, cfg, 2) })
		for j := range 20 {
			if _, err := b.Get(); err != nil {
				t.Errorf("round %d, request %d: %v", i, j, err)
			}
		}
		src.members(member("a", a, "alive"), member("b", bb, "left"))
		lbtest.Eventually(t, func() error { return loaded(t, cfg, 1) })
	}
	// What nginx as a whole refuses is put back at once.
	before := readFile(t, b.Dest)
	main := readFile(t, b.Main)
	lbtest.Write(t, b.Dir, "nginx.conf", main+"nonsense;\n")
	src.members(member("a", a, "alive"), member("b", bb, "alive"))
	lbtest.Eventually(t, func() error {
		rec, err := record.Peek(cfg.StateDir).Target("nginx/www")
		if err != nil || len(rec.Written) != 2 || readFile(t, b.Dest) != before {
			return errors.Join(fmt.Errorf("recorded is %+v", rec), err)
		}
		return nil
	})
	lbtest.Write(t, b.Dir, "nginx.conf", main)
	lbtest.Eventually(t, func() error { return loaded(t, cfg, 2) })
}

// TestManyChangesFewReloads: a hundred changes within moments are at most two reloads of nginx, but for those that the time
// itself allows, and what is loaded in the end is right.
func TestManyChangesFewReloads(t *testing.T) {
	t.Parallel()
	const interval = 3 * time.Second
	b := lbtest.Nginx(t)
	a, bb := lbtest.Web(t, "a").Listener.Addr().String(), lbtest.Web(t, "b").Listener.Addr().String()
	src := newSource()
	cfg := startLoop(t, src, b.Dir, head+strings.Replace(nginxTarget, `min_interval = "100ms"`, `min_interval = "3s"`, 1))
	reloads := func() int { return strings.Count(b.Output(), "reconfiguring") }
	src.members(member("a", a, "alive"))
	lbtest.Eventually(t, func() error { return loaded(t, cfg, 1) })
	before, began := reloads(), time.Now()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := range 100 {
		<-tick.C
		if i%2 == 0 {
			src.members(member("a", a, "alive"), member("b", bb, "alive"))
		} else {
			src.members(member("a", a, "alive"), member("b", bb, "left"))
		}
	}
	src.members(member("a", a, "alive"), member("b", bb, "alive"))
	lbtest.Eventually(t, func() error { return loaded(t, cfg, 2) })
	if n, most := reloads()-before, 2+int(time.Since(began)/interval); n > most {
		t.Errorf("%d reloads, want at most %d", n, most)
	}
}

// TestBadReloadOfHAProxy: an address that is taken passes the check and fails the reload. The file that was loaded is put back, the
// old worker goes on with it, and the reload is tried again until it works.
func TestBadReloadOfHAProxy(t *testing.T) {
	t.Parallel()
	b := lbtest.HAProxy(t)
	one, two := lbtest.Web(t, "a").Listener.Addr().String(), lbtest.Web(t, "b").Listener.Addr().String()
	src := newSource()
	cfg := startLoop(t, src, b.Dir, head+haproxyTarget)
	src.members(member("a", one, "alive"))
	lbtest.Eventually(t, func() error { return loaded(t, cfg, 1) })
	before, worker := readFile(t, b.Dest), recorded(t, cfg)

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	lbtest.Write(t, b.Dir, "haproxy.cfg", readFile(t, b.Main)+"frontend clash\n    bind "+taken.Addr().String()+"\n    default_backend web\n")
	src.members(member("a", one, "alive"), member("b", two, "alive"))
	for attempts := 1; attempts <= 2; attempts++ {
		lbtest.Eventually(t, func() error {
			if n := strings.Count(b.Output(), "annot bind socket"); n < attempts {
				return fmt.Errorf("%d attempts, want %d", n, attempts)
			}
			return nil
		})
		lbtest.Eventually(t, func() error {
			rec, err := record.Peek(cfg.StateDir).Target("haproxy/edge")
			if now := readFile(t, b.Dest); err != nil || now != before || rec.Loaded != "" {
				return errors.Join(fmt.Errorf("the file is %q, recorded is %+v", now, rec), err)
			}
			return nil
		})
		if got, err := b.Get(); err != nil || got != "a" {
			t.Errorf("after %d attempts the old worker says %q, %v", attempts, got, err)
		}
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	lbtest.Eventually(t, func() error { return loaded(t, cfg, 2) })
	if now := recorded(t, cfg); now == worker {
		t.Errorf("it is loaded, but by the old worker %s", now)
	}
}
