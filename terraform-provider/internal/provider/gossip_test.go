package provider

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/seed-645ce708/gossip/agent"
	"github.com/seed-645ce708/gossip/agent/agenttest"
	"github.com/seed-645ce708/gossip/agent/agenttest/loopback"
	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/session"
)

// The whole provider against agents of ours: one that is alone is joined to a cluster of two, hears nothing
// twice, and leaves in the end.
func TestAccGossipAgents(t *testing.T) {
	t.Parallel()
	cluster := agenttest.Cluster(t, "web", 2, func(_ int, cfg *agent.Config) {
		cfg.Tags = map[string]string{"role": "web"}
	})
	loner := agenttest.Start(t, "db-1", func(cfg *agent.Config) { cfg.RPCAuth = "open-sesame" })
	events, err := agenttest.Dial(t, cluster[1]).Stream(t.Context(), "user:deploy")
	if err != nil {
		t.Fatal(err)
	}
	config := func(release string) string {
		return fmt.Sprintf(`
provider "gossip" {
  address = "tcp://%s"
  token   = "open-sesame"
}
resource "gossip_join" "db" {
  peers      = [%q, %q, %q]
  wait       = { min = 3 }
  on_destroy = "leave"
}
data "gossip_members" "web" {
  tags       = { role = "web" }
  depends_on = [gossip_join.db]
}
data "gossip_member" "db" {
  name       = "db-1"
  depends_on = [gossip_join.db]
}
resource "gossip_event" "deploy" {
  name       = "deploy"
  payload    = %q
  depends_on = [gossip_join.db]
}
`, loner.RPCAddr(), cluster[0].GossipAddr(), cluster[1].GossipAddr(), loner.GossipAddr(), release)
	}
	heard := func(want string) resource.TestCheckFunc {
		return func(*terraform.State) error {
			select {
			case record := <-events.C():
				e, ok := record.(*api.UserEventRecord)
				if !ok || e.Name != "deploy" || string(e.Payload) != want {
					return errorf("web-2 heard %+v, want deploy %s", record, want)
				}
				return nil
			case <-time.After(time.Minute):
				return errorf("web-2 did not hear of deploy %s", want)
			}
		}
	}
	apply(t,
		resource.TestStep{
			Config: config("v1"),
			Check: resource.ComposeAggregateTestCheckFunc(
				resource.TestCheckResourceAttr("gossip_join.db", "node", "db-1"),
				resource.TestCheckResourceAttr("gossip_join.db", "contacted", "2"),
				resource.TestCheckResourceAttr("data.gossip_members.web", "names.#", "2"),
				resource.TestCheckResourceAttr("data.gossip_members.web", "endpoints.0", cluster[0].GossipAddr()),
				resource.TestCheckResourceAttr("data.gossip_member.db", "endpoint", loner.GossipAddr()),
				resource.TestCheckResourceAttr("gossip_event.deploy", "fired_by", "db-1"),
				heard("v1"),
			),
		},
		resource.TestStep{Config: config("v1"), PlanOnly: true},
		resource.TestStep{
			Config:           config("v2"),
			ConfigPlanChecks: planned(plancheck.ResourceActionReplace, "gossip_event.deploy"),
			Check:            heard("v2"),
		},
	)
	agenttest.WaitMembers(t, cluster[0], 1, "left")
}

