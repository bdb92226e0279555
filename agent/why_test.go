package agent_test

import (
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent"
	"github.com/seed-645ce708/gossip/agent/agenttest"
	"github.com/seed-645ce708/gossip/agent/api"
)

// kinds lists what an agent saw of a member.
func kinds(resp api.WhyResponse, by string) string {
	var out []string
	for _, e := range resp.Entries {
		if e.By == by {
			out = append(out, e.Kind)
		}
	}
	return strings.Join(out, " ")
}

func TestWhy(t *testing.T) {
	t.Parallel()
	agents := agenttest.Cluster(t, "w", 3, nil)
	c := agenttest.Dial(t, agents[0])
	if err := agents[2].UpdateTags(t.Context(), map[string]string{"role": "db"}, nil); err != nil {
		t.Fatal(err)
	}
	agenttest.WaitFor(t, agents[0], "the new tag", func(m []api.Member) bool { return member(m, "w-3").Tags["role"] == "db" })
	agenttest.Stop(t, agents[2])
	for _, a := range agents[:2] {
		agenttest.WaitFor(t, a, "w-3 failed", func(m []api.Member) bool { return member(m, "w-3").Status == "failed" })
	}
	if err := c.ForceLeave(t.Context(), "w-3", false); err != nil {
		t.Fatal(err)
	}
	for _, a := range agents[:2] {
		agenttest.WaitFor(t, a, "w-3 left", func(m []api.Member) bool { return member(m, "w-3").Status == "left" })
	}
	var resp api.WhyResponse
	agenttest.Poll(t, "all of the story", func() bool {
		var err error
		if resp, err = c.Why(t.Context(), "w-3", true); err != nil {
			t.Fatal(err)
		}
		return strings.Contains(kinds(resp, "w-2"), "leave-intent")
	}, func() string { return kinds(resp, "w-2") })
	first, second := kinds(resp, "w-1"), kinds(resp, "w-2")
	for _, want := range []string{"join", "update", "failed", "force-leave", "leave-intent", "leave"} {
		if !strings.Contains(first, want) {
			t.Errorf("w-1 does not tell of %s: %s", want, first)
		}
	}
	if strings.Contains(second, "force-leave") || !strings.Contains(second, "failed") {
		t.Errorf("w-2 tells of %s", second)
	}
	if both := first + second; !strings.Contains(both, "probe-failed") || !strings.Contains(both, "suspect") || !strings.Contains(both, "declared-failed") {
		t.Errorf("nobody tells how it was found out: %s", both)
	}
	if !resp.Known || resp.Status != "left" || resp.Serf || len(resp.Witnesses) != 2 || resp.Witnesses[1].Error != "" {
		t.Errorf("got %+v", resp)
	}
	if skew := resp.Witnesses[1].Skew; skew.Abs() > time.Second {
		t.Errorf("one clock differs by %v from itself", skew)
	}
	resp, err := c.Why(t.Context(), "nobody", true)
	if err != nil || resp.Known || len(resp.Entries) > 0 {
		t.Errorf("nobody: got %+v, %v", resp, err)
	}
	// Of itself an agent knows, too, and what it announced.
	resp, err = c.Why(t.Context(), "w-1", false)
	if err != nil || !strings.Contains(kinds(resp, "w-1"), "join") || len(resp.Witnesses) != 1 {
		t.Errorf("itself: got %+v, %v", resp, err)
	}
}

// A stock Serf agent cannot be asked, but others tell about it.
func TestWhyWithSerf(t *testing.T) {
	t.Parallel()
	a := withSerf(t, func(cfg *agent.Config) { cfg.EncryptKey = "" })
	resp, err := agenttest.Dial(t, a).Why(t.Context(), "stock", true)
	if err != nil || !resp.Serf || !strings.Contains(kinds(resp, "ours"), "join") {
		t.Fatalf("got %+v, %v", resp, err)
	}
	if len(resp.Witnesses) != 2 || !strings.Contains(resp.Witnesses[1].Error, "Serf") {
		t.Errorf("witnesses: %+v", resp.Witnesses)
	}
}
