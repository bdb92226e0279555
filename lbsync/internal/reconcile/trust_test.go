package reconcile_test

import (
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/client"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/lbtest"
	"github.com/seed-645ce708/gossip/lbsync/internal/reconcile"
	"github.com/seed-645ce708/gossip/lbsync/internal/record"
)

// TestWhatTheAgentThinks: while the agent looks cut off failures are held, and members that it damps count as failed; also for a
// preview, whose connection is always so young that the view would be settling.
func TestWhatTheAgentThinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg, err := config.Load(lbtest.Write(t, dir, "lbsync.hcl", head+nginxTarget))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Source.Settle = time.Minute
	store, err := record.Open(cfg.StateDir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	src := newSource()
	loop, err := reconcile.New(reconcile.Options{Config: cfg, Source: src, Store: store})
	if err != nil {
		t.Fatal(err)
	}
	at := func(name, status string) api.Member { return member(name, "10.0.0."+name+":80", status) }
	flapping := at("2", "alive")
	flapping.Damped = true
	sure, cut := &api.Confidence{Synced: true}, &api.Confidence{Synced: true, Isolated: true, Evidence: "silence"}
	for _, s := range []struct {
		what       string
		confidence *api.Confidence
		members    []api.Member
		want, held string
	}{
		{"all well", sure, []api.Member{at("1", "alive"), at("2", "alive"), at("3", "alive")}, "1 2 3", ""},
		{"cut off", cut, []api.Member{at("1", "alive"), at("2", "alive"), at("3", "failed")}, "1 2 3", "3"},
		{"not any more", sure, []api.Member{at("1", "alive"), at("2", "alive"), at("3", "failed")}, "1 2", ""},
		{"flapping", sure, []api.Member{at("1", "alive"), flapping, at("3", "alive")}, "1 3", ""},
		{"most failed", nil, []api.Member{at("1", "alive"), at("2", "failed"), at("3", "failed"), at("4", "failed")}, "1 3", "3"},
		{"a stock Serf agent says nothing", nil, []api.Member{at("1", "alive"), at("2", "alive"), at("3", "failed")}, "1 2", ""},
	} {
		src.members(s.members...)
		src.set(func(v *client.View) { v.Confidence, v.Since = s.confidence, time.Now() })
		report, err := loop.Preview(t.Context(), func(string) {})
		if err != nil {
			t.Fatal(err)
		}
		st := report.Services[0]
		var held []string
		for _, h := range st.Held {
			held = append(held, h.Name)
		}
		var ready []string
		for _, srv := range st.Service.Ready() {
			ready = append(ready, srv.Name)
		}
		for _, name := range held { // why does not need a loop that runs
			if w, ok := loop.Why("web", name); !ok || !w.In || !strings.Contains(w.Rule, "its removal is held: ") {
				t.Errorf("%s: why %s: %+v", s.what, name, w)
			}
		}
		if got := strings.Join(ready, " "); got != s.want || strings.Join(held, " ") != s.held {
			t.Errorf("%s: got %q, held %v; want %q, %q", s.what, got, held, s.want, s.held)
		}
	}
}
