package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/lbtest"
	"github.com/seed-645ce708/gossip/lbsync/internal/source"
)

// TestTurns has three gossip-lbsync, each with an agent of its own, that all want to reload for the same changes: they do so
// one after the other.
func TestTurns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cluster := startSerf(t, "lb-1", "lb-2", "lb-3", "a role=web port=1000")
	// A reload that finds another under way says so.
	script := lbtest.Write(t, dir, "reload.sh", fmt.Sprintf(`mkdir %[1]s/turn 2>/dev/null || echo clash >>%[1]s/clashes
sleep 0.3
rmdir %[1]s/turn 2>/dev/null
echo reload >>%[1]s/reloads
`, dir))
	var dests []string
	for _, name := range []string{"lb-1", "lb-2", "lb-3"} {
		own := filepath.Join(dir, name)
		if err := os.Mkdir(own, 0o755); err != nil {
			t.Fatal(err)
		}
		lbtest.Write(t, own, "t", "{{range .Services.web.Servers}}{{.HostPort}}\n{{end}}")
		dests = append(dests, filepath.Join(own, "list"))
		program(t, "run", "-config", lbtest.Write(t, own, "lbsync.hcl", fmt.Sprintf(`
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
    template = "t"
    dest     = "list"
  }
  reload {
    command      = ["sh", %q]
    min_interval = "10ms"
    group        = "edge"
  }
}
`, cluster.rpcs[name], script)))
	}
	count := func(name string) int {
		data, _ := os.ReadFile(filepath.Join(dir, name)) // not there before the first
		return strings.Count(string(data), "\n")
	}
	// Before all of them listen nobody can be asked; who started alone did not wait.
	peers := source.Queries(config.Source{Address: cluster.rpc, Timeout: 10 * time.Second})
	lbtest.Eventually(t, func() error {
		answers, err := peers.Ask(context.Background(), []byte(`{"g":"edge","i":"test","n":"template/test"}`), 500*time.Millisecond)
		heard := map[string]bool{}
		for _, data := range answers {
			var a struct{ I string }
			err = errors.Join(err, json.Unmarshal(data, &a))
			heard[a.I] = true
		}
		if len(heard) != len(dests) || count("reloads") < len(dests) {
			return errors.Join(fmt.Errorf("%d listen, %d reloads", len(heard), count("reloads")), err)
		}
		return nil
	})
	clashes, reloads := count("clashes"), count("reloads")
	for round := 1; round <= 2; round++ {
		cluster.tag(t, "a", fmt.Sprintf("port=%d", 1000+round))
		lbtest.Eventually(t, func() error {
			for _, dest := range dests {
				if data, err := os.ReadFile(dest); err != nil || string(data) != fmt.Sprintf("127.0.0.1:%d\n", 1000+round) {
					return errors.Join(fmt.Errorf("%s is %q", dest, data), err)
				}
			}
			if n := count("reloads") - reloads; n < round*len(dests) {
				return fmt.Errorf("round %d: %d reloads", round, n)
			}
			return nil
		})
	}
	if n := count("clashes") - clashes; n > 0 {
		t.Errorf("%d reloads while another was under way", n)
	}
	if n := count("reloads") - reloads; n != 2*len(dests) {
		t.Errorf("%d reloads for 2 changes at %d balancers", n, len(dests))
	}
}
