package target_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/generic"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
	"github.com/seed-645ce708/gossip/lbsync/internal/record"
	"github.com/seed-645ce708/gossip/lbsync/internal/reload"
	"github.com/seed-645ce708/gossip/lbsync/internal/target"
)

// balancer is one whose servers can be changed at runtime. It reads its file when it starts or reloads. Its file has a
// line for the structure and one with the servers.
type balancer struct {
	dest     string
	down     bool
	pid      int
	started  time.Time
	shape    string // that it has loaded
	servers  []string
	reloads  int
	refuse   error // of every command
	noReload error

	withoutFile bool // it is configured so
}

func (b *balancer) start() {
	data, _ := os.ReadFile(b.dest) // none yet
	shape, servers, _ := strings.Cut(string(data), "\n")
	b.shape, b.servers = shape, strings.Fields(servers)
	b.pid++
	b.started, b.down = time.Now(), false
}

// driven is the adapter of a balancer. Each call may be the last: kill counts down to the one at which the process dies.
type driven struct {
	generic.Adapter
	*balancer
	shape string // that is configured
	kill  *int
}

// killed is what a call panics with when the process dies at it.
type killed struct{}

func die(kill *int) {
	if kill == nil {
		return
	}
	if *kill--; *kill == 0 {
		panic(killed{})
	}
}

func (d *driven) Traits() adapter.Traits {
	return adapter.Traits{Reloads: true, Runtime: true, WithoutFile: d.withoutFile}
}

func names(pools adapter.Pools) []string {
	var out []string
	for _, s := range pools.Services["web"].Servers {
		out = append(out, s.Name)
	}
	return out
}

func (d *driven) Render(pools adapter.Pools) (adapter.Rendered, error) {
	text := d.shape + "\n" + strings.Join(names(pools), " ") + "\n"
	return adapter.Rendered{Files: [][]byte{[]byte(text)}, Structure: d.shape}, nil
}

func (d *driven) Check(context.Context, []string, adapter.Cause) error { die(d.kill); return nil }
func (d *driven) CheckInstalled(context.Context, adapter.Cause) error  { die(d.kill); return nil }
func (d *driven) Read(context.Context) (adapter.Actual, error) {
	die(d.kill)
	if d.down {
		return adapter.Actual{}, fmt.Errorf("%w: no socket", reload.ErrNotRunning)
	}
	a := adapter.Actual{Instance: fmt.Sprint(d.pid), Started: d.started}
	for _, s := range d.servers {
		a.Servers = append(a.Servers, adapter.ActualServer{Pool: "be", Service: "web", Name: s})
	}
	return a, nil
}

func (d *driven) Plan(pools adapter.Pools, a adapter.Actual) adapter.Plan {
	var p adapter.Plan
	want := names(pools)
	for _, s := range want {
		if !slices.ContainsFunc(a.Servers, func(o adapter.ActualServer) bool { return o.Name == s }) {
			p.Commands = append(p.Commands, adapter.Command{Verb: "add", Server: s, Text: "add " + s})
		}
	}
	for _, s := range a.Servers {
		if !slices.Contains(want, s.Name) {
			p.Commands = append(p.Commands, adapter.Command{Verb: "remove", Server: s.Name, Text: "remove " + s.Name})
		}
	}
	return p
}

func (d *driven) Apply(_ context.Context, commands []adapter.Command, done func(adapter.Command, error)) error {
	for _, c := range commands {
		die(d.kill)
		if done(c, d.refuse); d.refuse != nil {
			return d.refuse
		}
		if c.Verb == "add" {
			d.servers = append(d.servers, c.Server)
		} else {
			d.servers = slices.DeleteFunc(d.servers, func(s string) bool { return s == c.Server })
		}
	}
	return nil
}

func (d *driven) Reload(context.Context, adapter.Cause) error {
	die(d.kill)
	if d.noReload != nil {
		return d.noReload
	}
	d.reloads++
	d.start()
	die(d.kill) // it did reload, and we never learned of it
	return nil
}

// killing is a store at which the process may die, before or after it saves, or that is full.
type killing struct {
	*record.Store
	kill *int
	full error
}

func (k killing) SaveTarget(id string, t record.Target) error {
	die(k.kill)
	if k.full != nil {
		return k.full
	}
	err := k.Store.SaveTarget(id, t)
	die(k.kill)
	return err
}

func (k killing) SaveFallback(id string, files [][]byte) error {
	die(k.kill)
	if k.full != nil {
		return k.full
	}
	return k.Store.SaveFallback(id, files)
}

// rig is a balancer with what drives it.
type rig struct {
	*balancer
	t     *testing.T
	store *record.Store
	cfg   config.Target
	shape string
	full  error // what the store says
}

