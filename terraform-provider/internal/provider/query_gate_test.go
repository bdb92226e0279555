package provider

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
	"github.com/hashicorp/terraform-plugin-testing/tfversion"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/agentfake"
)

// answering makes members answer queries as the map says.
func answering(agent *agentfake.Agent, answers map[string]string) {
	agent.Answer(func(api.QueryRequest) map[string]string { return answers })
}

func TestAccQuery(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	agent.SetMembers(web(1), web(2))
	answering(agent, map[string]string{"web-1": "v1\n", "web-2": "\xff\x00"})
	const address = "gossip_query.q"
	config := func(arguments string) string {
		return provided(agent, "resource \"gossip_query\" \"q\" {\n  name = \"version\"\n"+arguments+"\n}\n")
	}
	asked := func(times int) resource.TestCheckFunc {
		return func(*terraform.State) error {
			if n := len(agent.Queries()); n != times {
				return errorf("%d queries were asked, want %d", n, times)
			}
			return nil
		}
	}
	apply(t,
		resource.TestStep{Config: config(`min_responses = 3`), ExpectError: saying("Of 3 members, 2 answered within 5s, and min_responses asks for 3; it was answered by web-1, web-2")},
		resource.TestStep{
			Config:      config("min_responses = 1\n filter_tags = { role = \"db\" }"),
			ExpectError: saying("No member that is alive matches its filters, and min_responses asks for 1 answers"),
		},
		resource.TestStep{
			Config: config("payload = \"app\"\n filter_tags = { role = \"web|api\" }\n filter_nodes = [\"web-2\", \"web-1\"]\n relay_factor = 2\n query_timeout = \"1s\""),
			Check: resource.ComposeAggregateTestCheckFunc(
				asked(2),
				resource.TestCheckResourceAttr(address, "responses.%", "1"),
				resource.TestCheckResourceAttr(address, "responses.web-1", "v1\n"),
				resource.TestCheckResourceAttr(address, "responses_base64.web-2", "/wA="),
				resource.TestCheckResourceAttr(address, "responded.#", "2"),
				func(*terraform.State) error {
					q := agent.Queries()[1]
					if q.Name != "version" || string(q.Payload) != "app" || q.RelayFactor != 2 || q.Timeout.Seconds() != 1 ||
						q.FilterTags["role"] != "^(?:web|api)$" || !slices.Equal(q.FilterNodes, []string{"web-1", "web-2"}) {
						return errorf("the query is %+v", q)
					}
					return nil
				},
			),
		},
		resource.TestStep{Config: config(`triggers = { release = "1" }`), ConfigPlanChecks: planned(plancheck.ResourceActionReplace, address), Check: asked(3)},
		resource.TestStep{ // what needs no new question
			Config:           config("triggers = { release = \"1\" }\n min_responses = 1\n query_timeout = \"2s\""),
			ConfigPlanChecks: planned(plancheck.ResourceActionUpdate, address), Check: asked(3),
		},
		resource.TestStep{
			PreConfig: agent.Stop, // neither reading nor destroying needs it
			Config:    config("triggers = { release = \"1\" }\n min_responses = 1\n query_timeout = \"2s\""), PlanOnly: true,
		},
	)
}

func web(n int) api.Member {
	return agentfake.Member(fmt.Sprintf("web-%d", n), "10.0.0.1", 7946, "alive", map[string]string{"role": "web"})
}

