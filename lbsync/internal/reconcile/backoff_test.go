package reconcile_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/desired"
	"github.com/seed-645ce708/gossip/lbsync/internal/reconcile"
	"github.com/seed-645ce708/gossip/lbsync/internal/record"
	"github.com/seed-645ce708/gossip/lbsync/internal/target"
)

// fakeTarget is a target that keeps what it is told to do, and fails if it should.
type fakeTarget struct {
	cfg config.Target

	mu       sync.Mutex
	err      error
	attempts []time.Time
	pools    adapter.Pools // of the last attempt
}

func (f *fakeTarget) ID() string                             { return f.cfg.ID() }
func (f *fakeTarget) Config() config.Target                  { return f.cfg }
func (*fakeTarget) Traits() adapter.Traits                   { return adapter.Traits{Reloads: true} }
func (*fakeTarget) Unrecorded() (bool, error)                { return false, nil }
func (*fakeTarget) Instance(context.Context) (string, error) { return "7@1", nil }

func (*fakeTarget) Plan(context.Context, adapter.Pools) (target.Plan, error) {
	return target.Plan{}, nil
}

func (f *fakeTarget) Apply(_ context.Context, pools adapter.Pools, _ target.Leave) (target.Result, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.attempts, f.pools = append(f.attempts, time.Now()), pools
	if f.err == nil {
		return target.Result{Actual: adapter.Actual{Instance: "7@1"}}, nil
	}
	return target.Result{}, &target.Error{Target: f.ID(), Stage: target.StageReload,
		Err: fmt.Errorf("pid %d, .web.conf.%d.tmp: %w", len(f.attempts), 100+len(f.attempts), f.err)}
}

// servers returns which servers of the service took traffic at the last attempt: "a b".
func (f *fakeTarget) servers(service string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for _, s := range f.pools.Services[service].Servers {
		if !s.Draining() {
			names = append(names, s.Name)
		}
	}
	return strings.Join(names, " ")
}

// fail sets what Apply returns from now on, and forgets earlier attempts.
func (f *fakeTarget) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err, f.attempts = err, nil
}

// pauses returns how long it was left alone between attempts.
func (f *fakeTarget) pauses() []time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []time.Duration
	for i := 1; i < len(f.attempts); i++ {
		out = append(out, f.attempts[i].Sub(f.attempts[i-1]))
	}
	return out
}

