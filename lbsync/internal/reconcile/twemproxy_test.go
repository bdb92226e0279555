package reconcile_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/lbtest"
	"github.com/seed-645ce708/gossip/lbsync/internal/reconcile"
	"github.com/seed-645ce708/gossip/lbsync/internal/record"
)

// ring is a cluster of five members, so that one that fails is no reason to doubt the view.
func ring(statuses map[string]string) (members []api.Member) {
	for i, name := range []string{"a", "b", "c", "d", "e"} {
		status := statuses[name]
		if status == "" {
			status = "alive"
		}
		m := api.Member{Name: name, Addr: []byte{127, 0, 0, 1}, Status: status, Tags: map[string]string{"svc:mc": fmt.Sprint(11210 + i), "svc:red": fmt.Sprint(6380 + i)}}
		if status == "absent" {
			m.Status, m.Tags = "alive", nil
		}
		members = append(members, m)
	}
	return members
}

// TestRingKeepsTheFailed: unless told otherwise a memcached that failed keeps its place on the ring for ten minutes, and a redis
// for good; who leaves goes when its drain is over.
func TestRingKeepsTheFailed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg, err := config.Load(lbtest.Write(t, dir, "lbsync.hcl", `
state_dir = "state"
source "gossip" { resync = "1h" }
service "mc" {
  endpoint { allow_loopback = true }
}
service "red" {
  endpoint { allow_loopback = true }
}
target "twemproxy" "cache" {
  file { dest = "pools.yml" }
  restart { command = ["true"] }
  pool "mc" {
    service = "mc"
    listen  = "127.0.0.1:22121"
  }
  pool "red" {
    service = "red"
    listen  = "127.0.0.1:22122"
    redis   = true
  }
}
`))
	if err != nil {
		t.Fatal(err)
	}
	store, err := record.Open(cfg.StateDir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() }) // the folder goes anyway
	synctest.Test(t, func(t *testing.T) {
		src, cache := newSource(), &fakeTarget{cfg: cfg.Targets[0]}
		loop, err := reconcile.New(reconcile.Options{Config: cfg, Source: src, Store: store, Targets: []reconcile.Target{cache}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); loop.Run(ctx) }()
		is := func(when, mc, red string) {
			t.Helper()
			if got := cache.servers("mc"); got != mc {
				t.Errorf("%s the ring of memcached is %q, want %q", when, got, mc)
			}
			if got := cache.servers("red"); got != red {
				t.Errorf("%s the ring of redis is %q, want %q", when, got, red)
			}
		}
		src.members(ring(nil)...)
		time.Sleep(time.Minute)
		is("at first", "a b c d e", "a b c d e")
		src.members(ring(map[string]string{"c": "failed"})...)
		time.Sleep(10*time.Minute - time.Second)
		is("before ten minutes", "a b c d e", "a b c d e")
		time.Sleep(time.Minute)
		is("after ten minutes", "a b d e", "a b c d e")
		time.Sleep(30 * 24 * time.Hour)
		is("after a month", "a b d e", "a b c d e")
		src.members(ring(map[string]string{"c": "left", "d": "left"})...)
		time.Sleep(time.Minute)
		is("when two have left", "a b e", "a b e")
		stop()
		<-done
	})
}

