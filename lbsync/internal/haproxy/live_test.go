package haproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/haproxy/cli"
	"github.com/seed-645ce708/gossip/lbsync/internal/lbtest"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
)

// TestLifeUnderLoad adds a member whose port opens only later, lets it serve from its second good check on, drains it and removes
// it, three times over, while clients come all the time: no request fails, and none reaches it too early.
func TestLifeUnderLoad(t *testing.T) {
	t.Parallel()
	r := newRig(t, lbtest.HAProxy(t), func(c *config.Target) { // which checks who is up so seldom that each check can be counted
		c.HAProxy.Backends[0].Options = "check inter 1h fastinter 50ms downinter 50ms rise 2 fall 2"
		c.HAProxy.Backends[0].Lines = []string{"option httpchk GET /health"}
	})
	one := listen(t, "one", "127.0.0.1:0")
	r.must(pools(one.server()))
	r.up("one")
	base := r.reloads
	load := lbtest.StartLoad(t, r.b.Addr)
	for range 3 {
		late := serverAt("late", lbtest.FreeAddr(t, "127.0.0.1"))
		r.must(pools(one.server(), late))
		if s := r.read()["late"]; s.Health != adapter.Down {
			t.Errorf("on probation it is %+v", s)
		}
		before := load.OK.Load()
		r.eventually("too few requests", func() bool { return load.OK.Load() > before+100 })
		two := listen(t, "late", late.HostPort())
		r.up("late")
		r.eventually("it gets no requests", func() bool { return two.requests.Load() > 20 })
		if n := two.checks.Load(); n != 2 {
			t.Errorf("it was checked %d times before it got traffic, want 2", n)
		}

		r.must(pools(one.server(), draining(late)))
		if s := r.read()["late"]; !s.Draining {
			t.Errorf("draining it is %+v", s)
		}
		r.eventually("it keeps sessions", func() bool { return r.read()["late"].Sessions == 0 })
		r.eventually("it is not deleted", func() bool {
			plan := r.must(pools(one.server()))
			_, there := r.read()["late"]
			return len(plan.Remains) == 0 && !there
		})
		if err := two.srv.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := load.Stop(); err != nil || load.Failed.Load() > 0 {
		t.Errorf("%d of %d requests failed: %v", load.Failed.Load(), load.Failed.Load()+load.OK.Load(), err)
	}
	if r.reloads != base {
		t.Errorf("%d reloads", r.reloads-base)
	}
}

// TestRestartOfHAProxy kills the worker: the file alone has the right servers, and nothing is to be reloaded.
func TestRestartOfHAProxy(t *testing.T) {
	t.Parallel()
	r := newRig(t, lbtest.HAProxy(t), nil)
	one, two := listen(t, "one", "127.0.0.1:0"), listen(t, "two", "127.0.0.1:0")
	r.must(pools(one.server()))
	base := r.reloads
	both := pools(one.server(), two.server())
	r.must(both)
	before, err := r.a.Read(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	pid, _, _ := strings.Cut(before.Instance, "@")
	var worker int
	if _, err := fmt.Sscan(pid, &worker); err != nil {
		t.Fatal(err)
	}
	process, err := os.FindProcess(worker)
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-r.b.Done() // the master goes with it
	if _, err := r.pass(both); err == nil {
		t.Error("a pass without HAProxy succeeds")
	}
	r.b.Process = lbtest.Start(t, lbtest.Program(t, "haproxy"), "-W", "-S", r.b.Socket, "-p", r.b.PIDFile, "-f", r.b.Main, "-f", r.b.Dest)
	r.eventually("it is not back", func() bool { _, err := r.a.Read(context.Background()); return err == nil })
	now, err := r.a.Read(context.Background())
	if err != nil || now.Instance == before.Instance {
		t.Errorf("instance %s, %v", now.Instance, err)
	}
	if plan := r.a.Plan(both, now); !plan.Empty() {
		t.Errorf("the file alone is not enough: %+v", plan)
	}
	r.must(both)
	if r.reloads != base {
		t.Errorf("%d reloads", r.reloads-base)
	}
}

// TestForeignHands has an operator reload, and change a weight and a state.
func TestForeignHands(t *testing.T) {
	t.Parallel()
	one, two := listen(t, "one", "127.0.0.1:0"), listen(t, "two", "127.0.0.1:0")
	both := func() adapter.Pools { return pools(one.server(), two.server()) }
	ref := cli.Ref{Backend: "web", Server: "one"}
	for _, respect := range []bool{false, true} {
		t.Run(fmt.Sprintf("respect=%t", respect), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, lbtest.HAProxy(t), func(c *config.Target) {
				c.HAProxy.Runtime.KeepWeight, c.HAProxy.Runtime.KeepState = respect, respect
			})
			r.must(pools(one.server()))
			r.must(both())
			r.up("one")
			base := r.reloads
			r.by(cli.SetWeight(ref, 7))
			r.by(cli.SetState(cli.Ref{Backend: "web", Server: "two"}, cli.Maint))
			plan := r.must(both())
			got := r.read()
			if want := map[bool]int{false: 100, true: 7}[respect]; got["one"].Weight != want || got["two"].Out != respect {
				t.Errorf("%+v", got)
			}
			if respect != (len(plan.Remains) == 2) {
				t.Errorf("told %q", plan.Remains)
			}
			heavier := one.server()
			heavier.Weight = 50
			r.must(pools(heavier, two.server()))
			if got := r.read(); got["one"].Weight != 50 {
				t.Errorf("a new weight: %+v", got["one"])
			}
			if err := Reload(context.Background(), r.b.Socket); err != nil {
				t.Fatal(err)
			}
			r.must(pools(heavier, two.server()))
			if got := r.read(); got["one"].Weight != 50 || got["two"].Out {
				t.Errorf("after a foreign reload: %+v", got)
			}
			if r.reloads != base {
				t.Errorf("%d reloads", r.reloads-base)
			}
		})
	}
}

