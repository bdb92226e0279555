package provider

import (
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
)

func TestAccAgent(t *testing.T) {
	t.Parallel()
	agent := fleet(t)
	const self = "data.gossip_agent.self"
	apply(t,
		resource.TestStep{
			Config: provided(agent, `data "gossip_agent" "self" {}`),
			Check: resource.ComposeAggregateTestCheckFunc(
				resource.TestCheckResourceAttr(self, "name", "n1"),
				resource.TestCheckResourceAttr(self, "endpoint", "127.0.0.1:7946"),
				resource.TestCheckResourceAttr(self, "status", "alive"),
				resource.TestCheckResourceAttr(self, "encrypted", "false"),
				resource.TestCheckResourceAttr(self, "isolated", "false"),
				resource.TestCheckResourceAttr(self, "counts.alive", "3"),
				resource.TestCheckResourceAttr(self, "counts.leaving", "0"),
				resource.TestCheckResourceAttr(self, "counts.failed", "1"),
				resource.TestCheckResourceAttr(self, "counts.left", "1"),
				resource.TestCheckResourceAttr(self, "stats.%", "0"),
			),
		},
		resource.TestStep{
			Config: provided(agent, "data \"gossip_agent\" \"self\" {\n  include_stats = true\n}\n"),
			Check:  resource.TestCheckResourceAttr(self, "stats.agent.name", "n1"),
		},
	)
}
