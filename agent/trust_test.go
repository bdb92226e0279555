package agent_test

import (
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/agent/agenttest"
	"github.com/seed-645ce708/gossip/agent/api"
)

// TestKilledAgentsAreNoIsolation: most of the others are killed, but their host refuses connections, so that the network
// must be up. The survivor says so and does not think itself cut off.
func TestKilledAgentsAreNoIsolation(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it takes half a minute until the last survivor takes three for failed")
	}
	agents := agenttest.Cluster(t, "kill", 4, nil)
	if c := agents[0].Confidence(); c != (api.Confidence{Synced: true, VisibleShare: 1}) {
		t.Errorf("while all is well: %+v", c)
	}
	for _, a := range agents[1:] {
		agenttest.Stop(t, a)
	}
	agenttest.WaitFor(t, agents[0], "three failed for a known reason", func(members []api.Member) bool {
		n := 0
		for _, m := range members {
			if m.Status == "failed" && m.Since != 0 && strings.Contains(m.Note, "refuses connections") {
				n++
			}
		}
		return n == 3
	})
	if c := agents[0].Confidence(); c.Isolated || c.VisibleShare != 0.25 {
		t.Errorf("got %+v", c)
	}
	view := agents[0].Stats()["view"]
	if view["isolated"] != "false" || view["visible_share"] != "0.25" || !strings.HasSuffix(view["last_contact"], " ago") {
		t.Errorf("stats: %v", view)
	}
}
