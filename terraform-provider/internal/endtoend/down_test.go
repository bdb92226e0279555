package endtoend

import (
	"fmt"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/agentfake"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/tftest"
)

// What needs the agent, and what does not, is as the table in docs/terraform.md says.
func TestAgentDown(t *testing.T) {
	t.Parallel()
	const primary = "MDEyMzQ1Njc4OTAxMjM0NQ=="
	agent := agentfake.New(t, "n1", "")
	agent.BecomeOurs()
	agent.SetKeys(2, primary, map[string]int{primary: 2})
	agent.Answer(func(api.QueryRequest) map[string]string {
		return map[string]string{"n1": "ok", "peer-10.0.0.2:7946": "ok"}
	})
	w := tftest.NewWorkspace(t, provider)
	provide := fmt.Sprintf("address = %q\n  retry   = { max = 0 }", agent.Addr())
	w.Write(t, "main.tf", strings.Replace(everything, `address = "127.0.0.1:1"`, provide, 1)+"data \"gossip_members\" \"m\" {}\n")
	w.Run(t, "init")
	w.Run(t, "apply", "-auto-approve")
	agent.Stop()

	// Each is tried by itself, what needs less first: what was destroyed is there no more.
	const refresh, asItIs = "-refresh=true", "-refresh=false"
	for _, tt := range []struct {
		resource, command, option string
		want                      string // part of the error; "" if it works
	}{
		{"data.gossip_members.m", "plan", refresh, "Check that the agent runs"},
		{"data.gossip_members.m", "plan", asItIs, "Check that the agent runs"},
		{"gossip_key.k", "plan", refresh, "Check that the agent runs"},
		{"gossip_key.k", "destroy", asItIs, "Check that the agent runs"},
		{"gossip_tags.t", "plan", refresh, "Check that the agent runs"},
		{"gossip_tags.t", "destroy", asItIs, "Check that the agent runs"},
		{"gossip_primary_key.p", "plan", refresh, "Check that the agent runs"},
		{"gossip_primary_key.p", "plan", asItIs, ""},
		{"gossip_primary_key.p", "destroy", refresh, "Check that the agent runs"},
		{"gossip_primary_key.p", "destroy", asItIs, ""},
		{"gossip_event.e", "plan", refresh, ""},
		{"gossip_event.e", "destroy", refresh, ""},
		{"gossip_query.q", "plan", refresh, ""},
		{"gossip_query.q", "destroy", refresh, ""},
		{"gossip_barrier.b", "plan", refresh, ""},
		{"gossip_barrier.b", "destroy", refresh, ""},
		{"gossip_join.j", "plan", refresh, ""},
		{"gossip_join.j", "destroy", refresh, ""},
	} {
		args := []string{tt.command, tt.option, "-target=" + tt.resource}
		if tt.command == "destroy" {
			args = append(args, "-auto-approve")
		}
		out, err := w.Try(t, args...)
		if plain := strings.Join(strings.Fields(strings.ReplaceAll(out, "│", "")), " "); (err == nil) != (tt.want == "") || !strings.Contains(plain, tt.want) {
			t.Errorf("%s ended with %v, want %q:\n%s", strings.Join(args, " "), err, tt.want, out)
		}
	}
	if left := strings.Fields(w.Run(t, "state", "list")); strings.Join(left, " ") != "data.gossip_members.m gossip_key.k gossip_tags.t" {
		t.Errorf("what is left is %q", left)
	}
}