// TestReloadsOnlyForStructure makes fifty changes of members and one of the backend.
func TestReloadsOnlyForStructure(t *testing.T) {
	t.Parallel()
	r := newRig(t, lbtest.HAProxy(t), nil)
	r.must(pools())
	base := r.reloads
	var servers []pool.Server
	for i := range 50 {
		switch i % 5 {
		case 4:
			servers = servers[1:]
		case 3:
			servers[0].Weight = uint16(i)
		case 2:
			servers[len(servers)-1].Port++
		default:
			servers = append(servers, serverAt(fmt.Sprintf("web-%02d", i), fmt.Sprintf("127.0.0.2:%d", 1000+i)))
		}
		r.must(pools(append([]pool.Server(nil), servers...)...))
	}
	if got := r.read(); r.reloads != base || len(got) != len(servers) {
		t.Errorf("%d reloads for 50 changes, %d servers of %d", r.reloads-base, len(got), len(servers))
	}
	r.cfg.HAProxy.Backends[0].Options = "check inter 100ms"
	loaded, instance := r.loaded, r.instance
	r.restart()
	r.loaded, r.instance = loaded, instance
	r.must(pools(append([]pool.Server(nil), servers...)...))
	r.must(pools(append([]pool.Server(nil), servers...)...))
	if r.reloads != base+1 {
		t.Errorf("%d reloads for a change of structure", r.reloads-base)
	}
}

// TestSlots has an algorithm that takes no servers at run time.
func TestSlots(t *testing.T) {
	t.Parallel()
	r := newRig(t, lbtest.HAProxy(t), func(c *config.Target) {
		c.HAProxy.Backends[0].Balance, c.HAProxy.Backends[0].Servers, c.HAProxy.Backends[0].Slots = "static-rr", config.ServersSlots, 3
	})
	apps := make([]*app, 5)
	for i := range apps {
		apps[i] = listen(t, fmt.Sprintf("app-%d", i), "127.0.0.1:0")
	}
	r.must(pools())
	base := r.reloads
	r.must(pools(apps[0].server(), apps[1].server()))
	r.up("app-0")
	r.up("app-1")
	if got := r.get(); !strings.HasPrefix(got, "app-") {
		t.Errorf("got %q", got)
	}
	r.must(pools(apps[1].server(), apps[2].server()))
	r.up("app-2")
	if _, there := r.read()["app-0"]; there || r.reloads != base {
		t.Errorf("%+v after %d reloads", r.read(), r.reloads-base)
	}
	// The third free slot is app-0's former one, and a restart does not forget whose the others are.
	slot := r.a.slots.of("web").Held["app-1"]
	loaded, instance := r.loaded, r.instance
	r.restart()
	r.loaded, r.instance = loaded, instance
	r.must(pools(apps[1].server(), apps[2].server(), apps[3].server()))
	if r.reloads != base {
		t.Errorf("%d reloads", r.reloads-base)
	}
	load := lbtest.StartLoad(t, r.b.Addr)
	r.must(pools(apps[1].server(), apps[2].server(), apps[3].server(), apps[4].server()))
	r.up("app-4")
	if r.reloads != base+1 || r.a.slots.of("web").Held["app-1"] != slot {
		t.Errorf("%d reloads to grow, slots %+v", r.reloads-base, r.a.slots.of("web"))
	}
	if err := load.Stop(); err != nil {
		t.Error(err)
	}
}

