// Package archtest holds the rules of who may import whom, each with its reason, as tests.
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

const module = "github.com/seed-645ce708/gossip/agent"

type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

// packages lists the module's packages without their tests.
func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", module+"/...")
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
			break
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
	if len(pkgs) < 10 {
		t.Fatalf("go list found only %d packages", len(pkgs))
	}
	return pkgs
}

// in reports whether path is pkg or lies below it.
func in(path, pkg string) bool { return path == pkg || strings.HasPrefix(path, pkg+"/") }

// TestOnlyImporters: some dependencies have one door.
func TestOnlyImporters(t *testing.T) {
	t.Parallel()
	rules := []struct {
		target string
		allow  []string // below the module
		reason string
	}{
		{"github.com/hashicorp/memberlist", []string{"internal/gossip", "internal/simnet"},
			"memberlist is behind one adapter, so that all rules stay in the pure state machine; simnet is the network beneath it in tests"},
		{"github.com/seed-645ce708/gossip/dnsserver", []string{"internal/dnsbridge", "internal/dnspath", "cmd/gossip"},
			"the zone is built in one place; the others use the small DNS client, keys and the zone as a file"},
		{"github.com/miekg/dns", []string{"internal/dnsbridge"},
			"miekg/dns will be replaced one day: it is behind one door"},
		{"github.com/hashicorp/mdns", []string{"internal/mdns"},
			"multicast DNS is behind one door"},
		{"text/template", []string{"internal/config"},
			"its evaluator looks up methods by name, so that the linker keeps every exported method, over a megabyte in each agent; config only parses"},
		{module + "/internal/telemetry", []string{"cmd/gossip"},
			"figures are the process's: a process may hold several agents"},
		{module + "/internal/state", []string{"internal/core", "internal/gossip", "internal/sim", ""},
			"readers read views: nobody else can reach the writer"},
		{module + "/internal/core", []string{""},
			"only the agent itself drives the core"},
		{module + "/internal/sim", []string{"internal/sim/cmd/simulate"}, "simulations are for tests and measurements"},
		{module + "/internal/simnet", nil, "simulations are for tests and measurements"},
		{module + "/cmd", nil, "nothing imports a command"},
		{module + "/agenttest", nil, "test doubles are imported by tests alone"},
	}
	pkgs := packages(t)
	for _, r := range rules {
		for _, p := range pkgs {
			if in(p.ImportPath, r.target) {
				continue
			}
			allowed := slices.ContainsFunc(r.allow, func(a string) bool {
				return p.ImportPath == strings.TrimSuffix(module+"/"+a, "/")
			})
			if allowed {
				continue
			}
			for _, imp := range p.Imports {
				if in(imp, r.target) {
					t.Errorf("%s imports %s: %s", p.ImportPath, imp, r.reason)
				}
			}
		}
	}
}

// TestForbidden: some packages stay free of things, directly or through others.
func TestForbidden(t *testing.T) {
	t.Parallel()
	rules := []struct {
		pkg    string
		direct []string // must not be imported
		deps   []string // must not be reached at all
		reason string
	}{
		{"internal/state", []string{"net", "os", "sync", "time/tzdata", "math/rand"}, nil,
			"the protocol is a pure function: no I/O, no locks, no global randomness"},
		{"internal/lamport", []string{"net", "os", "sync"}, nil, "a clock is a number"},
		{"internal/heal", []string{"net", "os", "sync"}, nil, "the plan is pure; the agent carries it out"},
		{"internal/view", []string{"net", "os"}, nil, "views are values"},
		{"internal/trust", []string{"net", "os", "sync"}, nil, "judgement is a pure function of what happened and when"},
		{"api", nil, []string{"github.com/"}, "whoever speaks the protocol pulls in nothing else"},
		{"guard", []string{"net", "os"}, []string{"github.com/"}, "the rule is pure, and everyone may afford it"},
		{"service", []string{"net", "os"}, []string{"github.com/"}, "reading tags is pure, and everyone may afford it"},
		{"client", nil, []string{"github.com/hashicorp/memberlist", "github.com/miekg/dns", "github.com/hashicorp/hcl", "github.com/hashicorp/go-sockaddr"},
			"lbsync and the Terraform provider must not carry an agent"},
	}
	pkgs := packages(t)
	for _, r := range rules {
		i := slices.IndexFunc(pkgs, func(p pkg) bool { return p.ImportPath == module+"/"+r.pkg })
		if i < 0 {
			t.Errorf("package %s is gone: mend this rule", r.pkg)
			continue
		}
		for _, imp := range pkgs[i].Imports {
			if slices.Contains(r.direct, imp) {
				t.Errorf("%s imports %s: %s", r.pkg, imp, r.reason)
			}
		}
		for _, dep := range pkgs[i].Deps {
			if in(dep, module) {
				continue
			}
			for _, bad := range r.deps {
				if strings.HasPrefix(dep, bad) {
					t.Errorf("%s depends on %s: %s", r.pkg, dep, r.reason)
				}
			}
		}
	}
}
