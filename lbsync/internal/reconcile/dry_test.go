package reconcile_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/reconcile"
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
	p := &previewed{fakeTarget: fakeTarget{cfg: www()}, instance: "7@1"}
	bubble(t, p, time.Hour, reconcile.Options{DryRun: true}, func(t *testing.T, loop *reconcile.Loop, src *fakeSource, _ func()) {
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
	})
}