// TestBadReload has a reload that checks cannot foresee: an address that is taken.
func TestBadReload(t *testing.T) {
	t.Parallel()
	r := newRig(t, lbtest.HAProxy(t), nil)
	one := listen(t, "one", "127.0.0.1:0")
	r.must(pools(one.server()))
	r.up("one")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	main, err := os.ReadFile(r.b.Main)
	if err != nil {
		t.Fatal(err)
	}
	lbtest.Write(t, r.b.Dir, "haproxy.cfg", string(main)+"frontend clash\n    bind "+taken.Addr().String()+"\n    default_backend web\n")
	before, err := r.a.Read(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.a.Reload(context.Background(), adapter.Cause{}); err == nil {
		t.Error("a reload that cannot bind succeeds")
	}
	after, err := r.a.Read(context.Background())
	if err != nil || after.Instance != before.Instance {
		t.Errorf("%s became %s, %v", before.Instance, after.Instance, err)
	}
	if got := r.get(); got != "one" {
		t.Errorf("the old worker says %q", got)
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.a.Reload(context.Background(), adapter.Cause{}); err != nil {
		t.Error(err)
	}
}

// TestStaleStateFile starts HAProxy with a server-state-file that sends traffic to where a server once was, and
// has reloads that keep health with it.
func TestStaleStateFile(t *testing.T) {
	t.Parallel()
	stale := listen(t, "stale", loopback(t, 9))
	one := listen(t, "one", loopback(t, 10))
	_, stalePort, err := net.SplitHostPort(stale.addr)
	if err != nil {
		t.Fatal(err)
	}
	var path string
	b := lbtest.HAProxyWith(t, func(b *lbtest.Balancer) lbtest.HAProxyLines {
		path = filepath.Join(b.Dir, "state")
		lbtest.Write(t, b.Dir, "state", noState)
		return lbtest.HAProxyLines{Global: "server-state-file " + path, Defaults: "load-server-state-from-file global"}
	})
	r := newRig(t, b, func(c *config.Target) { c.HAProxy.StateFile = path })
	dead := serverAt("dead", loopback(t, 11))
	want := pools(one.server(), dead)
	r.must(want)
	r.up("one")
	r.eventually("dead is not down", func() bool { return r.read()["dead"].Health == adapter.Down })

	if err := r.a.Reload(context.Background(), adapter.Cause{}); err != nil {
		t.Fatal(err)
	}
	if s := r.read()["dead"]; s.Health != adapter.Down {
		t.Errorf("a reload makes it %+v", s)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != noState {
		t.Errorf("a state is left behind: %q, %v", text, err)
	}

	// An operator's dump of some other time.
	dump, err := cli.New(b.Admin, 0).Query(context.Background(), cli.ShowState("web"))
	if err != nil {
		t.Fatal(err)
	}
	port := fmt.Sprint(want.Services["web"].Servers[1].Port)
	lbtest.Write(t, b.Dir, "state", strings.ReplaceAll(dump[0], " "+port+" ", " "+stalePort+" "))
	if err := Reload(context.Background(), b.Socket); err != nil {
		t.Fatal(err)
	}
	r.must(want)
	if s := r.read()["one"]; s.Port != want.Services["web"].Servers[1].Port || s.Addr != want.Services["web"].Servers[1].Addr {
		t.Errorf("healed to %+v", s)
	}
	if stale.requests.Load() > 0 {
		t.Error("a request went to where a server once was")
	}
	// A reload of ours does not believe such a file either.
	lbtest.Write(t, b.Dir, "state", strings.ReplaceAll(dump[0], " "+port+" ", " "+stalePort+" "))
	if err := r.a.Reload(context.Background(), adapter.Cause{}); err != nil {
		t.Fatal(err)
	}
	if s := r.read()["one"]; s.Port != want.Services["web"].Servers[1].Port {
		t.Errorf("after a reload of ours %+v", s)
	}
}

// TestFamilies moves one name from IPv4 to IPv6 and back.
func TestFamilies(t *testing.T) {
	t.Parallel()
	four := listen(t, "web-1", "127.0.0.1:0")
	six, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6 here: %v", err)
	}
	addr := six.Addr().String()
	if err := six.Close(); err != nil {
		t.Fatal(err)
	}
	moved := listen(t, "web-1", addr)
	for _, servers := range []string{config.ServersNamed, config.ServersSlots} {
		t.Run(servers, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, lbtest.HAProxy(t), func(c *config.Target) {
				c.HAProxy.Backends[0].Servers, c.HAProxy.Backends[0].Slots = servers, 2
			})
			r.must(pools())
			base := r.reloads
			r.must(pools(four.server()))
			r.up("web-1")
			r.must(pools(moved.server()))
			if s := r.read()["web-1"]; s.Health != adapter.Down || !s.Addr.Is6() {
				t.Errorf("moved it is %+v", s)
			}
			r.up("web-1")
			before := moved.requests.Load()
			if got := r.get(); got != "web-1" || moved.requests.Load() == before {
				t.Errorf("got %q", got)
			}
			r.must(pools(four.server()))
			r.up("web-1")
			if r.reloads != base {
				t.Errorf("%d reloads", r.reloads-base)
			}
		})
	}
}

