// Package archtest holds the rules of who may import whom as tests, each with its reason.
package archtest

import (
	"os/exec"
	"strings"
	"testing"
)

const (
	suite  = "github.com/seed-645ce708/gossip/"
	module = suite + "lbsync/"
)

// imports returns the packages that each package of the module imports itself.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		all[strings.TrimPrefix(words[0], module)] = words[1:]
	}
	if len(all) < 10 {
		t.Fatalf("go list finds only %d packages", len(all))
	}
	return all
}

func TestImports(t *testing.T) {
	t.Parallel()
	all := imports(t)
	for pkg, list := range all {
		for _, imp := range list {
			sibling, ours := strings.CutPrefix(imp, suite)
			if ours && !strings.HasPrefix(imp, module) {
				switch sibling {
				case "agent/client":
					// The type of the view may be named where it is received.
					if pkg != "internal/source" && pkg != "internal/reconcile" {
						t.Errorf("%s imports %s: only internal/source speaks with an agent", pkg, imp)
					}
				case "agent/api", "agent/guard", "agent/service":
				case "agent/agenttest/loopback":
					if pkg != "internal/lbtest" {
						t.Errorf("%s imports %s: it is for tests only", pkg, imp)
					}
				default:
					t.Errorf("%s imports %s: lbsync knows an agent by its client, the wire types, services and guard alone", pkg, imp)
				}
			}
			if strings.Contains(imp, "hashicorp/hcl") && pkg != "internal/config" {
				t.Errorf("%s imports %s: the form of the configuration is internal/config's own affair", pkg, imp)
			}
			if strings.Contains(imp, "/cmd/") {
				t.Errorf("%s imports %s: nothing imports a command", pkg, imp)
			}
			if imp == module+"internal/lbtest" {
				t.Errorf("%s imports %s: it is for tests only", pkg, imp)
			}
		}
	}
	pure := map[string]string{
		"internal/desired":  "what members ask for is worked out without I/O, so that it can be tabled and fuzzed",
		"internal/decide":   "decisions take time and views as arguments, so that histories can be replayed",
		"internal/debounce": "time is an argument",
		"internal/pool":     "it is plain data",
		"internal/instance": "a state machine is tabled and replayed",
		"internal/override": "time is an argument",
		"internal/budget":   "time is an argument",
		"internal/udiff":    "a comparison of texts",
	}
	for pkg, why := range pure {
		for _, imp := range all[pkg] {
			switch imp {
			case "os", "os/exec", "net", "net/http", "log/slog", "math/rand", "math/rand/v2", "context":
				t.Errorf("%s imports %s: %s", pkg, imp, why)
			}
		}
	}
	known := map[string]bool{"internal/haproxy": true, "internal/nginx": true, "internal/twemproxy": true}
	for pkg := range known {
		for _, imp := range all[pkg] {
			other := strings.TrimPrefix(imp, module)
			switch other {
			case "internal/target", "internal/reconcile", "internal/record", "internal/source", "internal/decide", "internal/desired":
				t.Errorf("%s imports %s: an adapter knows the model and the seam, nothing of the core", pkg, imp)
			}
			if known[other] {
				t.Errorf("%s imports %s: an adapter knows nothing of other balancers", pkg, imp)
			}
		}
	}
	for _, pkg := range []string{"internal/target", "internal/reconcile", "internal/decide", "internal/render"} {
		for _, imp := range all[pkg] {
			if known[strings.TrimPrefix(imp, module)] {
				t.Errorf("%s imports %s: only internal/adapters chooses; the core speaks with the seam", pkg, imp)
			}
		}
	}
}

func TestSmallTree(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", module+"cmd/gossip-lbsync").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		for _, unwanted := range []string{"hashicorp/memberlist", "miekg/dns", "hashicorp/serf"} {
			if strings.Contains(line, unwanted) {
				t.Errorf("gossip-lbsync contains %s: a client of an agent stays light", strings.TrimSpace(line))
			}
		}
	}
}
