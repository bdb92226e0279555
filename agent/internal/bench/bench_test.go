package main

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/lab"
)

func TestParse(t *testing.T) {
	t.Parallel()
	s, err := parse([]string{"-rates", "5,10", "-tests", "fail,rate"})
	if err != nil || len(s.rates) != 2 || s.rates[1] != 10 || len(s.tests) != 2 || s.large != 100 {
		t.Errorf("%+v, %v", s, err)
	}
	for _, bad := range [][]string{{"-rates", "5,x"}, {"-rates", "0"}, {"-tests", "nothing"}, {"-unknown"}} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%v passes", bad)
		}
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	ours := &cluster{kind: agentKind{label: "gossip"}, agents: make([]*agent, 3)}
	serf := &cluster{kind: agentKind{label: "serf"}, agents: make([]*agent, 3)}
	r := &report{}
	for _, ms := range []int{3, 1, 2} {
		r.time(ours, "event", time.Duration(ms)*time.Millisecond)
		r.time(serf, "event", time.Duration(10*ms)*time.Millisecond)
	}
	r.add(ours, "bytes", "B/s", 400)
	var out strings.Builder
	if err := r.print(&out); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"agents what unit gossip: median p99 max serf: median p99 max serf/gossip",
		"3 event ms 2 3 3 20 30 30 10.00",
		"3 bytes B/s 400 400 400 - - - -",
	}
	for i, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		if got := strings.Join(strings.Fields(line), " "); i >= len(want) || got != want[i] {
			t.Errorf("line %d: %q", i, got)
		}
	}
}

// Every event reaches every member although each tenth packet gets lost, and nobody is taken for failed. Programs and
// packets are real; package gossip's tests do the same with more of all in virtual time.
func TestLossyNetwork(t *testing.T) {
	t.Parallel()
	if net, err := lab.New(2); errors.Is(err, lab.ErrNotAllowed) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	} else {
		net.Close()
	}
	program := filepath.Join(t.TempDir(), "gossip")
	if out, err := exec.Command("go", "build", "-o", program, "../../cmd/gossip").CombinedOutput(); err != nil { //nolint:gosec // our own
		t.Fatalf("%v: %s", err, out)
	}
	var out strings.Builder
	args := []string{"-gossip", program, "-serf", filepath.Join(t.TempDir(), "none"), "-tests", "loss", "-lossy", "8", "-events", "2"}
	if err := run(args, &out); err != nil {
		t.Fatal(err)
	}
	t.Log(out.String())
	for line := range strings.Lines(out.String()) {
		if fields := strings.Fields(line); strings.Contains(line, "agents that missed an event") && fields[len(fields)-7] != "0" {
			t.Errorf("not everyone got every event: %s", line)
		}
	}
}
