package provider

import (
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/agentfake"
)

// A duration that is only written otherwise is no change, wherever it is; another one is.
func TestAccDurationsWrittenOtherwise(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	answering(agent, map[string]string{"n1": "ok"})
	config := func(minute string) string {
		return provided(agent, `
locals {
  minute = "`+minute+`"
}
resource "gossip_event" "deploy" {
  name     = "deploy"
  gate     = { query = "q", min_responses = 1, timeout = local.minute, query_timeout = local.minute, interval = local.minute }
  timeouts = { create = local.minute, delete = local.minute }
}
resource "gossip_query" "q" {
  name          = "q"
  query_timeout = local.minute
  timeouts      = { create = local.minute }
}
resource "gossip_barrier" "b" {
  min_alive  = 1
  stable_for = "0s"
  timeouts   = { create = local.minute }
}
resource "gossip_join" "j" {
  peers    = ["10.0.0.2:7946"]
  wait     = { min = 1, poll = local.minute }
  timeouts = { create = local.minute }
}
`)
	}
	apply(t,
		resource.TestStep{Config: config("1m"), Check: asked(agent, 1)},
		resource.TestStep{Config: config("60s"), PlanOnly: true},
		resource.TestStep{Config: config("1m0s"), ConfigPlanChecks: planned(plancheck.ResourceActionNoop, deploy)},
		resource.TestStep{Config: config("61s"), ConfigPlanChecks: planned(plancheck.ResourceActionUpdate, deploy), Check: asked(agent, 2)},
	)
}
