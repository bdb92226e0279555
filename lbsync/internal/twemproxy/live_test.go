package twemproxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/lbtest"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
	"github.com/seed-645ce708/gossip/lbsync/internal/record"
	"github.com/seed-645ce708/gossip/lbsync/internal/reload"
	"github.com/seed-645ce708/gossip/lbsync/internal/target"
	"github.com/seed-645ce708/gossip/lbsync/internal/twemproxy"
)

// keys is how many the tests of the ring use.
const keys = 1000

// memcached starts a memcached at the host and returns its address.
func memcached(t *testing.T, host string) string {
	t.Helper()
	program := lbtest.Program(t, "memcached")
	addr := lbtest.FreeAddr(t, host)
	startMemcached(t, program, addr)
	return addr
}

func startMemcached(t *testing.T, program, addr string) *lbtest.Process {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	p := lbtest.Start(t, program, "-l", host, "-p", port, "-U", "0", "-m", "8", "-t", "1", "-u", "nobody")
	waitFor(t, addr)
	return p
}

func waitFor(t *testing.T, addr string) {
	t.Helper()
	lbtest.Eventually(t, func() error {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// ask sends one command for each key over one connection and returns the replies, without the text of values.
func ask(addr, format string) ([]string, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // it was read
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return nil, err
	}
	go func() {
		var b strings.Builder
		for i := range keys {
			fmt.Fprintf(&b, format, i)
		}
		_, _ = io.WriteString(conn, b.String()) // the reader notices
	}()
	var out []string
	lines := bufio.NewScanner(conn)
	for len(out) < keys && lines.Scan() {
		switch line := lines.Text(); {
		case strings.HasPrefix(line, "VALUE"):
			out = append(out, "hit")
			lines.Scan() // its text
			lines.Scan() // END
		case line == "END":
			out = append(out, "miss")
		default:
			out = append(out, line)
		}
	}
	return out, lines.Err()
}

// fill stores all keys.
func fill(t *testing.T, addr string) {
	t.Helper()
	got, err := ask(addr, "set key-%d 0 0 1\r\nx\r\n")
	if n := count(got, "STORED"); err != nil || n != keys {
		t.Fatalf("stored %d keys: %v", n, err)
	}
}

// hits counts the keys that are found.
func hits(t *testing.T, addr string) int {
	t.Helper()
	got, err := ask(addr, "get key-%d\r\n")
	if err != nil || len(got) != keys {
		t.Fatalf("got %d replies: %v", len(got), err)
	}
	return count(got, "hit")
}

func count(all []string, what string) int {
	n := 0
	for _, s := range all {
		if s == what {
			n++
		}
	}
	return n
}

// rig is a target whose nutcracker is restarted by a script.
type rig struct {
	*target.Target
	cfg      config.Target
	addr     string // where clients connect
	restarts string // a file with a line for each restart
}

// newRig makes a target of one pool for service "mc". enter is put before nutcracker's own arguments.
func newRig(t *testing.T, change func(*config.Target), enter string) *rig {
	t.Helper()
	program := lbtest.Program(t, "nutcracker")
	dir := t.TempDir()
	addr, stats := lbtest.FreeAddr(t, "127.0.0.1"), lbtest.FreeAddr(t, "127.0.0.1")
	_, port, _ := net.SplitHostPort(stats)
	dest, pid := filepath.Join(dir, "pools.yml"), filepath.Join(dir, "pid")
	script := lbtest.Write(t, dir, "restart.sh", fmt.Sprintf(`set -e
echo restart >>%[1]s/restarts
if [ -s %[2]s ]; then
	old=$(cat %[2]s)
	kill "$old" 2>/dev/null || true
	while kill -0 "$old" 2>/dev/null; do sleep 0.02; done
	rm -f %[2]s
fi
exec %[3]s %[4]s -d -c %[5]s -p %[2]s -o %[1]s/log -a 127.0.0.1 -s %[6]s -i 100
`, dir, pid, enter, program, dest, port))
	cfg := config.Target{Kind: config.KindTwemproxy, Name: "cache", Services: []string{"mc"},
		Files:  []config.File{{Dest: dest, Timeout: time.Minute}},
		Reload: config.Reload{Command: []string{"sh", script}, Timeout: 30 * time.Second},
		Twemproxy: &config.Twemproxy{Stats: stats, Pools: []config.Pool{{Name: "mc", Service: "mc", Listen: addr,
			Hash: "fnv1a_64", Distribution: "ketama", Settings: map[string]string{"timeout": "5000"}}}}}
	if change != nil {
		change(&cfg)
	}
	store, err := record.Open(filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := twemproxy.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = store.Close() // the folder goes anyway
		if text, err := os.ReadFile(pid); err == nil {
			if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && n > 1 {
				_ = syscall.Kill(n, syscall.SIGKILL) // it may have ended
			}
		}
		if text, err := os.ReadFile(filepath.Join(dir, "log")); err == nil && t.Failed() {
			t.Logf("log of nutcracker:\n%s", text)
		}
	})
	return &rig{Target: target.New(cfg, a, store), cfg: cfg, addr: addr, restarts: filepath.Join(dir, "restarts")}
}

// apply makes a pass for the servers, and fails the test unless it restarts as often as it should.
func (r *rig) apply(t *testing.T, restarts int, servers ...pool.Server) target.Result {
	t.Helper()
	before := r.count(t)
	slices.SortFunc(servers, func(a, b pool.Server) int { return strings.Compare(a.Name, b.Name) })
	res, err := r.Apply(context.Background(), adapter.Pools{Services: adapter.Services{"mc": {Name: "mc", Servers: servers}}},
		func(context.Context, target.Need) (func(error), error) { return func(error) {}, nil })
	if err != nil {
		t.Fatal(err)
	}
	if n := r.count(t) - before; n != restarts {
		t.Errorf("%d restarts, want %d (%s)", n, restarts, res.Reason)
	}
	return res
}

func (r *rig) count(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(r.restarts)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Count(string(text), "\n")
}

// TestRing holds that only names place servers on the ring.
func TestRing(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil, "")
	addrs := []string{memcached(t, "127.0.0.1"), memcached(t, "127.0.0.1"), memcached(t, "::1"), memcached(t, "127.0.0.1"), memcached(t, "127.0.0.1")}
	a, b, c := server("mc-a", addrs[0]), server("mc-b", addrs[1]), server("mc-c", addrs[2])
	r.apply(t, 1, a, b, c)
	fill(t, r.addr)
	var held []int
	for _, addr := range addrs[:3] {
		held = append(held, hits(t, addr))
	}
	if held[0]+held[1]+held[2] != keys || slices.Min(held) < keys/10 {
		t.Fatalf("the servers hold %v keys", held)
	}
	r.apply(t, 0, c, b, a) // the order of members is nothing
	if n := hits(t, r.addr); n != keys {
		t.Errorf("reordered: %d of %d keys are found", n, keys)
	}
	moved := b
	moved.Addr, moved.Port = server("x", addrs[3]).Addr, server("x", addrs[3]).Port
	r.apply(t, 1, a, moved, c)
	if n := hits(t, r.addr); n != keys-held[1] {
		t.Errorf("one of three moved to an empty host: %d keys are found, want the %d of the others", n, keys-held[1])
	}
	fill(t, r.addr)
	r.apply(t, 1, a, c)
	if n := hits(t, r.addr); n != keys-held[1] {
		t.Errorf("one of three removed: %d keys are found, want the %d of the others", n, keys-held[1])
	}
	r.apply(t, 1, a, moved, c)
	fill(t, r.addr)
	r.apply(t, 1, a, moved, c, server("mc-d", addrs[4]))
	if n, took := hits(t, r.addr), keys-hits(t, r.addr); n < keys/2 || took < keys/20 {
		t.Errorf("a fourth added: %d of %d keys are found", n, keys)
	}
}