// Our agents do what stock Serf cannot: receipts, the primary key, and a view that says how far to trust it.
func TestAccGossipAgentsMore(t *testing.T) {
	t.Parallel()
	cluster := agenttest.Cluster(t, "web", 2, func(_ int, cfg *agent.Config) {
		cfg.Tags = map[string]string{"svc:web": "8080,w=50"}
		cfg.EncryptKey = oldKey
		cfg.EventHandlers = []string{"user:deploy=true", "query:deployed=printf ok"}
	})
	config := func(version string) string {
		return fmt.Sprintf(`
provider "gossip" {
  address = %q
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
resource "gossip_event" "deploy" {
  name     = "deploy"
  triggers = { version = %q }
  wait     = { timeout = "1m" }
  gate     = { query = "deployed", query_timeout = "1m" }
}
data "gossip_service" "web" {
  name  = "web"
  wait  = { min = 2 }
  guard = { max_view_age = "1h" }
}
data "gossip_agent" "this" {}
`, cluster[0].RPCAddr(), map[string]string{"1": firstKey, "2": secondKey}[version], version, version)
	}
	apply(t,
		resource.TestStep{
			Config: config("1"),
			Check: resource.ComposeAggregateTestCheckFunc(
				resource.TestCheckResourceAttr("data.gossip_keyring.r", "primary_id", fingerprint(t, firstKey)),
				resource.TestCheckResourceAttr("data.gossip_keyring.r", "nodes", "2"),
				resource.TestCheckResourceAttr("data.gossip_keyring.r", "consistent", "true"),
				resource.TestCheckResourceAttr("gossip_event.deploy", "receipts.%", "2"),
				resource.TestCheckResourceAttr("gossip_event.deploy", "approved.#", "2"),
				resource.TestCheckResourceAttrSet("gossip_event.deploy", "lamport_time"),
				resource.TestCheckResourceAttr("data.gossip_service.web", "instances.1.weight", "50"),
				resource.TestCheckResourceAttr("data.gossip_agent.this", "features.#", "3"),
				notKept(firstKey, oldKey),
			),
		},
		resource.TestStep{Config: config("1"), PlanOnly: true},
		resource.TestStep{
			Config: config("2"),
			Check:  resource.TestCheckResourceAttr("data.gossip_keyring.r", "primary_id", fingerprint(t, secondKey)),
		},
		resource.TestStep{ // so that destroying may remove the key
			Config: strings.Replace(config("2"), "gossip_key.k.key_id", `"`+fingerprint(t, oldKey)+`"`, 1),
		},
	)
}

// A node that was away comes back without a key that was installed meanwhile, or that it did not keep: this is drift, which the
// next apply repairs in place.
func TestAccKeyReturningNode(t *testing.T) {
	t.Parallel()
	back := loopback.Addr(t)
	cluster := agenttest.Cluster(t, "web", 2, func(i int, cfg *agent.Config) {
		cfg.EncryptKey = oldKey
		if i == 1 {
			cfg.Bind = back
		}
	})
	ring := session.New(session.Config{Addrs: []string{cluster[0].RPCAddr()}, Timeout: time.Minute})
	config := fmt.Sprintf("provider \"gossip\" {\n  address = %q\n}\n", cluster[0].RPCAddr()) +
		"resource \"gossip_key\" \"k\" {\n  key_wo = \"" + firstKey + "\"\n  key_wo_version = 1\n}\n"
	everywhere := func(*terraform.State) error {
		have, err := ring.Keyring(t.Context())
		if err != nil || have.Nodes != 2 || have.Keys[fingerprint(t, firstKey)] != 2 {
			return errorf("the keyrings are %+v, %v, want the key on two nodes", have, err)
		}
		return nil
	}
	complete := resource.ComposeAggregateTestCheckFunc(everywhere, resource.TestCheckResourceAttr("gossip_key.k", "complete", "true"))
	apply(t,
		resource.TestStep{Config: config, Check: complete},
		resource.TestStep{
			PreConfig: func() {
				agenttest.Stop(t, cluster[1])
				again := agenttest.Start(t, "web-2", func(cfg *agent.Config) {
					cfg.EncryptKey = oldKey // and no keyring_file, which would have kept the other one
					cfg.Bind = back
					cfg.StartJoin = []string{cluster[0].GossipAddr()}
				})
				agenttest.WaitMembers(t, again, 2, "alive")
				agenttest.WaitMembers(t, cluster[0], 2, "alive")
			},
			Config: config, ConfigPlanChecks: planned(plancheck.ResourceActionUpdate, "gossip_key.k"), Check: complete,
		},
		resource.TestStep{Config: config, PlanOnly: true},
	)
}
