package reconcile_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/reconcile"
	"github.com/seed-645ce708/gossip/lbsync/internal/target"
)

// TestBackOff: a target that fails is tried again after one second, then after twice as long each time up to a minute, less up
// to a quarter at random; at once when its servers change; and from the beginning once it went well. What fails again in the
// same way is logged once, whatever numbers its text has.
func TestBackOff(t *testing.T) {
	t.Parallel()
	r, log := &fakeTarget{cfg: www(), err: errors.New("cannot bind")}, &bytes.Buffer{}
	opts := reconcile.Options{Log: slog.New(slog.NewTextHandler(log, nil))}
	bubble(t, r, time.Hour, opts, func(t *testing.T, loop *reconcile.Loop, src *fakeSource, stop func()) {
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
	cfg := www()
	cfg.Reload = config.Reload{MinInterval: time.Second, Burst: 1}
	r, log := thrifty{&fakeTarget{cfg: cfg, err: errors.New("cannot bind")}}, &bytes.Buffer{}
	opts := reconcile.Options{Log: slog.New(slog.NewTextHandler(log, nil))}
	bubble(t, r, time.Hour, opts, func(t *testing.T, _ *reconcile.Loop, src *fakeSource, stop func()) {
		src.members(member("a", "10.0.0.1:80", "alive"))
		time.Sleep(10 * time.Minute)
		stop()
		if pauses := r.pauses(); len(pauses) < 12 || len(pauses) > 25 || pauses[len(pauses)-1] < 45*time.Second {
			t.Errorf("paused for %v", pauses)
		}
		if text := log.String(); strings.Count(text, "not in step") != 1 || strings.Contains(text, `msg="in step`) {
			t.Errorf("logged\n%s", text)
		}
	})
}