// TestMoveByName moves a member to another address by its name alone.
func TestMoveByName(t *testing.T) {
	t.Parallel()
	if exec.Command("unshare", "-m", "true").Run() != nil {
		t.Skip("mount namespaces cannot be made here, so names cannot be given addresses")
	}
	program := lbtest.Program(t, "memcached")
	hosts := lbtest.Write(t, t.TempDir(), "hosts", "127.0.0.21 mc-a.node.cluster\n")
	r := newRig(t, func(cfg *config.Target) {
		cfg.Twemproxy.Pools[0].Address, cfg.Twemproxy.Pools[0].Domain = config.AddressDNS, "cluster"
	}, `unshare -m sh -c 'mount --bind `+hosts+` /etc/hosts && exec "$@"' sh`)
	addr := lbtest.FreeAddr(t, "127.0.0.21")
	_, port, _ := net.SplitHostPort(addr)
	old := startMemcached(t, program, addr)
	r.apply(t, 1, server("mc-a", addr))
	fill(t, r.addr)

	next := net.JoinHostPort("127.0.0.22", port)
	startMemcached(t, program, next)
	r.apply(t, 0, server("mc-a", next)) // the file says the same as before
	if err := os.WriteFile(hosts, []byte("127.0.0.22 mc-a.node.cluster\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := old.Kill(); err != nil {
		t.Fatal(err)
	}
	<-old.Done()
	lbtest.Eventually(t, func() error {
		got, err := ask(r.addr, "set key-%d 0 0 1\r\nx\r\n")
		if n := count(got, "STORED"); n != keys {
			return errors.Join(fmt.Errorf("stored %d keys", n), err)
		}
		return nil
	})
	if n := hits(t, next); n != keys {
		t.Errorf("the new host has %d keys", n)
	}
}

// TestRestart holds what proves a restart, and what is found out before anything is cut.
func TestRestart(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil, "")
	a := server("mc-a", memcached(t, "127.0.0.1"))
	if _, err := r.Instance(context.Background()); !errors.Is(err, reload.ErrNotRunning) {
		t.Errorf("before the start: %v", err)
	}
	r.apply(t, 1) // a pool without servers runs, too
	if res := r.apply(t, 1, a); !res.Reloaded || !strings.HasPrefix(res.Actual.Instance, "since@") || res.Actual.Version == "" {
		t.Errorf("got %+v", res)
	}
	r.apply(t, 0, a)
	if r.Traits().Disruptive == "" {
		t.Error("a restart is said to cost nothing")
	}

	fails := func(want string, change func(*config.Target)) {
		t.Helper()
		cfg := r.cfg
		tw := *cfg.Twemproxy
		tw.Pools = slices.Clone(tw.Pools)
		cfg.Twemproxy = &tw
		change(&cfg)
		ad, err := twemproxy.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		rendered, err := ad.Render(adapter.Pools{Services: adapter.Services{"mc": {Servers: []pool.Server{a}}}})
		if err == nil {
			err = ad.Check(ctx, []string{lbtest.Write(t, t.TempDir(), "c.yml", string(rendered.Files[0]))}, adapter.Cause{})
		}
		if err == nil {
			err = ad.Reload(ctx, adapter.Cause{})
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	before := r.count(t)
	fails("no statistics are at", func(cfg *config.Target) { cfg.Twemproxy.Stats = lbtest.FreeAddr(t, "127.0.0.1") })
	fails("one of one_at_a_time", func(cfg *config.Target) { cfg.Twemproxy.Pools[0].Hash = "sha1" })
	other := config.Pool{Name: "other", Service: "mc", Listen: a.HostPort(), Hash: "md5", Distribution: "ketama"}
	fails("another program does", func(cfg *config.Target) { cfg.Twemproxy.Pools = append(cfg.Twemproxy.Pools, other) })
	if n := r.count(t) - before; n != 0 {
		t.Errorf("%d restarts", n)
	}
	fails("still is the process", func(cfg *config.Target) {
		cfg.Reload.Command, cfg.Reload.Timeout = []string{"true"}, 5*time.Second
	})
	fails("exit status 3", func(cfg *config.Target) { cfg.Reload.Command = []string{"sh", "-c", "exit 3"} })
}

func TestLint(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "0.0.0.0:0") // stands for nutcracker, which listens there unless told otherwise
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // it was only listened at
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for stats, want := range map[string]string{
		"127.0.0.1:" + port:             "can be read from elsewhere",
		"10.0.0.1:22222":                "can be read from elsewhere",
		lbtest.FreeAddr(t, "127.0.0.1"): "",
		"":                              "cannot be seen",
	} {
		a, err := twemproxy.New(config.Target{Kind: config.KindTwemproxy, Files: []config.File{{}},
			Reload:    config.Reload{Command: []string{"true"}},
			Twemproxy: &config.Twemproxy{Stats: stats, Pools: []config.Pool{{Name: "p", Distribution: "ketama"}}}})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(a.Lint(), "; "); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%q: got %q, want %q", stats, got, want)
		}
	}
}