func newRig(t *testing.T) *rig {
	t.Helper()
	dir := t.TempDir()
	store, err := record.Open(filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() }) // the folder goes anyway
	r := &rig{balancer: &balancer{dest: filepath.Join(dir, "f")}, t: t, store: store, shape: "one"}
	r.cfg = config.Target{Kind: "haproxy", Name: "edge", Files: []config.File{{Dest: r.dest}}}
	r.start()
	return r
}

// pass makes a pass with the servers, as a process that dies at the call kill counts to. It tells whether it lived.
func (r *rig) pass(servers string, kill *int) (res target.Result, lived bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(killed); !ok {
				panic(p)
			}
		}
	}()
	set := pool.Service{Name: "web"}
	for _, name := range strings.Fields(servers) {
		set.Servers = append(set.Servers, pool.Server{Name: name, State: pool.Active})
	}
	tgt := target.New(r.cfg, &driven{balancer: r.balancer, shape: r.shape, kill: kill}, killing{r.store, kill, r.full})
	res, err = tgt.Apply(context.Background(), adapter.Pools{Services: adapter.Services{"web": set}}, leave)
	return res, true, err
}

// want checks what the balancer does, and how often it was reloaded since the last check.
func (r *rig) want(shape, servers string, reloads int) {
	r.t.Helper()
	have := slices.Clone(r.servers)
	slices.Sort(have)
	if got := strings.Join(have, " "); r.balancer.shape != shape || got != servers || r.reloads != reloads {
		r.t.Errorf("it does %q with %q after %d reloads; want %q, %q, %d", r.balancer.shape, got, r.reloads, shape, servers, reloads)
	}
	r.reloads = 0
}

func (r *rig) ok(servers string) target.Result {
	r.t.Helper()
	res, _, err := r.pass(servers, nil)
	if err != nil {
		r.t.Error(err)
	}
	return res
}

func TestRuntime(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ok("a b")
	r.want("one", "a b", 1)
	if res := r.ok("a b c"); !res.Wrote || len(res.Commands) != 1 || res.Reloaded {
		t.Errorf("got %+v", res)
	}
	r.want("one", "a b c", 0)
	r.ok("c")
	r.want("one", "c", 0)
	r.shape = "two" // and servers, too
	r.ok("c d")
	r.want("two", "c d", 1)

	// A foreign hand: the servers are healed, and a reload or a restart of its own needs none of ours.
	r.servers = []string{"x", "c"}
	r.ok("c d")
	r.want("two", "c d", 0)
	r.start()
	r.ok("c d")
	r.want("two", "c d", 0)
	r.ok("c d e")
	r.want("two", "c d e", 0)

	// It is down while things change: the file is kept right, and it needs nothing when it is back.
	r.down = true
	if res, _, err := r.pass("e f", nil); !errors.Is(err, reload.ErrNotRunning) || !res.Wrote {
		t.Errorf("got %+v, %v", res, err)
	}
	r.start()
	r.ok("e f")
	r.want("two", "e f", 0)
}

// TestWithoutFile: while the file cannot be written, servers change at runtime if that is wished, and nothing else does. The file and
// the record stay as they were, so that what it has loaded is not mistaken later.
func TestWithoutFile(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ok("a")
	r.want("one", "a", 1)
	fails := func(shape, servers, serves string, words ...string) {
		t.Helper()
		r.cfg.Files[0].User, r.shape = "there is no such user", shape // any reason will do
		res, _, err := r.pass(servers, nil)
		r.cfg.Files[0].User, r.shape = "", "one"
		var failure *target.Error
		if !errors.As(err, &failure) || failure.Stage != target.StageWrite || res.Wrote {
			t.Errorf("got %+v, %v", res, err)
		}
		for _, w := range words {
			if !strings.Contains(fmt.Sprint(err), w) {
				t.Errorf("%v does not say %q", err, w)
			}
		}
		r.want("one", serves, 0)
		if data, err := os.ReadFile(r.dest); err != nil || string(data) != "one\na\n" {
			t.Errorf("the file is %q, %v", data, err)
		}
	}
	fails("one", "a b", "a")
	r.withoutFile = true
	fails("one", "a b", "a b", "no such user", "without_file")
	fails("two", "a b c", "a b", "no such user") // that takes a reload, which would load the old file
	r.refuse = errors.New("no")
	fails("one", "a b c", "a b", "no such user", "runtime: no")
	r.refuse = nil
	r.ok("a b")
	r.want("one", "a b", 0)
	if data, err := os.ReadFile(r.dest); err != nil || string(data) != "one\na b\n" {
		t.Errorf("the file is %q, %v", data, err)
	}

	if err := os.WriteFile(r.dest, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.pass("a", nil); err == nil {
		t.Error("somebody else's file was replaced")
	}
	r.want("one", "a b", 0)
}

// TestRuntimeRefuses: what cannot be done at runtime is tried twice and then done by a reload; if that fails, too, the files
// that it has loaded are put back.
func TestRuntimeRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ok("a")
	r.want("one", "a", 1)
	r.refuse = errors.New("no")
	res := r.ok("a b")
	r.want("one", "a b", 1)
	if len(res.Commands) != 2 || res.Reason != "the Runtime API refused a change" {
		t.Errorf("got %+v", res)
	}
	r.noReload = errors.New("boom")
	before, err := os.ReadFile(r.dest)
	if err != nil {
		t.Fatal(err)
	}
	res, _, err = r.pass("a b c", nil)
	if !errors.Is(err, r.noReload) || !res.RolledBack {
		t.Errorf("got %+v, %v", res, err)
	}
	if after, err := os.ReadFile(r.dest); err != nil || string(after) != string(before) {
		t.Errorf("the file is %q, %v", after, err)
	}
	r.want("one", "a b", 0)
	r.refuse, r.noReload = nil, nil
	r.ok("a b c")
	r.want("one", "a b c", 1) // what the failed reload left it with is not known
}

