package provider

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/agentfake"
)

const deploy = "gossip_event.deploy"

func event(arguments string) string {
	return "resource \"gossip_event\" \"deploy\" {\n  name = \"deploy\"\n" + arguments + "\n}\n"
}

// fired checks how often the agent was asked to fire, and what it got last.
func fired(agent *agentfake.Agent, times int, payload string) resource.TestCheckFunc {
	return func(*terraform.State) error {
		events := agent.Events()
		if len(events) != times {
			return errorf("%d events were fired, want %d: %+v", len(events), times, events)
		}
		if last := events[len(events)-1]; last.Name != "deploy" || string(last.Payload) != payload {
			return errorf("the last event is %s with payload %q, want deploy with %q", last.Name, last.Payload, payload)
		}
		return nil
	}
}

func planned(action plancheck.ResourceActionType, address string) resource.ConfigPlanChecks {
	return resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(address, action)}}
}

func TestAccEventFiresOnce(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	apply(t,
		resource.TestStep{
			Config: provided(agent, event(`payload = "v1"`)),
			Check: resource.ComposeAggregateTestCheckFunc(
				fired(agent, 1, "v1"),
				resource.TestCheckResourceAttr(deploy, "fired_by", "n1"),
				resource.TestCheckResourceAttr(deploy, "coalesce", "false"),
				resource.TestCheckResourceAttrSet(deploy, "fired_at"),
			),
		},
		resource.TestStep{
			Config:           provided(agent, event(`payload = "v1"`)),
			ConfigPlanChecks: planned(plancheck.ResourceActionNoop, deploy),
			Check:            fired(agent, 1, "v1"),
		},
		resource.TestStep{ // a change of no consequence for the event
			Config:           provided(agent, event("payload = \"v1\"\n timeouts = { create = \"5s\" }")),
			ConfigPlanChecks: planned(plancheck.ResourceActionUpdate, deploy),
			Check:            fired(agent, 1, "v1"),
		},
	)
}

func TestAccEventFiresAgain(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	replaced := planned(plancheck.ResourceActionReplace, deploy)
	by := func(release string) string {
		return "resource \"terraform_data\" \"release\" {\n  input = \"" + release + "\"\n}\n" +
			event("lifecycle {\n    replace_triggered_by = [terraform_data.release]\n  }")
	}
	apply(t,
		resource.TestStep{Config: provided(agent, event(`triggers = { release = "1" }`)), Check: fired(agent, 1, "")},
		resource.TestStep{Config: provided(agent, event(`triggers = { release = "2" }`)), ConfigPlanChecks: replaced, Check: fired(agent, 2, "")},
		resource.TestStep{Config: provided(agent, event(`payload = "two"`)), ConfigPlanChecks: replaced, Check: fired(agent, 3, "two")},
		resource.TestStep{Config: provided(agent, event(`payload_base64 = "AP8="`)), ConfigPlanChecks: replaced, Check: fired(agent, 4, "\x00\xff")},
		resource.TestStep{Config: provided(agent, event(`coalesce = true`)), ConfigPlanChecks: replaced, Check: fired(agent, 5, "")},
		resource.TestStep{Config: provided(agent, by("a")), Check: fired(agent, 6, "")},
		resource.TestStep{Config: provided(agent, by("b")), ConfigPlanChecks: replaced, Check: fired(agent, 7, "")},
		resource.TestStep{Config: provided(agent, by("b")), Taint: []string{deploy}, ConfigPlanChecks: replaced, Check: fired(agent, 8, "")},
	)
	if first, fifth := agent.Events()[0], agent.Events()[4]; first.Coalesce || !fifth.Coalesce {
		t.Errorf("coalesce was sent as %v and %v, want false and true", first.Coalesce, fifth.Coalesce)
	}
}

func TestAccEventWriteOnlyPayload(t *testing.T) {
	t.Parallel()
	const marker = "marker-that-must-not-be-kept"
	agent := agentfake.New(t, "n1", "")
	secret := func(value, version string) string {
		return provided(agent, event("payload_wo = \""+value+"\"\n payload_wo_version = "+version))
	}
	notKept := func(s *terraform.State) error {
		if strings.Contains(s.String(), marker) {
			return errorf("the state holds the write-only payload:\n%s", s)
		}
		return nil
	}
	apply(t,
		resource.TestStep{Config: secret(marker, "1"), Check: resource.ComposeAggregateTestCheckFunc(fired(agent, 1, marker), notKept)},
		resource.TestStep{Config: secret(marker+"-2", "1"), ConfigPlanChecks: planned(plancheck.ResourceActionNoop, deploy)},
		resource.TestStep{
			Config:           secret(marker+"-2", `"two"`),
			ConfigPlanChecks: planned(plancheck.ResourceActionReplace, deploy),
			Check:            resource.ComposeAggregateTestCheckFunc(fired(agent, 2, marker+"-2"), notKept),
		},
	)
}