func TestAccEventGate(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	failed := web(4)
	failed.Status = "failed"
	agent.SetMembers(web(1), web(2), web(3), failed)
	gate := func(more string) string {
		return provided(agent, event("payload = \"v2\"\n gate = {\n query = \"deployed\"\n payload = \"v2\"\n filter_tags = { role = \"web\" }\n timeout = \"1ms\"\n interval = \"20ms\"\n"+more+"\n}"))
	}
	answering(agent, map[string]string{"web-1": "ok\n", "web-2": "still v1"})
	rounds := 0
	apply(t,
		resource.TestStep{
			Config: gate(""),
			ExpectError: saying("1 of 3 members answered as expected, and 3 must " +
				"- web-2: answered \"still v1\" - web-3: no answer"),
		},
		resource.TestStep{ // nothing was kept, so that it fires again; a third is enough now
			Config: gate(`min_percent = 33`),
			Check: resource.ComposeAggregateTestCheckFunc(
				fired(agent, 2, "v2"),
				resource.TestCheckResourceAttr(deploy, "approved.#", "1"),
				resource.TestCheckResourceAttr(deploy, "approved.0", "web-1"),
				resource.TestCheckResourceAttr(deploy, "receipts.%", "0"),
				resource.TestCheckNoResourceAttr(deploy, "lamport_time"),
			),
		},
		resource.TestStep{Config: gate(`min_percent = 33`), PlanOnly: true},
		resource.TestStep{ // the gate alone fires nothing
			Config: gate(`min_responses = 3`), ConfigPlanChecks: planned(plancheck.ResourceActionUpdate, deploy), Check: fired(agent, 2, "v2"),
		},
		resource.TestStep{ // it asks until they are ready
			PreConfig: func() {
				agent.Answer(func(api.QueryRequest) map[string]string {
					if rounds++; rounds < 3 {
						return map[string]string{"web-1": "ok"}
					}
					return map[string]string{"web-1": "v3 is up", "web-2": "v3 is up", "web-3": "v3 is up"}
				})
			},
			Config: strings.Replace(gate(`expect = "v3 is .*"`), `timeout = "1ms"`, `timeout = "30s"`, 1) + "\n# again\n", Taint: []string{deploy},
			Check: resource.ComposeAggregateTestCheckFunc(
				resource.TestCheckResourceAttr(deploy, "approved.#", "3"),
				func(*terraform.State) error {
					if rounds != 3 {
						return errorf("asked %d times, want 3", rounds)
					}
					return nil
				},
			),
		},
	)
}

func TestAccEventReceipts(t *testing.T) {
	t.Parallel()
	serf, agent := agentfake.New(t, "s1", ""), agentfake.New(t, "n1", "")
	receipts := []api.EventReceipt{
		{Node: "n1", Status: api.ReceiptOK},
		{Node: "n2", Status: api.ReceiptFailed, Handlers: []api.HandlerRun{{Command: "deploy.sh", State: "failed", Exit: 3, Error: "exit status 3"}}},
		{Node: "s1", Status: api.ReceiptUnknown},
	}
	agent.BecomeOurs(receipts...)
	wait := func(to *agentfake.Agent, arguments string) string {
		return provided(to, event(`payload = "v1"`+"\n wait = { "+arguments+" }"))
	}
	apply(t,
		resource.TestStep{Config: wait(serf, ""), ExpectError: saying("A stock Serf agent, or an older gossip agent, cannot do this")},
		resource.TestStep{Config: wait(agent, ""), ExpectError: saying("- n2: its handler failed (deploy.sh: failed, exit 3 exit status 3)")},
		resource.TestStep{
			Config: wait(agent, "accept_failures = 1"),
			Check: resource.ComposeAggregateTestCheckFunc(
				fired(agent, 2, "v1"),
				resource.TestCheckResourceAttr(deploy, "receipts.n2", "failed"),
				resource.TestCheckResourceAttr(deploy, "receipts.s1", "unknown"),
				resource.TestCheckResourceAttr(deploy, "lamport_time", "2"),
			),
		},
		resource.TestStep{Config: wait(agent, "accept_failures = 1"), PlanOnly: true},
	)
	if n := len(serf.Events()); n != 0 {
		t.Errorf("stock Serf fired %d events, want none", n)
	}
}

func TestAccEventOnDestroy(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	apply(t, resource.TestStep{
		Config: provided(agent, event("on_destroy = {\n name = \"undeploy\"\n payload = \"v1\"\n}")),
		Check:  fired(agent, 1, ""),
	})
	events := agent.Events()
	if last := events[len(events)-1]; len(events) != 2 || last.Name != "undeploy" || string(last.Payload) != "v1" {
		t.Errorf("the events are %+v", events)
	}
}

func TestAccBarrier(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	agent.SetMembers(web(1))
	config := func(arguments string) string {
		return provided(agent, "resource \"gossip_barrier\" \"b\" {\n  tags = { role = \"web\" }\n"+arguments+"\n}\n")
	}
	apply(t,
		resource.TestStep{Config: config("min_alive = 2\n timeouts = { create = \"1ms\" }"), ExpectError: saying("1 of 2 members after")},
		resource.TestStep{
			PreConfig: func() { agent.AfterCalls("members", 2, func() { agent.SetMembers(web(1), web(2)) }) },
			Config:    config(`min_alive = 2`),
			Check: resource.ComposeAggregateTestCheckFunc(
				resource.TestCheckResourceAttr("gossip_barrier.b", "names.#", "2"),
				resource.TestCheckResourceAttrSet("gossip_barrier.b", "met_at"),
			),
		},
		resource.TestStep{PreConfig: agent.Stop, Config: config(`min_alive = 2`), PlanOnly: true},
	)
}

