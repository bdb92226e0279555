package endtoend

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/agent"
	"github.com/seed-645ce708/gossip/agent/agenttest"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/tftest"
)

var freeze = flag.Bool("freeze", false, "write the state of this version to testdata, for a release")

// everything has each resource once.
const everything = source + `
provider "gossip" {
  address = "127.0.0.1:1"
}
resource "gossip_join" "j" {
  peers    = ["10.0.0.2:7946"]
  wait     = { min = 2 }
  triggers = { boot = "1" }
}
resource "gossip_event" "e" {
  name     = "deploy"
  payload  = "v1"
  triggers = { a = "1" }
  gate     = { query = "deployed" }
}
resource "gossip_query" "q" {
  name = "deployed"
}
resource "gossip_barrier" "b" {
  min_alive = 1
}
resource "gossip_tags" "t" {
  tags = { role = "web" }
}
resource "gossip_key" "k" {
  key_wo         = "AAECAwQFBgcICQoLDA0ODw=="
  key_wo_version = 1
  lifecycle {
    create_before_destroy = true
  }
}
resource "gossip_primary_key" "p" {
  key_id = gossip_key.k.key_id
}
`

// Every state that an earlier version left behind is read, and a plan of the same configuration changes nothing.
func TestFrozenStates(t *testing.T) {
	t.Parallel()
	binary := tftest.Require(t)
	if *freeze {
		freezeState(t)
	}
	states, err := filepath.Glob("testdata/state-*.json")
	if err != nil || len(states) == 0 {
		t.Fatal("there is no frozen state", err)
	}
	for _, file := range states {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			w := tftest.NewWorkspace(t, provider)
			w.Write(t, "main.tf", everything)
			w.Write(t, "terraform.tfstate", strings.ReplaceAll(string(text), "registry.terraform.io", binary.Host()))
			w.Run(t, "init")
			if out := w.Run(t, "plan", "-refresh=false", "-detailed-exitcode"); !strings.Contains(out, "No changes") { // fails if there is any change
				t.Errorf("the plan says:\n%s", out)
			}
		})
	}
}

// freezeState applies the configuration to an agent and keeps the state.
func freezeState(t *testing.T) {
	t.Helper()
	settings := func(cfg *agent.Config) {
		cfg.EncryptKey = "MDEyMzQ1Njc4OTAxMjM0NQ=="
		cfg.EventHandlers = []string{"query:deployed=printf ok"}
	}
	node, peer := agenttest.Start(t, "n1", settings), agenttest.Start(t, "n2", settings)
	w := tftest.NewWorkspace(t, provider)
	w.Write(t, "main.tf", strings.NewReplacer("127.0.0.1:1", node.RPCAddr(), "10.0.0.2:7946", peer.GossipAddr()).Replace(everything))
	w.Run(t, "init")
	w.Run(t, "apply", "-auto-approve")
	text, err := os.ReadFile(filepath.Join(w.Dir, "terraform.tfstate"))
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`[^0-9]`).ReplaceAllString(tftest.Version, "-")
	if err := os.WriteFile(filepath.Join("testdata", "state-"+version+".json"), bytes.ReplaceAll(text, []byte(peer.GossipAddr()), []byte("10.0.0.2:7946")), 0o644); err != nil {
		t.Fatal(err)
	}
}
