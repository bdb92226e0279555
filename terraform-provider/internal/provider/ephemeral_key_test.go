package provider

import (
	"encoding/base64"
	"fmt"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-testing/echoprovider"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
	"github.com/hashicorp/terraform-plugin-testing/tfversion"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/keyid"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/tftest"
)

// What the ephemeral key is, as another provider gets it: of the length that was asked for, with its fingerprint, another
// each time, and without any agent.
func TestAccEphemeralKey(t *testing.T) {
	t.Parallel()
	tftest.Require(t)
	seen := map[string]bool{}
	step := func(name, arguments string, length int) resource.TestStep {
		return resource.TestStep{ // the echo is of another name in each, as it holds on to what it has
			Config: fmt.Sprintf(`
provider "gossip" {
  address = "127.0.0.1:1"
}
ephemeral "gossip_key" "new" {
  %s
}
provider "echo" {
  data = ephemeral.gossip_key.new
}
resource "echo" %q {}
`, arguments, name),
			Check: func(s *terraform.State) error {
				for _, r := range s.RootModule().Resources {
					key, id := r.Primary.Attributes["data.key"], r.Primary.Attributes["data.key_id"]
					if want, err := keyid.Of(key); err != nil || id != want {
						return errorf("the fingerprint is %q, want %q, %v", id, want, err)
					}
					if raw, err := base64.StdEncoding.DecodeString(key); err != nil || len(raw) != length {
						return errorf("the key has %d bytes, %v, want %d", len(raw), err, length)
					}
					if seen[key] {
						return errorf("the key was made before")
					}
					seen[key] = true
				}
				return nil
			},
		}
	}
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: map[string]func() (tfprotov6.ProviderServer, error){
			"gossip": factories["gossip"], "echo": echoprovider.NewProviderServer(),
		},
		TerraformVersionChecks: []tfversion.TerraformVersionCheck{tfversion.SkipBelow(tfversion.Version1_10_0)},
		Steps:                  []resource.TestStep{step("default", "", 32), step("short", "length = 16", 16), step("middle", "length = 24", 24), step("long", "length = 32", 32)},
	})
}
