package examples_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/examples/internal/harness"
)

// TestTurns has balancers of a group, each beside an agent of its own, that all want to reload for the same changes: no more than
// at_once do so at a time, and each of them once for each change. Agents of Serf carry their questions as ours do.
func TestTurns(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		agents            string
		atOnce, balancers int
	}{
		{"gossip", 1, 4},
		{"gossip", 2, 4},
		{"serf", 1, 3},
	} {
		t.Run(fmt.Sprintf("%s at_once=%d", tt.agents, tt.atOnce), func(t *testing.T) {
			t.Parallel()
			program := "" // ours
			if tt.agents == "serf" {
				program = need(t, "serf")
			}
			turns(t, program, tt.atOnce, tt.balancers)
		})
	}
}

func turns(t *testing.T, program string, atOnce, balancers int) {
	t.Helper()
	ctx, s := within(t), stage(t)
	web := startAgent(ctx, t, s, harness.AgentConfig{Name: "web", Args: []string{"-tag=role=web", "-tag=port=1000"}})
	// Reloads that are under way are folders. Who finds more of them than allowed says so; whoever might have come too early is
	// still there when the next one looks.
	script := must(s.Write("reload.sh", fmt.Sprintf(`cd %q
mkdir -p busy && mkdir "busy/$$" || exit 1
[ "$(ls busy | wc -l)" -le %d ] || echo clash >>clashes
sleep 0.3
[ "$(ls busy | wc -l)" -le %d ] || echo clash >>clashes
rmdir "busy/$$"
echo "$1" >>reloads
`, s.Dir, atOnce, atOnce)))(t)
	must(s.Write("list.tmpl", "{{range .Services.web.Servers}}{{.HostPort}}\n{{end}}"))(t)
	// Before all of them listen nobody can be asked, and who starts alone does not wait. So each has loaded its file before the
	// next is there, and is there for a question.
	var agents []*harness.Agent
	for i := range balancers {
		name := fmt.Sprint("lb-", i+1)
		a := startAgent(ctx, t, s, harness.AgentConfig{Name: name, Program: program, Args: []string{"-join=" + web.Gossip}})
		agents = append(agents, a)
		must(s.Write(name+"/lbsync.hcl", fmt.Sprintf(`
state_dir = "state"
source "gossip" {
  address = %q
  settle  = "0s"
}
service "web" {
  endpoint { allow_loopback = true }
  wait { add = "0s" }
}
target "template" "list" {
  services = ["web"]
  file {
    template = "../list.tmpl"
    dest     = "list"
  }
  reload {
    command      = ["sh", %q, %q]
    min_interval = "10ms"
    group        = "edge"
    at_once      = %d
    patience     = "5m"
  }
}
`, a.RPC, script, name, atOnce)))(t)
	}
	for _, a := range agents {
		for _, b := range agents {
			sees(ctx, t, a, b.Name, "alive")
		}
		sees(ctx, t, a, "web", "alive")
	}
	for i, a := range agents {
		must(s.Start(a.Name+"-lbsync", "gossip-lbsync", "run", "-config", a.Name+"/lbsync.hcl"))(t)
		eventually(ctx, t, func() error {
			if n := len(lines(s.Path("reloads"))); n <= i {
				return fmt.Errorf("%d have reloaded", n)
			}
			return nil
		})
	}
	// A stream of queries is there as soon as it is heard; who asks every member finds out.
	eventually(ctx, t, func() error {
		out, err := web.Must(ctx, "query", "-timeout=1s", "lbsync-permit", `{"g":"edge","i":"test","n":"template/test","t":0}`)
		if n := strings.Count(out, "Response from"); err == nil && n < balancers {
			err = fmt.Errorf("%d of %d balancers answer: %s", n, balancers, out)
		}
		return err
	})
	before := len(lines(s.Path("reloads")))
	const rounds = 2
	for round := 1; round <= rounds; round++ {
		must(web.Must(ctx, "tags", "-set", fmt.Sprintf("port=%d", 1000+round)))(t)
		eventually(ctx, t, func() error {
			for _, a := range agents {
				want := fmt.Sprintf("%s:%d\n", harness.Host(web.Gossip), 1000+round)
				if got, err := os.ReadFile(s.Path(a.Name + "/list")); err != nil || string(got) != want {
					return fmt.Errorf("%s has %q, not yet %q: %v", a.Name, got, want, err)
				}
			}
			if n := len(lines(s.Path("reloads"))) - before; n < round*balancers {
				return fmt.Errorf("round %d: %d reloads", round, n)
			}
			return nil
		})
	}
	if n := len(lines(s.Path("clashes"))); n > 0 {
		t.Errorf("%d reloads found more than %d under way", n, atOnce)
	}
	if n := len(lines(s.Path("reloads"))) - before; n != rounds*balancers {
		t.Errorf("%d reloads for %d changes at %d balancers", n, rounds, balancers)
	}
}
