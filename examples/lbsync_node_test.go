package examples_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/seed-645ce708/gossip/examples/internal/harness"
)

// TestTemplateKnowsItsNode fills a template with what the agent that is followed says of itself, and goes on with that when
// gossip-lbsync is started again and the agent is gone. Agents of gossip and of Serf tell alike.
func TestTemplateKnowsItsNode(t *testing.T) {
	t.Parallel()
	for name, program := range map[string]func(*testing.T) string{
		"gossip": func(*testing.T) string { return "" },
		"serf":   func(t *testing.T) string { return need(t, "serf") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, s := within(t), stage(t)
			lb := startAgent(ctx, t, s, harness.AgentConfig{Name: "lb-1", Program: program(t), Args: []string{"-tag=zone=eu", "-tag=role=web", "-tag=port=80"}})
			must(s.Write("node.tmpl", "{{.Node.Name}} {{.Node.Addr}} {{.Node.Zone}}\n{{range .Services.web.Servers}}{{.Name}}\n{{end}}"))(t)
			must(s.Write("lbsync.hcl", fmt.Sprintf(`
state_dir = "state"
source "gossip" {
  address = %q
  settle  = "0s"
  resync  = "1s"
}
service "web" {
  endpoint { allow_loopback = true }
}
target "template" "node" {
  services = ["web"]
  file {
    template = "node.tmpl"
    dest     = "node.txt"
  }
}
`, lb.RPC)))(t)
			file := func(zone string) {
				t.Helper()
				want := fmt.Sprintf("lb-1 %s %s\nlb-1\n", harness.Host(lb.Gossip), zone)
				eventually(ctx, t, func() error {
					got, err := os.ReadFile(s.Path("node.txt"))
					if err == nil && string(got) != want {
						err = fmt.Errorf("the file is %q, not yet %q", got, want)
					}
					return err
				})
			}
			lbsync := must(s.Start("gossip-lbsync", "gossip-lbsync", "run", "-config", "lbsync.hcl"))(t)
			file("eu")
			must(lb.Must(ctx, "tags", "-set", "zone=us"))(t)
			file("us")

			lbsync.Stop()
			lb.Kill()
			if err := os.Remove(s.Path("node.txt")); err != nil {
				t.Fatal(err)
			}
			must(s.Start("gossip-lbsync", "gossip-lbsync", "run", "-config", "lbsync.hcl"))(t)
			file("us")
		})
	}
}
