// Package archtest holds the import rules of this module as tests, each with its reason.
package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/seed-645ce708/gossip/dnsserver"

type pkg struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", module+"/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			if len(pkgs) < 3 {
				t.Fatalf("go list found only %d packages", len(pkgs))
			}
			return pkgs
		case err != nil:
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

func TestImports(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		for _, imp := range p.Imports {
			if strings.HasPrefix(imp, "github.com/seed-645ce708/gossip/") && !strings.HasPrefix(imp+"/", module+"/") {
				t.Errorf("%s imports %s: the DNS server knows nothing of gossip; whoever uses it hands it plain values", p.ImportPath, imp)
			}
			if p.ImportPath == module+"/zone" && (strings.Contains(imp, ".") || imp == "net" || imp == "os" || strings.HasPrefix(imp, "log")) {
				t.Errorf("%s imports %s: the zone is pure, values in and values out, and outlives the DNS library", p.ImportPath, imp)
			}
			if guard := strings.TrimPrefix(p.ImportPath, module+"/internal/"); (guard == "rrl" || guard == "cookie" || guard == "shed") &&
				(imp == "net" || imp == "os" || strings.HasPrefix(imp, "github.com/miekg/")) {
				t.Errorf("%s imports %s: what guards the server is pure, with time and addresses handed in, so that every path can ask it", p.ImportPath, imp)
			}
			if p.ImportPath == module+"/internal/packed" && (imp == "net" || imp == "os" || imp == "time" || strings.HasPrefix(imp, "github.com/miekg")) {
				t.Errorf("%s imports %s: the short way is a pure function of packet and zone, and needs no library to read either", p.ImportPath, imp)
			}
			if p.ImportPath == module+"/dnsclient" && strings.HasPrefix(imp, module) {
				t.Errorf("%s imports %s: the client must stay small for who only asks", p.ImportPath, imp)
			}
		}
	}
}