func TestAccService(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	m := func(name, ip, status string, tags ...string) api.Member {
		all := map[string]string{}
		for _, tag := range tags {
			key, value, _ := strings.Cut(tag, "=")
			all[key] = value
		}
		return agentfake.Member(name, ip, 7946, status, all)
	}
	damped := m("web-5", "10.0.0.5", "alive", "svc:web=8080")
	damped.Damped = true
	agent.SetMembers(
		m("web-2", "10.0.0.2", "alive", "role=web", "port=8080"),
		m("web-1", "2001:db8::1", "alive", "svc:web=8081,w=50,p=1"),
		m("web-3", "10.0.0.3", "alive", "svc:web=8080,drain"),
		m("web-4", "10.0.0.4", "failed", "svc:web=8080"),
		damped,
		m("web-6", "10.0.0.6", "alive", "svc:web=no-port"),
		m("web-7", "10.0.0.7", "alive", "role=web", "dc=east"),
	)
	const address = "data.gossip_service.web"
	config := func(arguments string) string {
		return provided(agent, "data \"gossip_service\" \"web\" {\n  name = \"web\"\n"+arguments+"\n}\n")
	}
	apply(t,
		resource.TestStep{
			Config: config(""),
			Check: resource.ComposeAggregateTestCheckFunc(
				resource.TestCheckResourceAttr(address, "total", "3"),
				resource.TestCheckResourceAttr(address, "endpoints.#", "2"),
				resource.TestCheckResourceAttr(address, "endpoints.0", "[2001:db8::1]:8081"),
				resource.TestCheckResourceAttr(address, "endpoints.1", "10.0.0.2:8080"),
				resource.TestCheckResourceAttr(address, "instances.0.weight", "50"),
				resource.TestCheckResourceAttr(address, "instances.0.priority", "1"),
				resource.TestCheckResourceAttr(address, "by_node.web-7.port", "0"),
				resource.TestCheckResourceAttr(address, "by_node.web-7.endpoint", ""),
				resource.TestCheckResourceAttr(address, "addresses.2", "10.0.0.7"),
			),
		},
		resource.TestStep{Config: config(`include_draining = true`), Check: resource.TestCheckResourceAttr(address, "total", "4")},
		resource.TestStep{Config: config(`tags = { dc = "east" }`), Check: resource.TestCheckResourceAttr(address, "instances.0.node", "web-7")},
		resource.TestStep{
			Config: config("wait = { min = 9 }\n timeouts = { read = \"1ms\" }"), ExpectError: saying("3 of 9 members after"),
		},
		resource.TestStep{
			PreConfig: func() { agent.SetMembers() }, Config: config(""),
			Check: resource.ComposeAggregateTestCheckFunc(
				resource.TestCheckResourceAttr(address, "total", "0"),
				resource.TestCheckResourceAttr(address, "endpoints.#", "0"),
				resource.TestCheckResourceAttr(address, "by_node.%", "0"),
			),
		},
		resource.TestStep{
			PreConfig:   func() { agent.Doubt(api.Confidence{Synced: true, Isolated: true, Evidence: "3 of 3 failed at once"}) },
			Config:      config(""),
			ExpectError: saying("n1 says of itself: the agent looks cut off: 3 of 3 failed at once"),
		},
		resource.TestStep{Config: config(`guard = { refuse_isolated = false }`), Check: resource.TestCheckResourceAttr(address, "total", "0")},
		resource.TestStep{
			PreConfig:   func() { agent.BecomeOurs() },
			Config:      config("guard = {\n refuse_isolated = false\n max_view_age = \"1m\"\n}"),
			ExpectError: saying("heard from another member 1m30s ago, and guard.max_view_age allows 1m0s"),
		},
	)
}

func TestAccCoordinates(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	agent.SetMembers(web(1), web(2), web(3))
	at := func(x float64) api.Coordinate { return api.Coordinate{Vec: []float64{x, 0}, Height: 0.001} }
	agent.SetCoordinates(map[string]api.Coordinate{"n1": at(0), "web-1": at(0.01), "web-2": at(0.004)})
	const address = "data.gossip_coordinates.c"
	config := func(arguments string) string {
		return provided(agent, "data \"gossip_coordinates\" \"c\" {\n"+arguments+"\n}\n")
	}
	apply(t,
		resource.TestStep{
			Config: config(""),
			Check: resource.ComposeAggregateTestCheckFunc(
				resource.TestCheckResourceAttr(address, "rtt_ms.web-1", "12"),
				resource.TestCheckResourceAttr(address, "rtt_ms.web-2", "6"),
				resource.TestCheckResourceAttr(address, "nearest.0", "web-2"),
				resource.TestCheckResourceAttr(address, "unknown.0", "web-3"),
			),
		},
		resource.TestStep{
			Config: config("from = \"web-1\"\n nodes = [\"web-2\"]"),
			Check:  resource.TestCheckResourceAttr(address, "rtt_ms.web-2", "8"),
		},
		resource.TestStep{Config: config(`from = "web-3"`), ExpectError: saying("no network coordinate of web-3")},
	)
}

