package twemproxy_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
	"github.com/seed-645ce708/gossip/lbsync/internal/reload"
	"github.com/seed-645ce708/gossip/lbsync/internal/target"
)

// TestRestartFails: a nutcracker that a restart has ended, and that does not start with the new file, is started again with the
// old one at once; and if that fails as well, that nothing runs is known, with statistics or without.
func TestRestartFails(t *testing.T) {
	t.Parallel()
	for name, stats := range map[string]bool{"statistics": true, "none": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(cfg *config.Target) {
				if !stats {
					cfg.Twemproxy.Stats = ""
				}
				dir := filepath.Dir(cfg.Files[0].Dest)
				// It ends the one that runs, and then fails as long as the file is one to fail with.
				cfg.Reload.Command = []string{"sh", "-c", `if grep -qs "$(cat bad)" pools.yml; then kill "$(cat pid)"; rm -f pid; exit 3; fi; exec sh restart.sh`}
				cfg.Reload.Command = []string{"sh", "-c", "cd " + dir + " && " + cfg.Reload.Command[2]}
				if err := os.WriteFile(filepath.Join(dir, "bad"), []byte("mc-b"), 0o600); err != nil {
					t.Fatal(err)
				}
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

			if err := os.WriteFile(filepath.Join(filepath.Dir(r.restarts), "bad"), []byte("mc-"), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := pass(a, b); err == nil {
				t.Error("no restart can succeed, but this one did")
			}
			if _, err := r.Instance(context.Background()); !errors.Is(err, reload.ErrNotRunning) {
				t.Errorf("nothing runs, but: %v", err)
			}
			if _, err := pass(a, b); err == nil || !slices.Equal(needs, []target.Reason{target.Stopped}) {
				t.Errorf("needs %v, %v", needs, err)
			}
			if err := os.WriteFile(filepath.Join(filepath.Dir(r.restarts), "bad"), []byte("nothing"), 0o600); err != nil {
				t.Fatal(err)
			}
			if res, err := pass(a, b); err != nil || !res.Reloaded || res.Took > time.Minute {
				t.Errorf("got %+v, %v", res, err)
			}
			fill(t, r.addr)
		})
	}
}
