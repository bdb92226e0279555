package provider

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/seed-645ce708/gossip/agent/agenttest/loopback"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/session"
)

// serf is a stock Serf agent.
type serf struct {
	rpc, gossip string
	events      string // file that its handler writes to: a line of name and payload for each event
	log         string // file with what it prints
	args        []string
	stop        func()
}

// newSerf starts a stock Serf agent on loopback with ports that the kernel chose, and stops it with the test.
func newSerf(t *testing.T, name, token string, tags ...string) *serf {
	t.Helper()
	return newSerfWith(t, name, token, nil, tags...)
}

// newSerfWith is newSerf with more of its configuration.
func newSerfWith(t *testing.T, name, token string, more map[string]any, tags ...string) *serf {
	t.Helper()
	program, err := exec.LookPath("serf")
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("this test needs Debian's serf: %v", err)
	default:
		t.Skipf("this test needs Debian's serf: %v", err)
	}
	dir := t.TempDir()
	s := &serf{events: filepath.Join(dir, "events"), log: filepath.Join(dir, "log")}
	settings := map[string]any{"rpc_auth": token, "event_handlers": []string{
		"user=printf '%s %s\\n' \"$SERF_USER_EVENT\" \"$(cat)\" >> " + s.events,
		"query:release=printf v1",
	}}
	maps.Copy(settings, more)
	config, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "serf.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	s.rpc, s.gossip = loopback.Addr(t), loopback.Addr(t)
	s.args = []string{program, "agent", "-node", name, "-bind", s.gossip, "-rpc-addr", s.rpc, "-profile", "local", "-config-file", file}
	for _, tag := range tags {
		s.args = append(s.args, "-tag", tag)
	}
	s.start(t, token)
	return s
}

// start runs the agent and waits until it answers.
func (s *serf) start(t *testing.T, token string) {
	t.Helper()
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }() // the process has its own
	cmd := exec.Command(s.args[0], s.args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // killed
	}()
	s.stop = sync.OnceFunc(func() {
		_ = cmd.Process.Kill() // it may be gone
		<-ended
	})
	t.Cleanup(s.stop)
	agent := session.New(session.Config{Addrs: []string{s.rpc}, Token: token, Timeout: 10 * time.Second})
	until(t, "serf answers", func() bool {
		select {
		case <-ended:
			said, _ := os.ReadFile(s.log)
			t.Fatalf("serf ended at its start:\n%s", said)
		default:
		}
		_, err := agent.View(t.Context())
		return err == nil
	})
}

// keyChanges returns what the agent was asked to do with keys, in order, by its own log. What was repeated counts once.
func (s *serf) keyChanges(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(s.log)
	if err != nil {
		t.Fatal(err)
	}
	var changes []string
	for _, m := range regexp.MustCompile(`Received (install|use|remove)-key query`).FindAllStringSubmatch(string(text), -1) {
		changes = append(changes, m[1])
	}
	return slices.Compact(changes)
}

// until polls a condition for as long as a slow machine may need.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

func TestAccStockSerf(t *testing.T) {
	t.Parallel()
	first := newSerf(t, "s1", "open-sesame", "role=web", "port=8080")
	second := newSerf(t, "s2", "")
	config := func(release string) string {
		return fmt.Sprintf(`
provider "gossip" {
  address = %q
  token   = "open-sesame"
}
resource "gossip_join" "s1" {
  peers = [%q]
  wait  = { min = 2 }
}
data "gossip_members" "web" {
  tags       = { role = "web" }
  depends_on = [gossip_join.s1]
}
data "gossip_agent" "s1" {}
resource "gossip_event" "deploy" {
  name     = "deploy"
  payload  = %q
  triggers = { web = data.gossip_members.web.digest }
}
`, first.rpc, second.gossip, release)
	}
	handled := func(want string) resource.TestCheckFunc {
		return func(*terraform.State) error {
			for _, s := range []*serf{first, second} {
				until(t, "handler saw "+want, func() bool {
					text, err := os.ReadFile(s.events)
					return err == nil && string(text) == want
				})
			}
			return nil
		}
	}
	apply(t,
		resource.TestStep{
			Config: strings.Replace(config("v1"), "open-sesame", "wrong", 1), ExpectError: saying("GOSSIP_RPC_AUTH"),
		},
		resource.TestStep{
			Config: config("v1"),
			Check: resource.ComposeAggregateTestCheckFunc(
				resource.TestCheckResourceAttr("gossip_join.s1", "node", "s1"),
				resource.TestCheckResourceAttr("gossip_join.s1", "contacted", "1"),
				resource.TestCheckResourceAttr("data.gossip_members.web", "names.0", "s1"),
				resource.TestCheckResourceAttr("data.gossip_members.web", "endpoints.0", first.gossip),
				resource.TestCheckResourceAttr("data.gossip_members.web", "members.0.tags.port", "8080"),
				resource.TestCheckResourceAttr("data.gossip_agent.s1", "encrypted", "false"),
				resource.TestCheckResourceAttr("gossip_event.deploy", "fired_by", "s1"),
				handled("deploy v1\n"),
			),
		},
		resource.TestStep{Config: config("v1"), PlanOnly: true},
		resource.TestStep{
			Config:           config("v2"),
			ConfigPlanChecks: planned(plancheck.ResourceActionReplace, "gossip_event.deploy"),
			Check:            handled("deploy v1\ndeploy v2\n"),
		},
		resource.TestStep{ // agents that come back have forgotten each other, and are joined again
			PreConfig: func() {
				first.stop()
				second.stop()
				for s, token := range map[*serf]string{first: "open-sesame", second: ""} {
					s.start(t, token)
				}
			},
			Config:           config("v2"),
			ConfigPlanChecks: planned(plancheck.ResourceActionUpdate, "gossip_join.s1"),
			Check:            resource.TestCheckResourceAttr("gossip_join.s1", "joined", "true"),
		},
		resource.TestStep{Config: config("v2"), PlanOnly: true},
	)
}

