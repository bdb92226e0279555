package provider

import (
	"fmt"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/compare"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/agentfake"
)

const allMembers = "data.gossip_members.all"

// fleet is an agent n1 that sees members of every status.
func fleet(t *testing.T) *agentfake.Agent {
	t.Helper()
	agent := agentfake.New(t, "n1", "")
	agent.SetMembers(
		agentfake.Member("web-2", "10.0.0.2", 7946, "alive", map[string]string{"role": "web", "zone": "b"}),
		agentfake.Member("web-1", "2001:db8::1", 7947, "alive", map[string]string{"role": "web", "zone": "a"}),
		agentfake.Member("web-3", "10.0.0.3", 7946, "failed", map[string]string{"role": "web", "zone": "a"}),
		agentfake.Member("db-1", "::ffff:10.0.0.4", 7946, "left", map[string]string{"role": "db"}),
	)
	return agent
}

func names(want ...string) knownvalue.Check {
	checks := make([]knownvalue.Check, 0, len(want))
	for _, name := range want {
		checks = append(checks, knownvalue.StringExact(name))
	}
	return knownvalue.ListExact(checks)
}

func TestAccMembersSelects(t *testing.T) {
	t.Parallel()
	agent := fleet(t)
	tests := []struct {
		arguments string
		want      []string
	}{
		{``, []string{"n1", "web-1", "web-2"}},
		{`status = ["failed", "left"]`, []string{"db-1", "web-3"}},
		{`name_regex = "web"`, nil}, // the whole name must match
		{`name_regex = "web-[12]|n1"`, []string{"n1", "web-1", "web-2"}},
		{`tags = { role = "web", zone = "a" }`, []string{"web-1"}},
		{"status = [\"alive\", \"failed\"]\n name_regex = \"web-.*\"\n tags = { zone = \"a\" }", []string{"web-1", "web-3"}},
		{`tags = { role = "" }`, nil}, // a tag that is not there is not an empty one
	}
	steps := make([]resource.TestStep, 0, len(tests))
	for _, tt := range tests {
		steps = append(steps, resource.TestStep{
			Config: provided(agent, fmt.Sprintf("data \"gossip_members\" \"all\" {\n %s\n}\n", tt.arguments)),
			ConfigStateChecks: []statecheck.StateCheck{
				statecheck.ExpectKnownValue(allMembers, tfjsonpath.New("names"), names(tt.want...)),
				statecheck.ExpectKnownValue(allMembers, tfjsonpath.New("total"), knownvalue.Int64Exact(int64(len(tt.want)))),
				statecheck.ExpectKnownValue(allMembers, tfjsonpath.New("members"), knownvalue.ListSizeExact(len(tt.want))),
				statecheck.ExpectKnownValue(allMembers, tfjsonpath.New("by_name"), knownvalue.MapSizeExact(len(tt.want))),
			},
		})
	}
	apply(t, steps...)
}

func TestAccMembersResults(t *testing.T) {
	t.Parallel()
	apply(t, resource.TestStep{
		Config: provided(fleet(t), readMembers+`
resource "terraform_data" "each" {
  input = { for name, m in data.gossip_members.all.by_name : name => "${m.address} ${m.port} ${lookup(m.tags, "role", "-")}" }
}
`),
		ConfigStateChecks: []statecheck.StateCheck{
			statecheck.ExpectKnownValue(allMembers, tfjsonpath.New("observer"), knownvalue.StringExact("n1")),
			statecheck.ExpectKnownValue(allMembers, tfjsonpath.New("endpoints"),
				names("127.0.0.1:7946", "[2001:db8::1]:7947", "10.0.0.2:7946")),
			statecheck.ExpectKnownValue(allMembers, tfjsonpath.New("members").AtSliceIndex(1), knownvalue.ObjectExact(map[string]knownvalue.Check{
				"name":     knownvalue.StringExact("web-1"),
				"address":  knownvalue.StringExact("2001:db8::1"),
				"port":     knownvalue.Int64Exact(7947),
				"status":   knownvalue.StringExact("alive"),
				"protocol": knownvalue.Int64Exact(5),
				"tags": knownvalue.MapExact(map[string]knownvalue.Check{
					"role": knownvalue.StringExact("web"), "zone": knownvalue.StringExact("a"),
				}),
			})),
			statecheck.ExpectKnownValue("terraform_data.each", tfjsonpath.New("output"), knownvalue.ObjectExact(map[string]knownvalue.Check{
				"n1":    knownvalue.StringExact("127.0.0.1 7946 -"),
				"web-1": knownvalue.StringExact("2001:db8::1 7947 web"),
				"web-2": knownvalue.StringExact("10.0.0.2 7946 web"),
			})),
		},
	})
}

