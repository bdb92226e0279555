package reconcile_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/metrics"
	"github.com/seed-645ce708/gossip/lbsync/internal/reconcile"
	"github.com/seed-645ce708/gossip/lbsync/internal/target"
)

// ended is a target whose restarts fail, so that nothing runs, until one does not. After that its file changes all the time.
type ended struct {
	fakeTarget
	failures int
	starts   []time.Time
}

func (*ended) Traits() adapter.Traits { return adapter.Traits{Reloads: true, Disruptive: "cuts all"} }

func (e *ended) Apply(ctx context.Context, _ adapter.Pools, leave target.Leave) (target.Result, error) {
	need := target.Need{Reason: target.Stopped, Text: "it does not run"}
	if len(e.starts) > e.failures {
		need = target.Need{Reason: target.Files, Text: "its files change"}
	}
	done, err := leave(ctx, need)
	if deferred := (*target.DeferredError)(nil); errors.As(err, &deferred) {
		return target.Result{Waits: deferred.Why, Again: deferred.Until}, nil
	}
	e.starts = append(e.starts, time.Now())
	if len(e.starts) <= e.failures {
		err = errors.New("it ended at once")
	}
	done(err)
	return target.Result{Reloaded: err == nil}, err
}

// nobody never gives a turn.
type nobody struct{}

func (nobody) Acquire(context.Context, config.Group, string) (func(), error) {
	return nil, errors.New("another has it")
}

// TestStartsAtOnce: where a restart failed and nothing runs, it is tried again after a back-off, whatever the least time between
// two restarts, and whoever's turn it is; there is nothing to spare. Once it runs, both hold again.
func TestStartsAtOnce(t *testing.T) {
	t.Parallel()
	cfg := www()
	cfg.Reload = config.Reload{Command: []string{"restart"}, MinInterval: 10 * time.Minute, Burst: 1, Group: config.Group{Name: "edge", AtOnce: 1}}
	e := &ended{fakeTarget: fakeTarget{cfg: cfg}, failures: 4}
	opts := reconcile.Options{Permits: nobody{}, Metrics: reconcile.NewMetrics(&metrics.Registry{})}
	bubble(t, e, time.Second, opts, func(t *testing.T, loop *reconcile.Loop, src *fakeSource, _ func()) {
		begin := time.Now()
		src.members(member("a", "10.0.0.1:80", "alive"))
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(e.starts); n != 5 || e.starts[4].Sub(begin) > 15*time.Second {
			t.Errorf("%d starts, at %v from %v", n, e.starts, begin)
		}
		if st := loop.Status().Targets[0]; st.Waits != "restart.min_interval" {
			t.Errorf("the next waits for %q", st.Waits)
		}
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if st := loop.Status().Targets[0]; len(e.starts) != 5 || st.Waits != "its turn in group edge: another has it" {
			t.Errorf("%d starts; the next waits for %q", len(e.starts), st.Waits)
		}
	})
}