// TestSocketFaults has the Runtime API full, and a line cut off after its first command.
func TestSocketFaults(t *testing.T) {
	t.Parallel()
	r := newRig(t, lbtest.HAProxy(t), func(c *config.Target) { c.HAProxy.Runtime.Timeout = 2 * time.Second })
	one := listen(t, "one", "127.0.0.1:0")
	r.must(pools())
	var held []net.Conn
	for range 10 {
		conn, err := net.Dial("unix", r.b.Admin)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte("prompt\n")); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		held = append(held, conn)
	}
	if _, err := r.pass(pools(one.server())); !errors.Is(err, cli.ErrSilent) {
		t.Errorf("the eleventh client: %v", err)
	}
	for _, conn := range held {
		_ = conn.Close() // all that is wanted of it
	}
	// Added, but what should have followed was lost.
	lbtest.Eventually(t, func() error {
		return cli.New(r.b.Admin, 0).Change(context.Background(), cli.AddServer(cli.Ref{Backend: "web", Server: "one"},
			netip.MustParseAddrPort(one.addr), []string{"id", fmt.Sprint(pools(one.server()).Services["web"].Servers[0].ID), "weight", "100", "check", "inter", "50ms"}))
	})
	r.sent = nil
	r.must(pools(one.server()))
	r.up("one")
	for _, c := range r.sent {
		if strings.HasPrefix(c, "add server") {
			t.Errorf("added twice: %s", c)
		}
	}
}

// TestSocketBreaks has the Runtime API fail in the middle of a plan, in each way that a socket can: what was done is read back,
// what is missing is done, and nothing is added twice.
func TestSocketBreaks(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{"closed before the command", "closed before the reply", "half a reply", "stalls"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			b := lbtest.HAProxy(t)
			s := faulty(t, filepath.Join(b.Dir, "faulty.sock"), b.Admin)
			r := newRig(t, b, func(c *config.Target) {
				c.HAProxy.Runtime.Socket, c.HAProxy.Runtime.Timeout = filepath.Join(b.Dir, "faulty.sock"), 5*time.Second
			})
			one, two := listen(t, "one", "127.0.0.1:0"), listen(t, "two", "127.0.0.1:0")
			r.must(pools(one.server()))
			base := r.reloads
			both := pools(one.server(), two.server())
			s.adds.Store(0)
			s.next.Store(&fault)
			if _, err := r.pass(both); err != nil { // what the loop does then is to try again
				if !errors.Is(err, cli.ErrSilent) {
					t.Errorf("the pass: %v", err)
				}
				r.must(both)
			}
			if *s.next.Load() != "" {
				t.Error("nothing was sent that could fail")
			}
			r.up("two")
			if n := s.adds.Load(); n != 1 {
				t.Errorf("HAProxy was told %d times to add it", n)
			}
			if got := r.read(); len(got) != 2 || r.reloads != base {
				t.Errorf("%+v after %d reloads", got, r.reloads-base)
			}
		})
	}
}