// The agent answers in another order each time; what depends on the digest must not notice.
func TestAccMembersDigest(t *testing.T) {
	t.Parallel()
	agent := fleet(t)
	config := provided(agent, readMembers+`
resource "terraform_data" "x" {
  triggers_replace = data.gossip_members.all.digest
}
`)
	differs := statecheck.CompareValue(compare.ValuesDiffer())
	digest := func() statecheck.StateCheck { return differs.AddStateValue(allMembers, tfjsonpath.New("digest")) }
	apply(t,
		resource.TestStep{Config: config, ConfigStateChecks: []statecheck.StateCheck{digest()}},
		resource.TestStep{Config: config, PlanOnly: true},
		resource.TestStep{
			PreConfig: func() {
				agent.SetMembers(agentfake.Member("web-2", "10.0.0.2", 7946, "alive", map[string]string{"role": "web", "zone": "c"}))
			},
			Config: config,
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
				plancheck.ExpectResourceAction("terraform_data.x", plancheck.ResourceActionReplace),
			}},
			ConfigStateChecks: []statecheck.StateCheck{digest()},
		},
	)
}

func TestAccMembersWaits(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	config := func(arguments string) string {
		return provided(agent, "data \"gossip_members\" \"all\" {\n"+arguments+"\n}\n")
	}
	apply(t,
		resource.TestStep{
			Config:      config("wait = { min = 3, poll = \"10ms\" }\n timeouts = { read = \"1ms\" }"),
			ExpectError: saying("1 of 3 members after"),
		},
		resource.TestStep{
			PreConfig: func() {
				agent.AfterCalls("members", 3, func() {
					agent.SetMembers(
						agentfake.Member("n2", "10.0.0.2", 7946, "alive", nil),
						agentfake.Member("n3", "10.0.0.3", 7946, "alive", nil),
					)
				})
			},
			Config: config(`wait = { min = 3, stable_for = "50ms", poll = "10ms" }`),
			Check:  resource.TestCheckResourceAttr(allMembers, "total", "3"),
		},
	)
}

func TestAccMembersGuard(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	agent.SetMembers(
		agentfake.Member("n2", "10.0.0.2", 7946, "failed", nil),
		agentfake.Member("n3", "10.0.0.3", 7946, "failed", nil),
	)
	config := func(arguments string) string {
		return provided(agent, "data \"gossip_members\" \"all\" {\n"+arguments+"\n}\n")
	}
	apply(t,
		resource.TestStep{Config: config(""), ExpectError: saying("it is probably cut off from the cluster")},
		resource.TestStep{
			Config:      config(`guard = { refuse_isolated = false, min_alive = 2 }`),
			ExpectError: saying("guard.min_alive asks for 2"),
		},
		resource.TestStep{
			Config: config(`guard = { refuse_isolated = false }`),
			Check:  resource.TestCheckResourceAttr(allMembers, "total", "1"),
		},
	)
}

func TestAccMembersRefusesArguments(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	tests := map[string]struct{ arguments, want string }{
		"status":     {`status = ["up"]`, "value must be one of"},
		"no status":  {`status = []`, "at least 1"},
		"name_regex": {`name_regex = "web-("`, "missing closing )"},
		"poll":       {`wait = { poll = "1ns" }`, "too short"},
		"stable_for": {`wait = { stable_for = "-1s" }`, "too short"},
		"min":        {`wait = { min = -1 }`, "at least 0"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			apply(t, resource.TestStep{
				Config:      provided(agent, "data \"gossip_members\" \"all\" {\n"+tt.arguments+"\n}\n"),
				PlanOnly:    true,
				ExpectError: saying(tt.want),
			})
		})
	}
}
