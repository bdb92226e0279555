package agent_test

import (
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/agent"
	"github.com/seed-645ce708/gossip/agent/agenttest"
	"github.com/seed-645ce708/gossip/agent/api"
)

// levels puts the findings about one member on a line.
func levels(list []api.Finding) string {
	var out []string
	for _, f := range list {
		out = append(out, f.Check+"="+f.Level)
	}
	return strings.Join(out, " ")
}

func TestDoctorOfTheHealthy(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*agent.Config){
		"in the clear": func(cfg *agent.Config) { cfg.DNSAddr = "127.0.0.1:0" },
		"encrypted":    func(cfg *agent.Config) { cfg.EncryptKey, cfg.Profile = "MDEyMzQ1Njc4OWFiY2RlZg==", "lan" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agents := agenttest.Cluster(t, "h", 3, func(_ int, cfg *agent.Config) { change(cfg) })
			resp, err := agenttest.Dial(t, agents[0]).Doctor(t.Context(), "")
			if err != nil || !resp.Healthy || len(resp.Members) != 2 || len(resp.Verdict) != 1 {
				t.Fatalf("got %+v, %v", resp, err)
			}
			for _, m := range resp.Members {
				if got := levels(m.Findings); !strings.HasPrefix(got, "udp=ok tcp=ok size=ok clock=ok address=ok ") {
					t.Errorf("%s: %s: %+v", m.Node, got, m.Findings)
				}
			}
			if got := levels(resp.Local); !strings.Contains(got, "rpc=ok dns=ok") {
				t.Errorf("ourselves: %s", got)
			}
			if !strings.Contains(resp.Members[0].Findings[2].Text, "1472 bytes pass both ways") {
				t.Errorf("size: %+v", resp.Members[0].Findings[2])
			}
			if resp, err = agents[0].Doctor(t.Context(), "h-2"); err != nil || len(resp.Members) != 1 || resp.Members[0].Node != "h-2" {
				t.Errorf("one: got %+v, %v", resp, err)
			}
			if resp, err = agents[0].Doctor(t.Context(), "h-1"); err != nil || len(resp.Members) != 0 || !resp.Healthy {
				t.Errorf("itself: got %+v, %v", resp, err)
			}
			if _, err = agents[0].Doctor(t.Context(), "nobody"); err == nil || !strings.Contains(err.Error(), `no such member as "nobody"`) {
				t.Errorf("nobody: got %v", err)
			}
		})
	}
}

func TestDoctorOfTheDead(t *testing.T) {
	t.Parallel()
	agents := agenttest.Cluster(t, "x", 2, nil)
	agenttest.Stop(t, agents[1])
	resp, err := agents[0].Doctor(t.Context(), "x-2")
	if err != nil || resp.Healthy {
		t.Fatalf("got %+v, %v", resp, err)
	}
	if got := levels(resp.Members[0].Findings); got != "udp=fault tcp=fault" {
		t.Errorf("got %s", got)
	}
	if text := resp.Members[0].Findings[1].Text; !strings.Contains(text, "nobody listens on") {
		t.Errorf("got %q", text)
	}
}

func TestDoctorWithSerf(t *testing.T) {
	t.Parallel()
	resp, err := withSerf(t, nil).Doctor(t.Context(), "")
	if err != nil || len(resp.Members) != 1 || !resp.Members[0].Serf {
		t.Fatalf("got %+v, %v", resp, err)
	}
	if got := levels(resp.Members[0].Findings); got != "udp=ok tcp=ok query=ok" || !resp.Healthy {
		t.Errorf("got %s: %+v", got, resp)
	}
}
