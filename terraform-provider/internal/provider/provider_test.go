package provider

import (
	"fmt"
	"log"
	"os"
	"regexp"
	"testing"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/tfversion"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/agentfake"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/tftest"
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "gossip-provider-test-")
	if err != nil {
		log.Fatal(err)
	}
	if err := tftest.UseInProcess(dir); err != nil {
		log.Fatal(err)
	}
	for _, name := range []string{envAddress, envToken} { // what the developer's shell says must not matter
		if err := os.Unsetenv(name); err != nil {
			log.Fatal(err)
		}
	}
	code := m.Run()
	_ = os.RemoveAll(dir) // in the system's temporary folder
	os.Exit(code)
}

var factories = map[string]func() (tfprotov6.ProviderServer, error){
	"gossip": providerserver.NewProtocol6WithError(New("test")()),
}

// apply runs steps of a real Terraform against the provider in this process.
func apply(t *testing.T, steps ...resource.TestStep) {
	t.Helper()
	tftest.Require(t)
	resource.Test(t, resource.TestCase{ProtoV6ProviderFactories: factories, Steps: steps})
}

// applyFrom is apply for what needs a version of Terraform.
func applyFrom(t *testing.T, least *version.Version, steps ...resource.TestStep) {
	t.Helper()
	tftest.Require(t)
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories, Steps: steps,
		TerraformVersionChecks: []tfversion.TerraformVersionCheck{tfversion.SkipBelow(least)},
	})
}

// sayingAnyCase is saying for texts that may have become the beginning of a sentence.
func sayingAnyCase(text string) *regexp.Regexp {
	return regexp.MustCompile("(?i)" + saying(text).String())
}

// provided puts a provider block for the agent before the configuration. Retries are off, so that failures
// are quick.
func provided(agent *agentfake.Agent, config string) string {
	return fmt.Sprintf("provider \"gossip\" {\n  address = %q\n  retry = { max = 0 }\n}\n%s", agent.Addr(), config)
}

// saying matches a text in an error, where Terraform breaks lines as it likes.
func saying(text string) *regexp.Regexp {
	words := regexp.MustCompile(`\s+`).ReplaceAllString(regexp.QuoteMeta(text), `[\s│]+`)
	return regexp.MustCompile(words)
}

const readMembers = `data "gossip_members" "all" {}`

func TestAccProviderRefusesArguments(t *testing.T) {
	t.Parallel()
	agentfake.New(t, "n1", "")
	tests := map[string]struct{ block, want string }{
		"both addresses":  {`address = "127.0.0.1:1" addresses = ["127.0.0.1:2"]`, "cannot be configured together"},
		"no port":         {`address = "localhost"`, "is not host:port"},
		"unknown scheme":  {`address = "http://127.0.0.1:1"`, "unknown scheme"},
		"relative socket": {`address = "unix://gossip.sock"`, "must be absolute"},
		"both tokens":     {`token = "a" token_file = "b"`, "cannot be configured together"},
		"no token file":   {`token_file = "/nowhere/token"`, "file with the token cannot be read"},
		"bad timeout":     {`request_timeout = "soon"`, "not a duration"},
		"too many tries":  {`retry = { max = 1000 }`, "between 0 and 100"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			block := regexp.MustCompile(`" (\w+ =)|\] (\w+ =)`).ReplaceAllString(tt.block, "\"\n$1$2")
			apply(t,
				resource.TestStep{Config: "provider \"gossip\" {\n" + block + "\n}\n" + readMembers, PlanOnly: true, ExpectError: saying(tt.want)},
			)
		})
	}
}

func TestAccProviderUnreachable(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	agent.Stop()
	apply(t, resource.TestStep{
		Config:      provided(agent, readMembers),
		ExpectError: saying("Check that the agent runs"),
	})
}

func TestAccProviderToken(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "open-sesame")
	file := t.TempDir() + "/token"
	if err := os.WriteFile(file, []byte("open-sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	with := func(attribute string) string {
		return fmt.Sprintf("provider \"gossip\" {\n  address = %q\n  %s\n}\n%s", agent.Addr(), attribute, readMembers)
	}
	check := resource.TestCheckResourceAttr("data.gossip_members.all", "total", "1")
	apply(t,
		resource.TestStep{Config: with(""), ExpectError: saying("Set `token` in the provider block")},
		resource.TestStep{Config: with(`token = "wrong"`), ExpectError: saying("Set `token` in the provider block")},
		resource.TestStep{Config: with(`token = "open-sesame"`), Check: check},
		resource.TestStep{Config: with(fmt.Sprintf("token_file = %q", file)), Check: check},
	)
}

func TestAccProviderEnvironment(t *testing.T) { // not parallel: it sets the environment
	agent, other := agentfake.New(t, "n1", "open-sesame"), agentfake.New(t, "n2", "")
	t.Setenv(envAddress, agent.Addr())
	t.Setenv(envToken, "open-sesame")
	apply(t,
		resource.TestStep{
			Config: readMembers,
			Check:  resource.TestCheckResourceAttr("data.gossip_members.all", "observer", "n1"),
		},
		resource.TestStep{
			Config: fmt.Sprintf("provider \"gossip\" {\n  address = %q\n  token = \"\"\n}\n%s", "tcp://"+other.Addr(), readMembers),
			Check:  resource.TestCheckResourceAttr("data.gossip_members.all", "observer", "n2"),
		},
	)
	t.Setenv(envAddress, "nonsense")
	apply(t, resource.TestStep{Config: readMembers, ExpectError: saying("It comes from the environment variable GOSSIP_RPC_ADDR")})
}

func TestAccProviderSeveralAddresses(t *testing.T) {
	t.Parallel()
	gone, agent := agentfake.New(t, "n1", ""), agentfake.New(t, "n2", "")
	gone.Stop()
	apply(t, resource.TestStep{
		Config: fmt.Sprintf("provider \"gossip\" {\n  addresses = [%q, %q]\n}\n%s", gone.Addr(), agent.Addr(), readMembers),
		Check:  resource.TestCheckResourceAttr("data.gossip_members.all", "observer", "n2"),
	})
}

// The address comes from a resource of the same run: resources plan, and a data source says what to do.
func TestAccProviderUnknownAddress(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	config := fmt.Sprintf(`
resource "terraform_data" "agent" {
  input = %q
}
provider "gossip" {
  address = terraform_data.agent.output
}
`, agent.Addr())
	apply(t,
		resource.TestStep{Config: config + readMembers, ExpectError: saying("address is not known yet")},
		resource.TestStep{
			Config: config + "resource \"gossip_event\" \"e\" {\n  name = \"deploy\"\n}\n",
			Check:  resource.TestCheckResourceAttr("gossip_event.e", "fired_by", "n1"),
		},
	)
}

// A run that asks nothing of an agent needs none.
func TestAccProviderDialsNobodyUnasked(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	apply(t, resource.TestStep{Config: provided(agent, "resource \"terraform_data\" \"x\" {}\n")})
	if n := agent.Calls("handshake"); n != 0 {
		t.Errorf("the agent was dialled %d times, want never", n)
	}
}
