package endtoend

import (
	"fmt"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/agentfake"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/keyid"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/tftest"
)

// What there is already is taken over by import blocks: nothing is replaced, no key is touched, and the plan after it is empty.
// OpenTofu knows identities, which are used where it runs.
func TestImportBlocks(t *testing.T) {
	t.Parallel()
	const primary, key = "MDEyMzQ1Njc4OTAxMjM0NQ==", "AAECAwQFBgcICQoLDA0ODw=="
	agent := agentfake.New(t, "n1", "")
	agent.BecomeOurs()
	agent.SetMembers(agentfake.Member("n2", "10.0.0.2", 7946, "alive", nil))
	agent.SetTags(map[string]string{"role": "web", "dc": "east"})
	agent.SetKeys(2, primary, map[string]int{primary: 2, key: 2})
	fingerprint := func(key string) string {
		id, err := keyid.Of(key)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	w := tftest.NewWorkspace(t, provider, "GOSSIP_RPC_ADDR="+agent.Addr())
	byName := func(attribute, value string) string {
		if tftest.Require(t).Tofu {
			return fmt.Sprintf("identity = { %s = %q }", attribute, value)
		}
		return fmt.Sprintf("id = %q", value)
	}
	w.Write(t, "main.tf", source+fmt.Sprintf(`
import {
  to = gossip_key.k
  %s
}
import {
  to = gossip_join.j
  %s
}
import {
  to = gossip_tags.t
  id = "n1:role"
}
import {
  to = gossip_primary_key.p
  id = "primary"
}
resource "gossip_key" "k" {
  key_wo         = %q
  key_wo_version = 1
}
resource "gossip_join" "j" {
  peers = ["10.0.0.2:7946"]
}
resource "gossip_tags" "t" {
  tags = { role = "web" }
}
resource "gossip_primary_key" "p" {
  key_id = %q
}
`, byName("key_id", fingerprint(key)), byName("node", "n1"), key, fingerprint(primary)))
	w.Run(t, "init")
	if out := w.Run(t, "apply", "-auto-approve"); !strings.Contains(out, "4 imported, 0 added, 2 changed, 0 destroyed") {
		t.Errorf("apply printed:\n%s", out)
	}
	w.Run(t, "plan", "-detailed-exitcode") // fails if there is any change
	if changes, joins := agent.KeyChanges(), agent.Calls(api.CommandJoin); len(changes) != 0 || joins != 1 {
		t.Errorf("keys were changed: %v; the agent joined %d times, want once, as an import knows no peers", changes, joins)
	}
}
