package twemproxy_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
	"github.com/seed-645ce708/gossip/lbsync/internal/reload"
	"github.com/seed-645ce708/gossip/lbsync/internal/target"
	"github.com/seed-645ce708/gossip/lbsync/internal/twemproxy"
)

// TestRestartFails: a nutcracker that a restart has ended, and that does not start with the new file, is started again with the
// old one at once; and if that fails as well, it is known that nothing runs.
func TestRestartFails(t *testing.T) {
	t.Parallel()
	bad := func(string) {} // has restarts fail whose file matches
	r := newRig(t, func(cfg *config.Target) {
		dir := filepath.Dir(cfg.Files[0].Dest)
		bad = func(pattern string) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(dir, "bad"), []byte(pattern), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cfg.Reload.Command = []string{"sh", "-c", "cd " + dir + ` || exit 1
grep -q "$(cat bad)" pools.yml || exec sh restart.sh
old=$(cat pid)
kill "$old"
while kill -0 "$old" 2>/dev/null; do sleep 0.02; done
rm -f pid
exit 3`}
	}, "")
	var needs []target.Reason
	pass := func(servers ...pool.Server) (target.Result, error) {
		needs = nil
		return r.Apply(context.Background(), adapter.Pools{Services: adapter.Services{"mc": {Name: "mc", Servers: servers}}},
			func(_ context.Context, why target.Need) (func(error), error) {
				needs = append(needs, why.Reason)
				return func(error) {}, nil
			})
	}
	a, b := server("mc-a", memcached(t, "127.0.0.1")), server("mc-b", memcached(t, "127.0.0.1"))
	bad("mc-b")
	if _, err := pass(a); err != nil {
		t.Fatal(err)
	}
	fill(t, r.addr)
	res, err := pass(a, b)
	if err == nil || !res.RolledBack || hits(t, r.addr) != keys {
		t.Errorf("a restart that fails: %+v, %v", res, err)
	}
	if _, err := pass(a); err != nil || len(needs) > 0 {
		t.Errorf("the old one runs again, but: %v, %v", needs, err)
	}

	bad("mc-")
	if _, err := pass(a, b); err == nil {
		t.Error("no restart can succeed, but this one did")
	}
	if _, err := r.Instance(context.Background()); !errors.Is(err, reload.ErrNotRunning) {
		t.Errorf("nothing runs, but: %v", err)
	}
	bad("nothing")
	if res, err := pass(a, b); err != nil || !res.Reloaded || !slices.Equal(needs, []target.Reason{target.Stopped}) {
		t.Errorf("got %+v, needs %v, %v", res, needs, err)
	}
	fill(t, r.addr)
}

// TestRunsWithoutStatistics: where there are none, whether the pools of the file accept clients tells whether it runs.
func TestRunsWithoutStatistics(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0") // stands for nutcracker
	if err != nil {
		t.Fatal(err)
	}
	dest := filepath.Join(t.TempDir(), "pools.yml")
	a, err := twemproxy.New(config.Target{Kind: config.KindTwemproxy, Files: []config.File{{Dest: dest}},
		Reload: config.Reload{Command: []string{"true"}}, Twemproxy: &config.Twemproxy{Pools: []config.Pool{
			{Name: "mc", Service: "mc", Listen: l.Addr().String(), Hash: "md5", Distribution: "ketama"}}}})
	if err != nil {
		t.Fatal(err)
	}
	expect := func(what string, down bool) {
		t.Helper()
		if _, err := a.Read(context.Background()); errors.Is(err, reload.ErrNotRunning) != down || !down && err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	expect("without a file nobody knows", false)
	rendered, err := a.Render(adapter.Pools{})
	if err == nil {
		err = os.WriteFile(dest, rendered.Files[0], 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	expect("it accepts", false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	expect("it does not", true)
}

// TestKilledAtRestart: whoever died between a restart and writing it down restarts nothing again.
func TestKilledAtRestart(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil, "")
	a, b := server("mc-a", memcached(t, "127.0.0.1")), server("mc-b", memcached(t, "127.0.0.1"))
	r.apply(t, 1, a)
	func() {
		defer func() {
			if got := recover(); got != "killed" {
				t.Errorf("got %v", got)
			}
		}()
		_, err := r.Apply(context.Background(), adapter.Pools{Services: adapter.Services{"mc": {Name: "mc", Servers: []pool.Server{a, b}}}},
			func(context.Context, target.Need) (func(error), error) { return func(error) { panic("killed") }, nil })
		t.Error("it went on", err)
	}()
	r.apply(t, 0, a, b)
}
