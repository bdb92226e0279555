package provider

import (
	"fmt"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/agentfake"
)

// A plan may read a thousand members, and a second one finds nothing to do.
func TestAccThousandMembers(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	var others []api.Member
	for i := range 999 {
		others = append(others, agentfake.Member(fmt.Sprintf("web-%03d", i), fmt.Sprintf("10.0.%d.%d", i/250, i%250+1), 7946, "alive",
			map[string]string{"role": "web", "port": "8080", "dc": "east", "release": "2026.11.1"}))
	}
	agent.SetMembers(others...)
	config := provided(agent, readMembers+"\noutput \"digest\" {\n  value = data.gossip_members.all.digest\n}\n")
	apply(t,
		resource.TestStep{Config: config, Check: resource.TestCheckResourceAttr("data.gossip_members.all", "total", "1000")},
		resource.TestStep{Config: config, PlanOnly: true},
	)
}
