// Command simulate measures clusters that exist only in memory: how long news takes to reach everyone, and what it
// costs, side by side for Serf's timing and ours. See docs/scale.md.
package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/sim"
)

// memberBudget is how many members all real state machines together may know: each takes 260 bytes.
const memberBudget = 9_000_000

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "simulate:", err)
		}
		os.Exit(1)
	}
}

func run(args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("simulate", flag.ContinueOnError)
	flags.SetOutput(progress)
	sizes := flags.String("n", "10,30,100,300,1000", "cluster sizes, with commas")
	seed := flags.Uint64("seed", 1, "the seed; the same one gives the same numbers")
	loss := flags.Float64("loss", 0, "percentage of packets that are lost throughout")
	delay := flags.Duration("delay", 0, "one-way delay to use in place of that of a local network; a fifth of it varies")
	svg := flags.String("svg", "", "write a chart to this file")
	try := map[string]*time.Duration{}
	for _, name := range []string{"probe-interval", "probe-timeout", "gossip-interval", "push-pull-interval"} {
		try[name] = flags.Duration(name, 0, "a value to try in place of our profile's")
	}
	suspicion := flags.Int("suspicion-mult", 0, "a value to try in place of our profile's")
	gossipNodes := flags.Int("gossip-nodes", 0, "a value to try in place of our profile's")
	data := flags.String("json", "", "write all numbers to this file")
	from := flags.String("from", "", "measure nothing, and take the numbers from this file that -json has written")
	if err := flags.Parse(args); err != nil {
		return err
	}
	network := sim.LAN()
	network.Loss = *loss / 100
	if *delay > 0 {
		network.DelayMin, network.DelayJitter = *delay*4/5, *delay/5
	}
	ours := sim.Ours()
	for name, place := range map[string]*time.Duration{
		"probe-interval": &ours.ProbeInterval, "probe-timeout": &ours.ProbeTimeout,
		"gossip-interval": &ours.GossipInterval, "push-pull-interval": &ours.PushPullInterval,
	} {
		*place = cmp.Or(*try[name], *place)
	}
	ours.SuspicionMult = cmp.Or(*suspicion, ours.SuspicionMult)
	ours.GossipNodes = cmp.Or(*gossipNodes, ours.GossipNodes)
	var counts []int
	for text := range strings.SplitSeq(*sizes, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 5 || n > 20000 {
			return fmt.Errorf("%q is not a size between 5 and 20000 (-n)", text)
		}
		counts = append(counts, n)
	}
	debug.SetGCPercent(40) // large tables live long: less garbage is worth the time
	var results []result
	if *from != "" {
		text, err := os.ReadFile(*from)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(text, &results); err != nil {
			return fmt.Errorf("%s: %w", *from, err)
		}
		counts = nil
	}
	for _, n := range counts {
		for _, p := range []profile{{stockProfile, sim.SerfLAN()}, {ourProfile, ours}} {
			began := time.Now()
			r := sim.Measure(n, machines(n), *seed, p.timing, network, func(what string) {
				fmt.Fprintf(progress, "%d agents, %s: %s\n", n, p.name, what)
			})
			results = append(results, result{Profile: p.name, Report: r})
			fmt.Fprintf(progress, "%d agents, %s: %v of virtual time and %d steps took %v\n",
				n, p.name, r.Virtual.Round(time.Second), r.Steps, time.Since(began).Round(100*time.Millisecond))
		}
	}
	if err := table(out, results); err != nil {
		return err
	}
	if *svg != "" {
		if err := os.WriteFile(*svg, chart(results), 0o644); err != nil { //nolint:gosec // a picture for everyone
			return err
		}
	}
	if *data != "" {
		text, err := json.MarshalIndent(results, "", "  ")
		if err != nil {
			return err
		}
		return os.WriteFile(*data, append(text, '\n'), 0o644) //nolint:gosec // numbers for everyone
	}
	return nil
}

type profile struct {
	name   string
	timing sim.Timing
}

// The names of the two profiles.
const (
	stockProfile = "serf-lan"
	ourProfile   = "lan"
)

type result struct {
	Profile string
	sim.Report
}

// machines is how many of n agents can be real state machines.
func machines(n int) int {
	if n*n <= memberBudget {
		return -1
	}
	return memberBudget / n
}

// cold is how long a cold start took, in milliseconds.
func cold(r sim.Report) string {
	if r.Cold.Of == 0 {
		return "-"
	}
	return strconv.FormatInt(r.Cold.All.Milliseconds(), 10)
}

// table prints one line for each size and profile. Times are in milliseconds.
func table(w io.Writer, results []result) error {
	var b strings.Builder
	row := func(cells ...any) {
		format := "%-7v %-9v %7v  %7v %7v %7v  %9v  %7v %7v  %8v  %7v %7v %8v  %6v  %8v %8v\n"
		fmt.Fprintf(&b, format, cells...)
	}
	row("agents", "profile", "real", "event", "99 %", "all", "B/event", "join", "leave", "crash", "last", "false", "cold", "pkt/s", "B/s", "push/pull")
	for _, r := range results {
		ms := func(d time.Duration) int64 { return d.Milliseconds() }
		all := func(s sim.Spread) string {
			text := strconv.FormatInt(ms(s.All), 10)
			if !s.Complete() {
				text += "!"
			}
			return text
		}
		row(r.Nodes, r.Profile, r.Machines, ms(r.Event.Half), ms(r.Event.Most), all(r.Event), int(r.EventBytes),
			all(r.Join), all(r.Leave), ms(r.Crash.First), all(r.Crash), r.False, cold(r.Report),
			fmt.Sprintf("%.1f", r.Idle.PacketsPerSecond), int(r.Idle.BytesPerSecond), fmt.Sprintf("%.0f %%", 100*r.Idle.StreamShare))
	}
	b.WriteString(`
Times are in milliseconds of virtual time: until half, 99 % and all agents had a user event; until all saw a join and a
leave; until the first and the last saw a crash; medians of five, and "!" if in one of them somebody was still missing
when the rest had known for long, and waits for a push/pull. B/event is what an agent sends on account of one event. false: how
often, in a minute of 5 % loss with one agent frozen for 3 s, an agent took another for failed. cold: agents that start
within a tenth of a millisecond of each other and join the first, until all know all. The last three columns
are an idle agent: packets and bytes a second, with headers, and the share of bytes in push/pulls. "real" is how many
agents are real state machines; the others are compact models of them (docs/scale.md).
`)
	_, err := io.WriteString(w, b.String())
	return err
}
