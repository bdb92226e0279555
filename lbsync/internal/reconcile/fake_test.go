package reconcile_test

import (
	"context"
	"fmt"
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

// www is the configuration of a target that has nothing special.
func www() config.Target {
	return config.Target{Kind: config.KindNginx, Name: "www", Services: []string{"web"}, Files: []config.File{{Dest: "web.conf"}}}
}

// bubble runs a loop for the target, which follows service web, in virtual time. The test may stop it before its own end.
func bubble(t *testing.T, tgt reconcile.Target, resync time.Duration, opts reconcile.Options,
	test func(t *testing.T, loop *reconcile.Loop, src *fakeSource, stop func())) {
	t.Helper()
	store, err := record.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() }) // the folder goes anyway
	synctest.Test(t, func(t *testing.T) {
		src := newSource()
		opts.Source, opts.Store, opts.Targets = src, store, []reconcile.Target{tgt}
		opts.Config = &config.Config{Source: config.Source{Resync: resync}, Targets: []config.Target{tgt.Config()},
			Services: []config.Service{{Name: "web", Spec: desired.Spec{Name: "web", Published: "web"}, Guard: config.Guard{MinServers: 1, MaxRemoval: 1}}}}
		loop, err := reconcile.New(opts)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); loop.Run(ctx) }()
		stop := func() { cancel(); <-done }
		defer stop()
		test(t, loop, src, stop)
	})
}