func TestAccEventFailure(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	config := provided(agent, event(`payload = "v1"`))
	apply(t,
		resource.TestStep{
			PreConfig:   func() { agent.Fail(api.CommandEvent, "user event exceeds configured limit") },
			Config:      config,
			ExpectError: saying("user event exceeds configured limit"),
		},
		resource.TestStep{ // the answer is lost: never a second time within one apply
			PreConfig: func() {
				agent.Fail(api.CommandEvent, "")
				agent.Drop(api.CommandEvent, 1)
			},
			Config:      strings.Replace(config, "max = 0", "max = 5", 1),
			ExpectError: saying("The event may have been fired all the same"),
		},
		resource.TestStep{Config: config, Check: fired(agent, 2, "v1")},
	)
}

// Dialling may be tried again: nothing was sent yet.
func TestAccEventRetriesBeforeSending(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	agent.Drop(api.CommandHandshake, 1)
	agent.Drop(api.CommandStats, 1)
	config := strings.Replace(provided(agent, event("")), "max = 0", "max = 2\n min_wait = \"1ms\"", 1)
	apply(t, resource.TestStep{
		Config: strings.Replace(config, "{ max = 2\n", "{\n max = 2\n", 1),
		Check:  fired(agent, 1, ""),
	})
}

func TestAccEventRefusesArguments(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	large := strings.Repeat("x", defaultEventSizeLimit-len("deploy")+1)
	tests := map[string]struct{ config, want string }{
		"name":         {"resource \"gossip_event\" \"deploy\" {\n  name = \"\"\n}\n", "the name is empty"},
		"handler name": {"resource \"gossip_event\" \"deploy\" {\n  name = \"a=b\"\n}\n", "no handler user:NAME can listen"},
		"two payloads": {event("payload = \"a\"\n payload_base64 = \"YQ==\""), "cannot be configured together"},
		"base64":       {event(`payload_base64 = "?"`), "base64encode"},
		"no version":   {event(`payload_wo = "a"`), "must be specified when"},
		"only version": {event(`payload_wo_version = 1`), "must be specified when"},
		"size":         {event(`payload = "` + large + `"`), "have 513 bytes together, and the agent takes 512"},
		"secret size":  {event("payload_wo = \"" + large + "\"\n payload_wo_version = 1"), "have 513 bytes together"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			apply(t, resource.TestStep{Config: provided(agent, tt.config), PlanOnly: true, ExpectError: saying(tt.want)})
		})
	}
	t.Run("raised limit", func(t *testing.T) {
		t.Parallel()
		apply(t, resource.TestStep{
			Config: strings.Replace(provided(agent, event(`payload = "`+large+`"`)), "retry =", "event_size_limit = 1024\n  retry =", 1),
			Check:  resource.TestCheckResourceAttr(deploy, "payload", large),
		})
	})
}

func TestAccEventNeedsNoAgentOnceFired(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	config := provided(agent, event(""))
	apply(t,
		resource.TestStep{Config: config},
		resource.TestStep{PreConfig: agent.Stop, Config: config, PlanOnly: true},
		resource.TestStep{Config: config, Destroy: true},
	)
}

func TestAccEventRefusesImport(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	apply(t, resource.TestStep{
		Config: provided(agent, event("")), ResourceName: deploy, ImportState: true, ImportStateId: "deploy",
		ExpectError: saying("An event cannot be imported"),
	})
}

// Neither the token nor a write-only payload may get into the provider's log, at any level.
func TestAccSecretsAreNotLogged(t *testing.T) { // not parallel: it sets the environment
	const token, payload = "marker-of-the-token", "marker-of-the-payload"
	dir := t.TempDir()
	path, tokenFile, payloadFile := dir+"/terraform.log", dir+"/token", dir+"/payload"
	for file, text := range map[string]string{tokenFile: token, payloadFile: payload} { // the framework logs the configuration
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("TF_LOG", "TRACE")
	t.Setenv("TF_ACC_LOG_PATH", path)
	agent := agentfake.New(t, "n1", token)
	apply(t, resource.TestStep{
		Config: fmt.Sprintf("provider \"gossip\" {\n  address = %q\n  token = file(%q)\n}\n", agent.Addr(), tokenFile) +
			event(fmt.Sprintf("payload_wo = file(%q)\n payload_wo_version = 1", payloadFile)),
		Check: fired(agent, 1, payload),
	})
	log, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(log, []byte("asked the agent")) {
		t.Fatal("the log has no word of the provider's, so it proves nothing")
	}
	for line := range bytes.Lines(log) {
		for _, marker := range []string{token, payload} {
			if bytes.Contains(line, []byte(marker)) {
				t.Errorf("the log holds %q: %s", marker, line)
			}
		}
	}
}