// broken stands between the adapter and the Runtime API, and fails for one line of commands.
type broken struct {
	next atomic.Pointer[string] // the fault to come; "" for none
	adds atomic.Int64           // commands to add a server that reached HAProxy
}

func faulty(t *testing.T, path, to string) *broken {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // nothing is left to be heard
	s, none := &broken{}, ""
	s.next.Store(&none)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.pass(conn, to)
		}
	}()
	return s
}

// pass hands one line to HAProxy and the reply back, if nothing comes in between.
func (s *broken) pass(client net.Conn, to string) {
	defer func() { _ = client.Close() }() // the other side notices
	server, err := net.Dial("unix", to)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }() // the other side notices
	line := make([]byte, 64<<10)
	n, err := client.Read(line)
	if err != nil {
		return
	}
	fault, none := "", ""
	if adds := strings.Count(string(line[:n]), "add server"); adds > 0 {
		if fault = *s.next.Swap(&none); fault == "closed before the command" {
			return
		}
		s.adds.Add(int64(adds))
	}
	if _, err := server.Write(line[:n]); err != nil {
		return
	}
	reply, err := io.ReadAll(server)
	switch {
	case err != nil || fault == "closed before the reply":
	case fault == "half a reply":
		_, _ = client.Write(reply[:len(reply)/2]) // the other side notices
	case fault == "stalls":
		_, _ = client.Read(line) // until the other side has had enough
	default:
		_, _ = client.Write(reply) // the other side may be gone
	}
}

// TestSameKeys feeds two balancers in different orders: both send the same keys to the same servers.
func TestSameKeys(t *testing.T) {
	t.Parallel()
	apps := make([]*app, 4)
	for i := range apps {
		apps[i] = listen(t, fmt.Sprintf("app-%d", i), "127.0.0.1:0")
	}
	orders := [][]int{{0, 1, 2, 3}, {3, 1, 0, 2}}
	maps := make([]map[string]string, len(orders))
	for n, order := range orders {
		r := newRig(t, lbtest.HAProxy(t), func(c *config.Target) {
			c.HAProxy.Backends[0].Balance = "hdr(x-key)"
			c.HAProxy.Backends[0].Lines = []string{"hash-type consistent"}
		})
		var servers []pool.Server
		r.must(pools())
		base := r.reloads
		for _, i := range order {
			servers = append(servers, apps[i].server())
			r.must(pools(append([]pool.Server(nil), servers...)...))
		}
		for _, a := range apps {
			r.up(a.name)
		}
		if r.reloads != base {
			t.Errorf("%d reloads", r.reloads-base)
		}
		maps[n] = keys(t, r.b.Addr, 100)
	}
	for key, name := range maps[0] {
		if maps[1][key] != name {
			t.Errorf("%s is on %s and on %s", key, name, maps[1][key])
		}
	}
}

// TestPooling counts how often HAProxy connects to a server that was added.
func TestPooling(t *testing.T) {
	t.Parallel()
	r := newRig(t, lbtest.HAProxy(t), nil)
	one := listen(t, "one", "127.0.0.1:0")
	r.must(pools())
	r.must(pools(one.server()))
	r.up("one")
	_ = keys(t, r.b.Addr, 300)
	const backend = 3 // after the frontend
	reply, err := cli.New(r.b.Admin, 0).Query(context.Background(), cli.ShowStat(backend))
	if err != nil {
		t.Fatal(err)
	}
	stats, err := cli.ParseStat(reply[0])
	if err != nil || len(stats) != 1 || stats[0].Connects > 30 || stats[0].Reused < 200 {
		t.Errorf("%+v, %v for %d requests", stats, err, one.requests.Load())
	}
}

