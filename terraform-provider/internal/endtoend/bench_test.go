package endtoend

import (
	"fmt"
	"testing"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/agentfake"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/tftest"
)

// BenchmarkPlan measures a whole `terraform plan` that reads a cluster, the program's and the provider's start included, and
// the memory of the largest process in it.
func BenchmarkPlan(b *testing.B) {
	for _, n := range []int{3, 1000} {
		b.Run(fmt.Sprintf("members=%d", n), func(b *testing.B) {
			agent := agentfake.New(b, "n1", "")
			var others []api.Member
			for i := range n - 1 {
				others = append(others, agentfake.Member(fmt.Sprintf("web-%03d", i), fmt.Sprintf("10.0.%d.%d", i/250, i%250+1), 7946, "alive",
					map[string]string{"role": "web", "port": "8080", "dc": "east", "release": "2026.11.1"}))
			}
			agent.SetMembers(others...)
			w := tftest.NewWorkspace(b, provider, "GOSSIP_RPC_ADDR="+agent.Addr())
			w.Write(b, "main.tf", source+"data \"gossip_members\" \"all\" {}\noutput \"total\" {\n  value = data.gossip_members.all.total\n}\n")
			w.Run(b, "init")
			var peak int64
			for b.Loop() {
				peak = max(peak, w.Measure(b, "plan"))
			}
			b.ReportMetric(float64(peak)/(1<<20), "MiB/process")
		})
	}
}