// TestDeferred: a reload that may not be made yet keeps nothing else from being done, and is not forgotten.
func TestDeferred(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ok("a")
	r.want("one", "a", 1)
	r.shape = "two"
	later := time.Now().Add(time.Minute)
	tgt := target.New(r.cfg, &driven{balancer: r.balancer, shape: "two"}, r.store)
	set := adapter.Pools{Services: adapter.Services{"web": {Name: "web", Servers: []pool.Server{{Name: "a"}, {Name: "b"}}}}}
	for range 2 {
		res, err := tgt.Apply(context.Background(), set, func(context.Context, target.Need) (func(error), error) {
			return nil, &target.DeferredError{Why: "the budget", Until: later}
		})
		if err != nil || res.Waits != "the budget" || !res.Again.Equal(later) {
			t.Errorf("got %+v, %v", res, err)
		}
		r.want("one", "a b", 0) // by the runtime
	}
	r.ok("a b")
	r.want("two", "a b", 1)
}

// TestKilled: whenever the process dies, the next one brings the balancer in step, without a reload that is not needed
// and without taking the file for somebody else's.
func TestKilled(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, shape string
		reloads     int
	}{{"servers", "one", 0}, {"structure", "two", 1}} {
		points := 0
		for at := 1; ; at++ {
			r := newRig(t)
			r.ok("a b")
			r.want("one", "a b", 1)
			r.shape = tt.shape
			kill := at
			_, lived, err := r.pass("b c", &kill)
			if lived {
				if err != nil {
					t.Error(err)
				}
				break
			}
			points++
			r.ok("b c")
			if r.want(tt.shape, "b c", tt.reloads); t.Failed() {
				t.Fatalf("%s: killed at call %d", tt.name, at)
			}
			r.ok("b c")
			r.want(tt.shape, "b c", 0)
		}
		if points < 8 {
			t.Errorf("%s: it could die at %d points only", tt.name, points)
		}
	}
}

// TestFullState: where the state folder is full or may not be written, the file stays as it was, for what is in it would not be
// known later. Servers change at runtime if that is wished; and all is well with the first pass that can be recorded.
func TestFullState(t *testing.T) {
	t.Parallel()
	for _, full := range []error{syscall.ENOSPC, syscall.EROFS, fs.ErrPermission} {
		r := newRig(t)
		r.ok("a")
		r.want("one", "a", 1)
		fails := func(servers, serves string) {
			t.Helper()
			res, _, err := r.pass(servers, nil)
			var failure *target.Error
			if !errors.As(err, &failure) || failure.Stage != target.StageState || !errors.Is(err, full) || res.Wrote {
				t.Errorf("got %+v, %v", res, err)
			}
			r.want("one", serves, 0)
			if data, err := os.ReadFile(r.dest); err != nil || string(data) != "one\na\n" {
				t.Errorf("the file is %q, %v", data, err)
			}
		}
		r.full = full
		fails("a b", "a")
		r.withoutFile = true
		fails("a b", "a b")
		fails("b", "b")
		r.shape = "two"
		fails("b c", "b") // a reload would load the old file
		r.full = nil
		r.ok("b c")
		r.want("two", "b c", 1)
		r.ok("b")
		r.want("two", "b", 0)
	}
}
