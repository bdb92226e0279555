// Command bench measures clusters of real agents on this host, gossip's and, where it is installed, Serf's, one after
// the other in one run: how soon events, queries, failures, leaves and joins are everywhere, how many events a second
// pass, how many bytes that takes, and what becomes of it where packets get lost. It starts the agents as processes on addresses 127.NET.x.y, which Linux has
// all of, and drives and observes them over RPC, a stream to each.
//
// All figures are for all agents together on one host: with a hundred of them they are of the host's making as much as
// of the agents'. What compares is two figures of one run.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/lab"
)

// settings are the command line.
type settings struct {
	gossip, serf   string
	profile        string
	large, small   int
	lossy          int
	net            int
	events, trials int
	rates          []int
	idle, stall    time.Duration
	tests          []string
}

// size is what kind of cluster a test wants.
type size int

const (
	large size = iota
	small
	three
	lossy // small, each agent on a host of its own, on a network that loses packets
)

func (s settings) agents(z size) int { return []int{s.large, s.small, 3, s.lossy}[z] }

type testCase struct {
	name string
	size size
	run  func(*cluster, *report) error
}

// allTests are the tests in the order in which they are run.
var allTests = []testCase{
	{"cold", large, testCold},
	{"event", large, testEvents},
	{"query", large, testQueries},
	{"join", large, testJoins},
	{"event", small, testEvents},
	{"query", small, testQueries},
	{"idle", small, testIdle},
	{"bytes", small, testBytes},
	{"leave", small, testLeaves},
	{"fail", small, testFailures},
	{"rate", three, testRates},
	{"loss", lossy, testLoss},
	{"stall", lossy, testStall},
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	r := &report{}
	kinds := s.kinds()
	for _, z := range []size{large, small, three, lossy} {
		for _, k := range kinds {
			if err := measure(ctx, s, k, z, r); err != nil {
				return errors.Join(fmt.Errorf("%s: %w", k.label, err), r.print(out))
			}
		}
	}
	return r.print(out)
}

func parse(args []string) (settings, error) {
	var s settings
	var rates, tests string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&s.gossip, "gossip", "bin/gossip", "the gossip to measure; empty leaves it out")
	f.StringVar(&s.serf, "serf", cmp.Or(os.Getenv("SERF"), "serf"), "the Serf to compare with; left out if it is not there")
	f.StringVar(&s.profile, "profile", "lan", "timing profile of both")
	f.IntVar(&s.large, "n", 100, "agents for events, queries, joins and the cold start")
	f.IntVar(&s.small, "small", 30, "agents for failures, leaves and bytes; rates are measured with three")
	f.IntVar(&s.lossy, "lossy", 30, "agents on a network that loses packets")
	f.IntVar(&s.net, "net", 77, "second byte of the agents' addresses; gossip's, and Serf's is one above")
	f.IntVar(&s.events, "events", 20, "events and queries")
	f.IntVar(&s.trials, "trials", 5, "failures, leaves and joins")
	f.StringVar(&rates, "rates", "100,1000,2000", "events a second, for 10 s each")
	f.DurationVar(&s.idle, "idle", time.Minute, "how long to count the bytes of idle agents")
	f.DurationVar(&s.stall, "stall", 10*time.Minute, "how long agents bear the loss of 5 % of packets, one of them standing still for 3 s")
	f.StringVar(&tests, "tests", "cold,event,query,join,idle,bytes,leave,fail,rate,loss,stall", "which tests to run")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	for _, text := range strings.Split(rates, ",") {
		rate, err := strconv.Atoi(text)
		if err != nil || rate <= 0 {
			return s, fmt.Errorf("-rates: %q is no number of events", text)
		}
		s.rates = append(s.rates, rate)
	}
	s.tests = strings.Split(tests, ",")
	for _, name := range s.tests {
		if !slices.ContainsFunc(allTests, func(t testCase) bool { return t.name == name }) {
			return s, fmt.Errorf("-tests: there is no test %q", name)
		}
	}
	return s, nil
}

// agentKind is one of the two programs that are compared.
type agentKind struct {
	label, path string
	net         int
	flags       []string
}

func (s settings) kinds() []agentKind {
	var kinds []agentKind
	if s.gossip != "" {
		kinds = append(kinds, agentKind{"gossip", s.gossip, s.net, []string{"-dns-addr="}})
	}
	if path, err := exec.LookPath(s.serf); err == nil {
		kinds = append(kinds, agentKind{"serf", path, s.net + 1, nil})
	} else {
		fmt.Fprintf(os.Stderr, "bench: Serf is left out: %v\n", err)
	}
	return kinds
}

// measure runs the chosen tests of one size.
func measure(ctx context.Context, s settings, kind agentKind, z size, r *report) error {
	chosen := slices.DeleteFunc(slices.Clone(allTests), func(t testCase) bool {
		return t.size != z || !slices.Contains(s.tests, t.name)
	})
	if len(chosen) == 0 {
		return nil
	}
	n := s.agents(z)
	var net *lab.Net
	if z == lossy {
		var err error
		if net, err = lab.New(n); err != nil {
			fmt.Fprintf(os.Stderr, "bench: nothing is measured with loss: %v\n", err)
			return nil
		}
		defer net.Close()
	}
	fmt.Fprintf(os.Stderr, "bench: %s: starting %d agents\n", kind.label, n)
	c, err := start(ctx, s, kind, n, net)
	if err != nil {
		return err
	}
	defer c.stop()
	for _, t := range chosen {
		fmt.Fprintf(os.Stderr, "bench: %s, %d agents: %s\n", kind.label, n, t.name)
		if err := t.run(c, r); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	return nil
}
