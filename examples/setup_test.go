package examples_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/examples/internal/harness"
)

// programs is the folder with the product's programs: GOSSIP_BIN, or else they are built for this run.
var programs string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	programs = os.Getenv("GOSSIP_BIN")
	if programs == "" {
		dir, err := os.MkdirTemp("", "gossip-bin-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		programs = dir
		for name, source := range map[string]string{
			"gossip": "../agent/cmd/gossip", "gossip-lbsync": "../lbsync/cmd/gossip-lbsync", "terraform-provider-gossip": "../terraform-provider",
		} {
			build := exec.Command("go", "build", "-o", filepath.Join(dir, name), ".")
			build.Dir = source
			if out, err := build.CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "build %s: %v\n%s", name, err, out)
				return 1
			}
		}
	}
	return m.Run()
}

// stage gives the test a stage of its own, which is cleared when the test ends; what the programs printed is shown if
// it failed.
func stage(t *testing.T) *harness.Stage {
	t.Helper()
	s, err := harness.New(programs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			logs, _ := filepath.Glob(s.Path("*.log")) // the pattern is well formed
			for _, path := range logs {
				log, err := os.ReadFile(path)
				t.Logf("%s (%v):\n%s", filepath.Base(path), err, harness.LastLines(string(log), 40))
			}
		}
		s.Close()
	})
	return s
}

// limit ends a test that hangs. It decides nothing else: a busy machine may take several times as long as an idle one.
const limit = 8 * time.Minute

// within returns the test's context, with the limit.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// need returns the path of a program that is not ours. Without it the test is skipped, or fails where CI=true says that
// all of them are there.
func need(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := harness.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("this test needs %v, and none of them is here; `make deps` installs what Debian has", names)
	}
	t.Skipf("this test needs %v, and none of them is here; `make deps` installs what Debian has", names)
	return ""
}

// must is for steps whose failure ends the test.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// eventually waits until the condition holds.
func eventually(ctx context.Context, t *testing.T, condition func() error) {
	t.Helper()
	if err := harness.Eventually(ctx, condition); err != nil {
		t.Fatal(err)
	}
}

// startAgent starts an agent and ends the test if it does not answer.
func startAgent(ctx context.Context, t *testing.T, s *harness.Stage, c harness.AgentConfig) *harness.Agent {
	t.Helper()
	a, err := s.StartAgent(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// sees waits until the agent has the member in the status.
func sees(ctx context.Context, t *testing.T, a *harness.Agent, member, status string) {
	t.Helper()
	if err := a.Sees(ctx, member, status); err != nil {
		t.Fatal(err)
	}
}