// TestBackOff: a target that fails is tried again after one second, then after twice as long each time up to a minute, less up
// to a quarter at random; at once when its servers change; and from the beginning once it went well. What fails again in the
// same way is logged once, whatever numbers its text has.
func TestBackOff(t *testing.T) {
	t.Parallel()
	store, err := record.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() }) // the folder goes anyway
	synctest.Test(t, func(t *testing.T) {
		www := config.Target{Kind: config.KindNginx, Name: "www", Services: []string{"web"}, Files: []config.File{{Dest: "web.conf"}}}
		cfg := &config.Config{Source: config.Source{Resync: time.Hour}, Targets: []config.Target{www},
			Services: []config.Service{{Name: "web", Spec: desired.Spec{Name: "web", Published: "web"}, Guard: config.Guard{MinServers: 1, MaxRemoval: 1}}}}
		r, src, log := &fakeTarget{cfg: www, err: errors.New("cannot bind")}, newSource(), &bytes.Buffer{}
		loop, err := reconcile.New(reconcile.Options{Config: cfg, Source: src, Store: store, Targets: []reconcile.Target{r},
			Log: slog.New(slog.NewTextHandler(log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); loop.Run(ctx) }()

		grow := func(what string) {
			t.Helper()
			for i, pause := range r.pauses() {
				if most := min(time.Second<<i, time.Minute); pause > most || pause <= most-most/4 {
					t.Errorf("%s: pause %d is %v, want %v less up to a quarter", what, i, pause, most)
				}
			}
		}
		src.members(member("a", "10.0.0.1:80", "alive"))
		time.Sleep(10 * time.Minute)
		if n := len(r.pauses()); n < 12 {
			t.Errorf("%d attempts in 10 minutes", n+1)
		}
		grow("from the beginning")

		before := len(r.pauses())
		src.members(member("a", "10.0.0.1:80", "alive"), member("b", "10.0.0.2:80", "alive"))
		time.Sleep(time.Millisecond)
		if n := len(r.pauses()); n != before+1 || r.servers("web") != "a b" {
			t.Errorf("with another server: %d attempts, the last with %s", n-before, r.servers("web"))
		}

		r.fail(nil)
		time.Sleep(2 * time.Minute)
		if st := loop.Status().Targets[0]; st.State != reconcile.InStep {
			t.Errorf("it went well, but: %+v", st)
		}

		r.fail(errors.New("cannot bind")) // the next pass comes with the next change
		src.members(member("a", "10.0.0.1:80", "alive"))
		time.Sleep(10 * time.Minute)
		grow("after it went well")

		r.fail(errors.New("something else"))
		time.Sleep(5 * time.Minute)
		stop()
		<-done
		text := log.String()
		if n := strings.Count(text, "cannot bind"); n != 2 || strings.Count(text, "something else") != 1 || !strings.Contains(text, "retry_in=") {
			t.Errorf("one refusal that lasts is logged %d times in two spells:\n%s", n, text)
		}
		if st := loop.Status().Targets[0]; st.State != reconcile.Rejected || !strings.Contains(st.Error, "something else") {
			t.Errorf("status %+v", st)
		}
	})
}

// thrifty is a target that asks for leave before each reload.
type thrifty struct{ *fakeTarget }

func (t thrifty) Apply(ctx context.Context, pools adapter.Pools, leave target.Leave) (target.Result, error) {
	done, err := leave(ctx, target.Need{Reason: target.Files, Text: "its files change"})
	var wait *target.DeferredError
	if errors.As(err, &wait) {
		return target.Result{Waits: wait.Why, Again: wait.Until}, nil
	}
	res, err := t.fakeTarget.Apply(ctx, pools, leave)
	done(err)
	return res, err
}

// TestBackOffAndBudget: a pass that only finds that the next reload has to wait is no success. It neither begins the pauses anew
// nor says that all is well.
func TestBackOffAndBudget(t *testing.T) {
	t.Parallel()
	store, err := record.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() }) // the folder goes anyway
	synctest.Test(t, func(t *testing.T) {
		www := config.Target{Kind: config.KindNginx, Name: "www", Services: []string{"web"}, Files: []config.File{{Dest: "web.conf"}},
			Reload: config.Reload{MinInterval: time.Second, Burst: 1}}
		r, src, log := thrifty{&fakeTarget{cfg: www, err: errors.New("cannot bind")}}, newSource(), &bytes.Buffer{}
		cfg := &config.Config{Source: config.Source{Resync: time.Hour}, Targets: []config.Target{www},
			Services: []config.Service{{Name: "web", Spec: desired.Spec{Name: "web", Published: "web"}, Guard: config.Guard{MinServers: 1, MaxRemoval: 1}}}}
		loop, err := reconcile.New(reconcile.Options{Config: cfg, Source: src, Store: store, Targets: []reconcile.Target{r},
			Log: slog.New(slog.NewTextHandler(log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); loop.Run(ctx) }()
		src.members(member("a", "10.0.0.1:80", "alive"))
		time.Sleep(10 * time.Minute)
		stop()
		<-done
		if pauses := r.pauses(); len(pauses) < 12 || len(pauses) > 25 || pauses[len(pauses)-1] < 45*time.Second {
			t.Errorf("paused for %v", pauses)
		}
		if text := log.String(); strings.Count(text, "not in step") != 1 || strings.Contains(text, `msg="in step`) {
			t.Errorf("logged\n%s", text)
		}
	})
}
