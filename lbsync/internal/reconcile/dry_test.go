package reconcile_test

import (
	"context"
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

// previewed is a target whose balancer may be looked at every two seconds, and that is only ever asked for a plan.
type previewed struct {
	fakeTarget
	instance string
	plans    int
}

func (*previewed) Traits() adapter.Traits {
	return adapter.Traits{Reloads: true, Runtime: true, Probe: 2 * time.Second}
}

func (p *previewed) Instance(context.Context) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.instance, nil
}

func (p *previewed) Plan(context.Context, adapter.Pools) (target.Plan, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plans++
	return target.Plan{Write: true, Instance: p.instance}, nil
}

// TestDryRun: a preview is made when something changed, be it the process of the balancer, and not each time that it is looked at.
func TestDryRun(t *testing.T) {
	t.Parallel()
	store := record.Peek(t.TempDir())
	synctest.Test(t, func(t *testing.T) {
		edge := config.Target{Kind: config.KindHAProxy, Name: "edge", Services: []string{"web"}, Files: []config.File{{Dest: "web.cfg"}}}
		p, src := &previewed{fakeTarget: fakeTarget{cfg: edge}, instance: "7@1"}, newSource()
		cfg := &config.Config{Source: config.Source{Resync: time.Hour}, Targets: []config.Target{edge},
			Services: []config.Service{{Name: "web", Spec: desired.Spec{Name: "web", Published: "web"}, Guard: config.Guard{MinServers: 1, MaxRemoval: 1}}}}
		loop, err := reconcile.New(reconcile.Options{Config: cfg, Source: src, Store: store, Targets: []reconcile.Target{p}, DryRun: true})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); loop.Run(ctx) }()
		src.members(member("a", "10.0.0.1:80", "alive"))
		time.Sleep(time.Minute)
		synctest.Wait()
		if st := loop.Status().Targets[0]; p.plans != 1 || st.Waits != "dry run: would write" || len(p.attempts) != 0 {
			t.Errorf("%d plans in a minute without news; %+v", p.plans, st)
		}
		p.mu.Lock()
		p.instance = "8@2"
		p.mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		if p.plans != 2 {
			t.Errorf("%d plans after the balancer was reloaded", p.plans)
		}
		stop()
		<-done
	})
}