// What a plan can do with stock Serf agents beyond members and events: tags, keys, queries; and what it cannot.
func TestAccStockSerfMore(t *testing.T) {
	t.Parallel()
	agent := newSerfWith(t, "s1", "", map[string]any{"encrypt_key": oldKey}, "dc=east")
	config := func(role, version string) string {
		return fmt.Sprintf(`
provider "gossip" {
  address = %q
}
resource "gossip_tags" "t" {
  tags = { role = %q, port = "8080" }
}
data "gossip_service" "web" {
  name       = "web"
  guard      = { refuse_isolated = false }
  depends_on = [gossip_tags.t]
}
resource "gossip_key" "k" {
  key_wo         = %q
  key_wo_version = %q
  lifecycle {
    create_before_destroy = true
  }
}
resource "gossip_primary_key" "p" {
  key_id = gossip_key.k.key_id
}
data "gossip_keyring" "r" {
  depends_on = [gossip_primary_key.p]
}
resource "gossip_query" "release" {
  name          = "release"
  min_responses = 1
  query_timeout = "1m"
}
resource "gossip_event" "deploy" {
  name = "deploy"
  gate = { query = "release", expect = "v1", query_timeout = "1m" }
}
data "gossip_coordinates" "c" {}
`, agent.rpc, role, map[string]string{"1": firstKey, "2": secondKey}[version], version)
	}
	apply(t,
		resource.TestStep{
			Config: config("web", "1"),
			Check: resource.ComposeAggregateTestCheckFunc(
				resource.TestCheckResourceAttr("gossip_tags.t", "node", "s1"),
				resource.TestCheckResourceAttr("data.gossip_service.web", "instances.0.port", "8080"),
				resource.TestCheckResourceAttr("data.gossip_keyring.r", "key_ids.#", "2"),
				resource.TestCheckNoResourceAttr("data.gossip_keyring.r", "primary_id"),
				resource.TestCheckResourceAttr("gossip_query.release", "responses.s1", "v1"),
				resource.TestCheckResourceAttr("gossip_event.deploy", "approved.0", "s1"),
				notKept(firstKey),
			),
		},
		resource.TestStep{Config: config("web", "1"), PlanOnly: true},
		resource.TestStep{
			Config:           config("web", "2"),
			ConfigPlanChecks: planned(plancheck.ResourceActionCreateBeforeDestroy, "gossip_key.k"),
			Check: func(*terraform.State) error {
				want := []string{"install", "use", "install", "use", "remove"} // the first version, and its replacement
				if got := agent.keyChanges(t); !slices.Equal(got, want) {
					return errorf("serf was asked to %v keys, want %v", got, want)
				}
				return nil
			},
		},
		resource.TestStep{
			Config:      config("web", "2") + "resource \"gossip_event\" \"waits\" {\n  name = \"deploy\"\n  wait = {}\n}\n",
			ExpectError: saying("A stock Serf agent, or an older gossip agent, cannot do this"),
		},
		resource.TestStep{ // so that destroying may remove the key
			Config: strings.Replace(config("web", "2"), "gossip_key.k.key_id", `"`+fingerprint(t, oldKey)+`"`, 1),
		},
	)
}
