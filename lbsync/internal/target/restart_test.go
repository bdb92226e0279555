package target_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/reload"
	"github.com/seed-645ce708/gossip/lbsync/internal/target"
)

// restarter is a balancer that can only be restarted. What has "bad" in its file does not start.
type restarter struct {
	driver
	pid     int    // 0 if nothing runs
	serves  string // the file that it read
	refuses bool   // the command to restart, before it does anything
	causes  []adapter.Cause
}

func (*restarter) Traits() adapter.Traits {
	return adapter.Traits{Reloads: true, Disruptive: "cuts all client connections"}
}

func (r *restarter) Read(context.Context) (adapter.Actual, error) {
	if r.pid == 0 {
		return adapter.Actual{}, fmt.Errorf("%w: nothing answers", reload.ErrNotRunning)
	}
	return adapter.Actual{Instance: fmt.Sprint(r.pid)}, nil
}

func (r *restarter) Reload(_ context.Context, cause adapter.Cause) error {
	r.causes = append(r.causes, cause)
	if r.refuses {
		return errors.New("no such command")
	}
	data, err := os.ReadFile(r.dest)
	if err != nil {
		return err
	}
	last := r.pid
	r.pid, r.serves = 0, ""
	if strings.Contains(string(data), "bad") {
		return errors.New("it ended at once")
	}
	r.pid, r.serves = last+len(r.causes), string(data)
	return nil
}

// TestRestartFails: a balancer that a restart has ended is started again with the file that it had before; and if there is none,
// or that does not help, the next pass tries to start it, and says that there is nothing to spare.
func TestRestartFails(t *testing.T) {
	t.Parallel()
	dest, store := folder(t)
	r := &restarter{driver: driver{dest: dest}}
	tgt := target.New(config.Target{Kind: "twemproxy", Name: "cache", Files: []config.File{{Dest: r.dest}}}, r, store)
	var needs []target.Need
	pass := func(text string) (target.Result, error) {
		t.Helper()
		r.text, r.causes, needs = text, nil, nil
		return tgt.Apply(context.Background(), adapter.Pools{}, func(_ context.Context, why target.Need) (func(error), error) {
			needs = append(needs, why)
			return func(error) {}, nil
		})
	}
	expect := func(what string, good bool, v ...any) {
		t.Helper()
		if !good {
			t.Errorf("%s: it serves %q as %d; asked for %+v, told %+v; %v", what, r.serves, r.pid, needs, r.causes, v)
		}
	}

	_, err := pass("bad")
	expect("the first of all fails", errors.Is(err, reload.ErrNotRunning) && len(r.causes) == 1 && needs[0].Reason == target.Stopped, err)
	_, err = pass("bad")
	expect("and again", err != nil && len(r.causes) == 1 && needs[0].Reason == target.Stopped, err)
	res, err := pass("one")
	expect("started", err == nil && r.serves == "one" && needs[0].Reason == target.Stopped && r.causes[0] == adapter.Cause{Hash: res.Hash, Reason: needs[0].Text}, err)
	good := res.Hash

	res, err = pass("bad two")
	expect("a bad file", err != nil && !errors.Is(err, reload.ErrNotRunning) && r.serves == "one" && res.RolledBack && needs[0].Reason == target.Files && len(r.causes) == 2 && r.causes[1].Hash == good, err)
	if rec, err := store.Target(tgt.ID()); err != nil || rec.Loaded != good || rec.Instance != fmt.Sprint(r.pid) || rec.Fallback || len(rec.Written) != 1 {
		t.Errorf("recorded is %+v, %v", rec, err)
	}
	if _, err = pass("one"); err != nil || len(needs) != 0 {
		t.Errorf("what runs again is as good as before, but: %+v, %v", needs, err)
	}

	r.refuses = true
	_, err = pass("two")
	expect("a command that cannot be run cuts nothing", err != nil && r.serves == "one" && len(r.causes) == 1, err)
	r.refuses = false
	_, err = pass("two")
	expect("and the next", err == nil && r.serves == "two", err)

	r.pid = 0 // it ended by itself
	res, err = pass("two")
	expect("ended", err == nil && res.Reloaded && r.pid != 0 && needs[0].Reason == target.Stopped, err)
}
