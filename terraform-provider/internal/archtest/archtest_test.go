// Package archtest holds the rules of who may import whom in this module, each with its reason, as tests.
package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const (
	module = "github.com/seed-645ce708/gossip/terraform-provider"
	agent  = "github.com/seed-645ce708/gossip/agent"
)

type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

// list returns the packages that match, without their tests.
func list(t *testing.T, patterns ...string) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Imports,Deps"}, patterns...)...)
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal("go list:", err)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

// in reports whether path is pkg or lies below it.
func in(path, pkg string) bool { return path == pkg || strings.HasPrefix(path, pkg+"/") }

// A provider is a client: what an agent is made of does not belong into it.
func TestProviderIsAClient(t *testing.T) {
	t.Parallel()
	forbidden := map[string]string{
		"github.com/hashicorp/memberlist":               "the provider asks an agent and gossips with nobody",
		"github.com/miekg/dns":                          "the provider answers no DNS",
		"github.com/seed-645ce708/gossip/dnsserver":     "the provider answers no DNS",
		"github.com/seed-645ce708/gossip/lbsync":        "siblings know each other by their programs only",
		"github.com/hashicorp/terraform-plugin-sdk":     "the plugin framework is what this provider is built on, alone",
		module + "/internal/agentfake":                  "it is for tests",
		module + "/internal/tftest":                     "it is for tests",
		"github.com/hashicorp/terraform-plugin-testing": "it is for tests",
	}
	for _, dep := range list(t, module)[0].Deps {
		for path, reason := range forbidden {
			if in(dep, path) {
				t.Errorf("the provider depends on %s: %s", dep, reason)
			}
		}
	}
}

// Of the agent, only what is public and small.
func TestImportsFromAgent(t *testing.T) {
	t.Parallel()
	allowed := []string{agent + "/api", agent + "/client", agent + "/guard", agent + "/service"}
	for _, p := range list(t, module+"/...") {
		for _, path := range p.Imports {
			if path == agent+"/agenttest/loopback" && p.ImportPath == module+"/internal/agentfake" {
				continue // a test double
			}
			if in(path, agent) && !slices.Contains(allowed, path) {
				t.Errorf("%s imports %s; of the agent only %v are for others", p.ImportPath, path, allowed)
			}
		}
	}
}

// One way: provider to session to membership to again.
func TestOneWay(t *testing.T) {
	t.Parallel()
	rules := []struct{ pkg, target, reason string }{
		{"internal/again", module, "it is the loop alone"},
		{"internal/membership", "github.com/hashicorp/terraform-plugin-framework", "what is made of members has nothing to do with Terraform"},
		{"internal/membership", agent + "/client", "it is given views and fetches none"},
		{"internal/membership", module + "/internal/session", "session imports it, not the other way round"},
		{"internal/session", "github.com/hashicorp/terraform-plugin-framework", "it knows nothing of Terraform but its log"},
		{"internal/session", module + "/internal/provider", "provider imports it, not the other way round"},
		{"internal/provider", agent + "/client", "session is the only one that asks agents"},
	}
	for _, r := range rules {
		for _, p := range list(t, module+"/"+r.pkg) {
			for _, path := range p.Imports {
				if in(path, r.target) {
					t.Errorf("%s imports %s: %s", r.pkg, path, r.reason)
				}
			}
		}
	}
}
