package provider

import (
	"fmt"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/agentfake"
)

const joined = "gossip_join.n1"

func errorf(format string, args ...any) error { return fmt.Errorf(format, args...) }

func join(arguments string) string {
	return "resource \"gossip_join\" \"n1\" {\n" + arguments + "\n}\n"
}

// asked checks how many peers the agent was asked to join so far.
func asked(agent *agentfake.Agent, times int) resource.TestCheckFunc {
	return func(*terraform.State) error {
		if joins := agent.Joins(); len(joins) != times {
			return errorf("the agent was asked %d times to join, want %d: %+v", len(joins), times, joins)
		}
		return nil
	}
}

func TestAccJoin(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	const peers = `peers = ["10.0.0.2:7946", "10.0.0.3", "127.0.0.1:7946"]` // the last is the agent itself
	config := provided(agent, join(peers+"\n wait = { min = 3, stable_for = \"20ms\", poll = \"10ms\" }"))
	apply(t,
		resource.TestStep{
			Config: config,
			Check: resource.ComposeAggregateTestCheckFunc(
				asked(agent, 2),
				resource.TestCheckResourceAttr(joined, "node", "n1"),
				resource.TestCheckResourceAttr(joined, "contacted", "2"),
				resource.TestCheckResourceAttr(joined, "joined", "true"),
				resource.TestCheckResourceAttr(joined, "min_contacted", "1"),
				resource.TestCheckResourceAttr(joined, "replay_events", "false"),
				resource.TestCheckResourceAttr(joined, "on_destroy", "none"),
			),
		},
		resource.TestStep{Config: config, ConfigPlanChecks: planned(plancheck.ResourceActionNoop, joined), Check: asked(agent, 2)},
	)
	if agent.Left() {
		t.Error("destroying made the agent leave, though on_destroy is none")
	}
}

func TestAccJoinDeadPeers(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	agent.Kill("10.0.0.2:7946", "10.0.0.4:7946")
	apply(t,
		resource.TestStep{
			Config:      provided(agent, join(`peers = ["10.0.0.2:7946", "10.0.0.4:7946"]`)),
			ExpectError: saying("- 10.0.0.4:7946: Failed to join 10.0.0.4:7946: connection refused"),
		},
		resource.TestStep{
			Config:      provided(agent, join("peers = [\"10.0.0.2:7946\", \"10.0.0.3:7946\"]\n min_contacted = 2")),
			ExpectError: saying("The agent reached 1 of 2 peers, and min_contacted asks for 2"),
		},
		resource.TestStep{
			Config:      provided(agent, join(`peers = ["127.0.0.1:7946"]`)),
			ExpectError: saying("127.0.0.1:7946: is the agent itself"),
		},
		resource.TestStep{
			Config: provided(agent, join(`peers = ["10.0.0.2:7946", "10.0.0.3:7946"]`)),
			Check:  resource.TestCheckResourceAttr(joined, "contacted", "1"),
		},
	)
}

func TestAccJoinWaitNotMet(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	apply(t, resource.TestStep{
		Config:      provided(agent, join("peers = [\"10.0.0.2:7946\"]\n wait = { min = 3, poll = \"10ms\" }\n timeouts = { create = \"10s\" }")),
		ExpectError: saying("2 of 3 members after"),
	})
}

// An agent that was restarted stands alone: the plan shows it, and apply joins again in place.
func TestAccJoinRepairsDrift(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	config := provided(agent, join(`peers = ["10.0.0.2:7946"]`))
	apply(t,
		resource.TestStep{Config: config, Check: asked(agent, 1)},
		resource.TestStep{
			PreConfig: func() {
				agent.Stop()
				agent.Restart(t)
			},
			Config:           config,
			ConfigPlanChecks: planned(plancheck.ResourceActionUpdate, joined),
			Check:            resource.ComposeAggregateTestCheckFunc(asked(agent, 2), resource.TestCheckResourceAttr(joined, "joined", "true")),
		},
		resource.TestStep{Config: config, ConfigPlanChecks: planned(plancheck.ResourceActionNoop, joined)},
	)
}

func TestAccJoinUpdatesInPlace(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	updated := planned(plancheck.ResourceActionUpdate, joined)
	apply(t,
		resource.TestStep{Config: provided(agent, join(`peers = ["10.0.0.2:7946"]`)), Check: asked(agent, 1)},
		resource.TestStep{
			Config:           provided(agent, join("peers = [\"10.0.0.2:7946\"]\n triggers = { boot = \"2\" }")),
			ConfigPlanChecks: updated,
			Check:            asked(agent, 2),
		},
		resource.TestStep{
			Config:           provided(agent, join(`peers = ["10.0.0.2:7946", "10.0.0.3:7946"]`)),
			ConfigPlanChecks: updated,
			Check:            resource.ComposeAggregateTestCheckFunc(asked(agent, 4), resource.TestCheckResourceAttr(joined, "contacted", "2")),
		},
		resource.TestStep{ // nothing that needs another join
			Config:           provided(agent, join("peers = [\"10.0.0.2:7946\", \"10.0.0.3:7946\"]\n on_destroy = \"leave\"")),
			ConfigPlanChecks: updated,
			Check:            asked(agent, 4),
		},
	)
	if !agent.Left() {
		t.Error("destroying did not make the agent leave, though on_destroy is leave")
	}
}

func TestAccJoinReplaysEvents(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	apply(t, resource.TestStep{Config: provided(agent, join("peers = [\"10.0.0.2:7946\"]\n replay_events = true"))})
	if joins := agent.Joins(); len(joins) != 1 || !joins[0].Replay {
		t.Errorf("the agent was asked %+v, want one join with replay", joins)
	}
}

func TestAccJoinWithAgentDown(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	config := provided(agent, join(`peers = ["10.0.0.2:7946"]`))
	apply(t,
		resource.TestStep{Config: config},
		resource.TestStep{PreConfig: agent.Stop, Config: config, PlanOnly: true}, // a warning, and no change
		resource.TestStep{Config: config, Destroy: true},
	)
}

func TestAccJoinRefusal(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "secret")
	apply(t, resource.TestStep{
		Config:      provided(agent, join(`peers = ["10.0.0.2:7946"]`)),
		ExpectError: saying("Set `token` in the provider block"),
	})
	if n := agent.Calls(api.CommandJoin); n != 0 {
		t.Errorf("the agent took %d joins without a token", n)
	}
}

func TestAccJoinRefusesArguments(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	tests := map[string]struct{ arguments, want string }{
		"no peers":      {`peers = []`, "at least 1"},
		"scheme":        {`peers = ["tcp://10.0.0.2:7946"]`, "write host or host:port"},
		"port":          {`peers = ["10.0.0.2:gossip"]`, "is not a number from 1 to 65535"},
		"min_contacted": {"peers = [\"10.0.0.2\"]\n min_contacted = 0", "at least 1"},
		"on_destroy":    {"peers = [\"10.0.0.2\"]\n on_destroy = \"stay\"", "value must be one of"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			apply(t, resource.TestStep{Config: provided(agent, join(tt.arguments)), PlanOnly: true, ExpectError: saying(tt.want)})
		})
	}
	t.Run("peers from elsewhere", func(t *testing.T) { // not known while planning
		t.Parallel()
		apply(t, resource.TestStep{
			Config: provided(agent, "resource \"terraform_data\" \"p\" {\n  input = \"10.0.0.2:7946\"\n}\n"+
				join(`peers = [terraform_data.p.output]`)),
			Check: resource.TestCheckResourceAttr(joined, "joined", "true"),
		})
	})
}