// TestRemovalWithSessions removes a server that still works on something: it gets nothing new, what it has is
// finished, or ended if that is wanted.
func TestRemovalWithSessions(t *testing.T) {
	t.Parallel()
	for _, force := range []bool{false, true} {
		t.Run(fmt.Sprintf("force=%t", force), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, lbtest.HAProxy(t), nil)
			one, two := listen(t, "one", "127.0.0.1:0"), listen(t, "two", "127.0.0.1:0")
			r.must(pools())
			r.must(pools(two.server()))
			r.up("two")
			take := 8 * time.Second
			if force {
				take = time.Minute
			}
			busy := r.slow(take)
			r.eventually("it is not there yet", func() bool { return r.read()["two"].Sessions > 0 })
			r.must(pools(one.server(), two.server()))
			r.up("one")
			left := pools(one.server())
			set := left.Services["web"]
			set.Force = force
			left.Services["web"] = set
			plan := r.must(left)
			if s := r.read()["two"]; !force && (!s.Out || len(plan.Remains) != 1 || plan.Again == 0) {
				t.Errorf("%+v, remains %q", s, plan.Remains)
			}
			for range 20 {
				if got := r.get(); got != "one" {
					t.Fatalf("it still gets requests: %q", got)
				}
			}
			r.eventually("it is not deleted", func() bool {
				r.must(left)
				_, there := r.read()["two"]
				return !there
			})
			if err := <-busy; (err != nil) != force {
				t.Errorf("its request ended with %v", err)
			}
		})
	}
}

// TestLearns has options and algorithms that HAProxy refuses at run time: after one attempt it is a reload.
func TestLearns(t *testing.T) {
	t.Parallel()
	one, two := listen(t, "one", "127.0.0.1:0"), listen(t, "two", "127.0.0.1:0")
	t.Run("keyword", func(t *testing.T) {
		t.Parallel()
		b := lbtest.HAProxyWith(t, func(*lbtest.Balancer) lbtest.HAProxyLines {
			return lbtest.HAProxyLines{Frontend: "\nresolvers r\n    nameserver n 127.0.0.1:1"}
		})
		r := newRig(t, b, func(c *config.Target) { c.HAProxy.Backends[0].Options = "check inter 50ms resolvers r" })
		r.must(pools())
		base := r.reloads
		r.must(pools(one.server()))
		r.sent = nil
		r.must(pools(one.server(), two.server()))
		if r.reloads != base+2 || len(r.sent) > 0 || !r.a.learned.refused["resolvers"] {
			t.Errorf("%d reloads, sent %q", r.reloads-base, r.sent)
		}
	})
	t.Run("referenced", func(t *testing.T) {
		t.Parallel()
		b := lbtest.HAProxyWith(t, func(*lbtest.Balancer) lbtest.HAProxyLines {
			return lbtest.HAProxyLines{Frontend: "http-request set-header X-Up yes if { srv_is_up(web/one) }", Backend: "server one 127.0.0.1:1"}
		})
		r := newRig(t, b, nil)
		r.must(pools(one.server(), two.server()))
		plan := r.must(pools(two.server()))
		if len(plan.Remains) != 1 || !strings.Contains(plan.Remains[0], "until the next reload") {
			t.Errorf("remains %q", plan.Remains)
		}
		r.must(pools(one.server(), two.server())) // it comes back from maintenance
		r.up("one")
	})
}

// TestKeepsHealthOverReload has a server that is down when HAProxy is reloaded: the new worker does not try it on
// clients.
func TestKeepsHealthOverReload(t *testing.T) {
	t.Parallel()
	r := newRig(t, lbtest.HAProxy(t), func(c *config.Target) { c.HAProxy.Backends[0].Options = "check inter 5s fastinter 50ms" })
	one := listen(t, "one", "127.0.0.1:0")
	r.must(pools())
	r.must(pools(one.server()))
	r.up("one")
	r.must(pools(one.server(), serverAt("dead", lbtest.FreeAddr(t, "127.0.0.1"))))
	if err := r.a.Reload(context.Background(), adapter.Cause{}); err != nil {
		t.Fatal(err)
	}
	got := r.read()
	if got["dead"].Health != adapter.Down || got["one"].Health == adapter.Down {
		t.Errorf("%+v", got)
	}
}

// keys asks for keys through HAProxy and returns which server each is on.
func keys(t *testing.T, addr string, n int) map[string]string {
	t.Helper()
	out := map[string]string{}
	client := &http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	for i := range n {
		key := fmt.Sprintf("key-%d", i)
		req, err := http.NewRequest(http.MethodGet, "http://"+addr+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Key", key)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(resp.Status, err)
		}
		_ = resp.Body.Close() // it was read
		out[key] = string(body)
	}
	return out
}
