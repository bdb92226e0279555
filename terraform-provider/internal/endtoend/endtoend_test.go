// Package endtoend runs Terraform against the provider as users have it: built, found in a filesystem mirror,
// and started by Terraform itself. It also runs the tests of the Terraform modules in modules/.
package endtoend

import (
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/agentfake"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/tftest"
)

// provider is the path of the built provider.
var provider string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "gossip-endtoend-")
	if err != nil {
		log.Fatal(err)
	}
	if provider, err = tftest.Build(dir); err != nil {
		log.Fatal(err)
	}
	code := m.Run()
	_ = os.RemoveAll(dir) // in the system's temporary folder
	os.Exit(code)
}

// modules is the folder of Terraform modules, seen from this package.
const modules = "../../../modules"

const deploy = `
terraform {
  required_providers {
    gossip = {
      source = "seed-645ce708/gossip"
    }
  }
}
variable "release" {
  type = string
}
resource "gossip_join" "this" {
  peers = ["10.0.0.2:7946"]
  wait  = { min = 2 }
}
data "gossip_members" "all" {
  depends_on = [gossip_join.this]
}
resource "gossip_event" "deploy" {
  name    = "deploy"
  payload = var.release
}
output "members" {
  value = data.gossip_members.all.names
}
`

func TestLifeOfAConfiguration(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "open-sesame")
	w := tftest.NewWorkspace(t, provider, "GOSSIP_RPC_ADDR="+agent.Addr(), "GOSSIP_RPC_AUTH=open-sesame")
	w.Write(t, "main.tf", deploy)
	w.Run(t, "init")
	w.Run(t, "validate")
	w.Run(t, "apply", "-auto-approve", "-var", "release=v1")
	if out := w.Run(t, "output", "-json", "members"); strings.TrimSpace(out) != `["n1","peer-10.0.0.2:7946"]` {
		t.Errorf("members are %s", out)
	}
	w.Run(t, "plan", "-detailed-exitcode", "-var", "release=v1") // fails if there is any change
	w.Run(t, "apply", "-auto-approve", "-var", "release=v2")
	w.Run(t, "apply", "-auto-approve", "-var", "release=v2", "-replace=gossip_event.deploy")
	agent.Stop()
	// With the agent down a data source cannot be read, so the state is taken as it is.
	w.Run(t, "destroy", "-auto-approve", "-refresh=false", "-var", "release=v2")
	var got []string
	for _, e := range agent.Events() {
		got = append(got, e.Name+" "+string(e.Payload))
	}
	if want := "deploy v1, deploy v2, deploy v2"; strings.Join(got, ", ") != want {
		t.Errorf("events fired are %q, want %q", got, want)
	}
}

// A module's own tests: those that mock the provider.
func TestModules(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(modules)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) == 0 {
		t.Fatalf("there is no module in %s", modules)
	}
	for _, e := range entries {
		t.Run(e.Name(), func(t *testing.T) {
			t.Parallel()
			w := tftest.NewWorkspace(t, provider)
			if err := os.CopyFS(w.Dir, os.DirFS(filepath.Join(modules, e.Name()))); err != nil {
				t.Fatal(err)
			}
			for _, file := range []string{"README.md", "main.tf", "outputs.tf", "variables.tf", "versions.tf"} {
				if _, err := os.Stat(filepath.Join(w.Dir, file)); err != nil {
					t.Errorf("the module lacks %s", file)
				}
			}
			w.Run(t, "fmt", "-check", "-diff", "-recursive")
			w.Run(t, "init")
			w.Run(t, "validate")
			w.Run(t, "test", "-filter=tests/mocked.tftest.hcl")
		})
	}
}

// The module's tests against an agent, with the provider that Terraform starts.
func TestClusterJoinForReal(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	w := tftest.NewWorkspace(t, provider, "GOSSIP_RPC_ADDR="+agent.Addr(), `TF_VAR_peers=["10.0.0.2:7946"]`)
	if err := os.CopyFS(w.Dir, os.DirFS(filepath.Join(modules, "cluster-join"))); err != nil {
		t.Fatal(err)
	}
	w.Run(t, "init")
	out := w.Run(t, "test", "-filter=tests/real.tftest.hcl")
	if !strings.Contains(out, "2 passed, 0 failed") {
		t.Errorf("terraform test printed:\n%s", out)
	}
	if agent.Left() {
		t.Error("the clean-up of the test made the agent leave")
	}
}

// The way of developers: no mirror, no init.
func TestDevOverrides(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	w := tftest.NewWorkspace(t, provider, "GOSSIP_RPC_ADDR="+agent.Addr())
	w.UseDevOverrides(t)
	w.Write(t, "main.tf", deploy)
	out := w.Run(t, "apply", "-auto-approve", "-var", "release=v1") // without init
	if !strings.Contains(out, "Apply complete!") || len(agent.Events()) != 1 {
		t.Errorf("%d events were fired, want 1; apply printed:\n%s", len(agent.Events()), out)
	}
}

// A resource for each member, which by_name is for.
func TestForEachMember(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	agent.SetMembers(agentfake.Member("n2", "10.0.0.2", 7946, "alive", nil))
	w := tftest.NewWorkspace(t, provider, "GOSSIP_RPC_ADDR="+agent.Addr())
	w.Write(t, "main.tf", source+`
data "gossip_members" "all" {}
resource "terraform_data" "each" {
  for_each = data.gossip_members.all.by_name
  input    = "${each.value.address}:${each.value.port}"
}
output "made" {
  value = { for name, made in terraform_data.each : name => made.output }
}
`)
	w.Run(t, "init")
	w.Run(t, "apply", "-auto-approve")
	w.Run(t, "plan", "-detailed-exitcode") // fails if there is any change
	if out := w.Run(t, "output", "-json", "made"); strings.TrimSpace(out) != `{"n1":"127.0.0.1:7946","n2":"10.0.0.2:7946"}` {
		t.Errorf("made %s", out)
	}
	agent.SetMembers()
	if out := w.Run(t, "apply", "-auto-approve"); !strings.Contains(out, "0 added, 0 changed, 1 destroyed") {
		t.Errorf("with a member gone, apply printed:\n%s", out)
	}
}