func TestAccFunctions(t *testing.T) {
	t.Parallel()
	call := func(expression string) string {
		return "terraform {\n  required_providers {\n    gossip = {\n      source = \"hashicorp/gossip\"\n    }\n  }\n}\noutput \"o\" {\n  value = jsonencode(" + expression + ")\n}\n"
	}
	good := map[string]string{
		`provider::gossip::parse_address("10.0.0.1:7946")`:                                                             `{"host":"10.0.0.1","is_ipv6":false,"port":7946}`,
		`provider::gossip::parse_address("[2001:db8::1]:7946")`:                                                        `{"host":"2001:db8::1","is_ipv6":true,"port":7946}`,
		`provider::gossip::parse_address("2001:db8::1")`:                                                               `{"host":"2001:db8::1","is_ipv6":true,"port":null}`,
		`provider::gossip::parse_address("node.example")`:                                                              `{"host":"node.example","is_ipv6":false,"port":null}`,
		`provider::gossip::format_address("2001:db8::1", 80)`:                                                          `"[2001:db8::1]:80"`,
		`provider::gossip::parse_tags("role=web, zone=a=b")`:                                                           `{"role":"web","zone":"a=b"}`,
		`provider::gossip::parse_tags("")`:                                                                             `{}`,
		`provider::gossip::format_tags({ zone = "a", role = "web" })`:                                                  `"role=web,zone=a"`,
		`provider::gossip::tags_size({ role = "web" })`:                                                                `11`,
		`provider::gossip::event_size("deploy", "v1")`:                                                                 `8`,
		`provider::gossip::event_size("deploy", "")`:                                                                   `6`,
		`provider::gossip::key_id("AAECAwQFBgcICQoLDA0ODw==") == provider::gossip::key_id("AAECAwQFBgcICQoLDA0ODw==")`: `true`,
		`length(provider::gossip::pick("shard-1", ["a", "b", "c"], 2))`:                                                `2`,
		`provider::gossip::pick("x", [], 2)`:                                                                           `[]`,
	}
	var steps []resource.TestStep
	expressions := make([]string, 0, len(good))
	for expression := range good {
		expressions = append(expressions, expression)
	}
	slices.Sort(expressions)
	var all strings.Builder
	var checks []resource.TestCheckFunc
	all.WriteString(strings.SplitN(call("1"), "output", 2)[0])
	for i, expression := range expressions {
		name := fmt.Sprintf("o%d", i)
		fmt.Fprintf(&all, "output %q {\n  value = jsonencode(%s)\n}\n", name, expression)
		checks = append(checks, resource.TestCheckOutput(name, good[expression]))
	}
	steps = append(steps, resource.TestStep{Config: all.String(), Check: resource.ComposeAggregateTestCheckFunc(checks...)})
	applyFrom(t, tfversion.Version1_8_0, steps...)
	for expression, want := range map[string]string{
		`provider::gossip::parse_address("a:b:c")`:      "is no address",
		`provider::gossip::parse_address("10.0.0.1:0")`: "is not a number from 1 to 65535",
		`provider::gossip::parse_address("10.0.0.1:")`:  "is not a number from 1 to 65535",
		`provider::gossip::format_address("a b", 1)`:    "neither a host name nor an IP address",
		`provider::gossip::format_address("a", 70000)`:  "is not from 1 to 65535",
		`provider::gossip::parse_tags("role")`:          "is no tag",
		`provider::gossip::parse_tags("a=1,a=2")`:       "is there twice",
		`provider::gossip::format_tags({ a = "1,2" })`:  "cannot be written as text",
		`provider::gossip::event_size("deploy", null)`:  "argument must not be null",
		`provider::gossip::format_tags({ a = null })`:   "is null",
		`provider::gossip::key_id("AAEC")`:              "it has 3 bytes",
		`provider::gossip::pick("x", ["a"], -1)`:        "cannot be picked",
	} {
		t.Run(expression, func(t *testing.T) {
			t.Parallel()
			applyFrom(t, tfversion.Version1_8_0, resource.TestStep{Config: call(expression), PlanOnly: true, ExpectError: saying(want)})
		})
	}
}