// nutcracker starts a loop with a target of one pool, whose nutcracker is restarted by a script that writes down which servers
// the file has. It returns these lines.
func nutcracker(t *testing.T, src reconcile.Source, interval, grace string) (cfg *config.Config, restarts func() []string) {
	t.Helper()
	program := lbtest.Program(t, "nutcracker")
	dir := t.TempDir()
	stats := lbtest.FreeAddr(t, "127.0.0.1")
	script := lbtest.Write(t, dir, "restart.sh", fmt.Sprintf(`set -e
sed -n 's/^ *- .* //p' %[1]s/pools.yml | xargs echo >>%[1]s/restarts
if [ -s %[1]s/pid ]; then
	old=$(cat %[1]s/pid)
	kill "$old" 2>/dev/null || true
	while kill -0 "$old" 2>/dev/null; do sleep 0.02; done
	rm -f %[1]s/pid
fi
exec %[2]s -d -c %[1]s/pools.yml -p %[1]s/pid -o %[1]s/log -a 127.0.0.1 -s %[3]s -i 100
`, dir, program, stats[strings.LastIndex(stats, ":")+1:]))
	t.Cleanup(func() { // after the loop has ended
		if text, err := os.ReadFile(filepath.Join(dir, "pid")); err == nil {
			if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && pid > 1 {
				_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
			}
		}
		if text, err := os.ReadFile(filepath.Join(dir, "log")); err == nil && t.Failed() {
			t.Logf("log of nutcracker:\n%s", text)
		}
	})
	cfg = startLoop(t, src, dir, fmt.Sprintf(`
state_dir = "state"
source "gossip" { settle = "0s" }
service "mc" {
  endpoint { allow_loopback = true }
  wait {
    add   = "0s"
    leave = "0s"
    fail  = "0s"
  }
  guard {
    max_removal  = "100%%"
    failed_grace = %q
    flap { half_life = "0s" }
  }
  drain { timeout = "0s" }
}
target "twemproxy" "cache" {
  file { dest = "pools.yml" }
  restart {
    command      = ["sh", %q]
    stats        = %q
    min_interval = %q
  }
  pool "mc" {
    service = "mc"
    listen  = %q
  }
}
`, grace, script, stats, interval, lbtest.FreeAddr(t, "127.0.0.1")))
	return cfg, func() []string {
		text, _ := os.ReadFile(filepath.Join(dir, "restarts")) // not there before the first
		return strings.Split(strings.TrimSpace(string(text)), "\n")
	}
}

// serving waits until nutcracker has loaded a file with exactly these servers.
func serving(t *testing.T, cfg *config.Config, want string) {
	t.Helper()
	lbtest.Eventually(t, func() error {
		var names []string
		text, _ := os.ReadFile(cfg.Targets[0].Files[0].Dest) // not there before the first pass
		for line := range strings.Lines(string(text)) {
			if words := strings.Fields(line); len(words) == 3 && words[0] == "-" {
				names = append(names, words[2])
			}
		}
		rec, err := record.Peek(cfg.StateDir).Target("twemproxy/cache")
		if err != nil || strings.Join(names, " ") != want || len(rec.Written) != 1 || rec.Loaded != rec.Written[0] {
			return fmt.Errorf("the file has %v, want %s; recorded is %+v, %v", names, want, rec, err)
		}
		return nil
	})
}

// TestRingThroughFailures: a nutcracker is restarted for who joins, who leaves, and who has been failed for failed_grace, and
// not for who has just failed.
func TestRingThroughFailures(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		grace string
		want  []string
	}{
		{"1h", []string{"a b c", "a b c d", "a b d", "a b d e"}},
		{"5s", []string{"a b c", "a b c d", "a b d", "a b d e"}},
	} {
		t.Run(tt.grace, func(t *testing.T) {
			t.Parallel()
			src := newSource()
			cfg, restarts := nutcracker(t, src, "10ms", tt.grace)
			src.members(ring(map[string]string{"d": "absent", "e": "absent"})...)
			serving(t, cfg, "a b c")
			// c fails, and there is a reason to write the file: it is in it all the same.
			src.members(ring(map[string]string{"c": "failed", "e": "absent"})...)
			if tt.grace == "1h" {
				serving(t, cfg, "a b c d")
				src.members(ring(map[string]string{"c": "left", "e": "absent"})...)
			}
			serving(t, cfg, "a b d")
			src.members(ring(map[string]string{"c": "left"})...)
			serving(t, cfg, "a b d e")
			if got := restarts(); !slices.Equal(got, tt.want) {
				t.Errorf("restarted with %q, want %q", got, tt.want)
			}
		})
	}
}

// TestOneRestartPerWindow: members that come and go all the time cost one restart of nutcracker for each min_interval, and what
// it has in the end is right.
func TestOneRestartPerWindow(t *testing.T) {
	t.Parallel()
	const interval = 4 * time.Second
	src := newSource()
	cfg, restarts := nutcracker(t, src, interval.String(), "1h")
	src.members(ring(nil)...)
	serving(t, cfg, "a b c d e")
	began := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := range 50 {
		<-tick.C
		src.members(ring(map[string]string{string("abcde"[i%5]): "left"})...)
	}
	src.members(ring(map[string]string{"b": "left", "d": "left"})...)
	serving(t, cfg, "a c e")
	if n, most := len(restarts())-1, 2+int(time.Since(began)/interval); n > most {
		t.Errorf("%d restarts for 51 changes, want at most %d: %q", n, most, restarts())
	}
}
