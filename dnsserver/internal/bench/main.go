//go:build linux

// Command bench measures the DNS server of this module beside NSD, Knot, BIND and CoreDNS, with the same zone and the
// same questions for all of them.
//
// Figures of one program differ from run to run by more than good servers differ from each other, as whatever else the
// machine does falls on one of them. So all servers run at once, short bursts of questions visit them in turn, and
// what counts is the ratio of two bursts of one round. What is measured is the processor time of the server's processes,
// from the kernel's account, by query answered; and how many queries a second were answered.
//
// Servers whose program is not in PATH are left out. CoreDNS is built from the Go module proxy into the user's cache
// directory unless it is there.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

type options struct {
	rounds int
	burst  time.Duration
	rate   int
	mixes  []string
	peers  []string
	extra  []string
	free   bool
	singly bool
	procs  int

	sockets, underWay int
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		if err := serve(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench serve:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	flag.IntVar(&o.rounds, "rounds", 5, "how often each server is visited")
	flag.DurationVar(&o.burst, "burst", 1200*time.Millisecond, "how long each visit takes")
	flag.IntVar(&o.rate, "rate", 0, "queries a second; 0 means as many as the server answers")
	flag.BoolVar(&o.free, "free", false, "two workers and two clients on all processors, instead of one of each on a processor of its own")
	flag.BoolVar(&o.singly, "singly", false, "hand each question to the kernel by a call of its own; servers see the same, the client has twice the work")
	flag.IntVar(&o.procs, "procs", 0, "GOMAXPROCS of our server; 0 leaves it to the server")
	flag.IntVar(&o.sockets, "sockets", 8, "how many sockets ask")
	flag.IntVar(&o.underWay, "outstanding", 32, "how many questions each of them has under way at once, 64 at most")
	mixes := flag.String("mix", "A,service,SRV,NXDOMAIN", "which questions, with commas between them")
	peers := flag.String("peers", "nsd,knot,bind,coredns", "which servers beside ours, with commas between them")
	extra := flag.String("extra", "", "servers that run already and serve the zone, as NAME@ADDR:PORT@PID, with commas between them")
	flag.Parse()
	o.mixes, o.peers, o.extra = list(*mixes), list(*peers), list(*extra)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if o.sockets < 2 || o.underWay < 1 || o.underWay > maxUnderWay || o.rounds < 1 || o.rate < 0 {
		fmt.Fprintln(os.Stderr, "bench: there must be at least 2 sockets, 1 to 64 questions under way in each, and a round")
		os.Exit(2)
	}
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func list(s string) []string {
	return slices.DeleteFunc(strings.Split(s, ","), func(s string) bool { return s == "" })
}

func run(ctx context.Context, o options) error {
	plan, err := place(o.free)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench-dns-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := writeZone(dir); err != nil {
		return err
	}
	var all []server
	for _, p := range o.peers {
		s, err := findPeer(ctx, p, dir)
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench: without %s: %v\n", p, err)
			continue
		}
		all = append(all, s)
	}
	fmt.Printf("%s; %s; kernel %s\n", machine(), runtime.Version(), kernel())
	for _, s := range all {
		fmt.Printf("%s: %s\n", s.name, s.version)
	}
	fmt.Printf("%s; %d rounds of %v; %d sockets with %d questions under way", plan, o.rounds, o.burst, o.sockets, o.underWay)
	if o.rate > 0 {
		fmt.Printf(" at %d queries a second", o.rate)
	}
	if o.singly {
		fmt.Printf(", each sent by a call of its own")
	}
	fmt.Printf("\n\n")
	all = append([]server{ours(o.procs)}, all...)
	for _, name := range o.mixes {
		m, err := mixNamed(name)
		if err != nil {
			return err
		}
		t, err := compare(ctx, o, plan, dir, m, all)
		if err != nil {
			return err
		}
		t.print()
	}
	return nil
}

// compare measures all servers on one mix.
func compare(ctx context.Context, o options, p placement, dir string, m *mix, servers []server) (*table, error) {
	ctx, cancel := context.WithCancel(ctx)
	var running []*process
	defer func() {
		cancel()
		for _, r := range running {
			r.stop()
		}
	}()
	for _, s := range servers {
		r, err := s.start(ctx, p, dir, m)
		if err != nil {
			if s.name == oursName {
				return nil, err
			}
			fmt.Fprintf(os.Stderr, "bench: %s without %s: %v\n", m.name, s.name, err)
			continue
		}
		running = append(running, r)
	}
	for _, e := range o.extra {
		r, err := attach(e)
		if err != nil {
			return nil, err
		}
		running = append(running, r)
	}
	t := newTable(m.name)
	for range o.rounds {
		t.next()
		for _, r := range running {
			before, err := r.cpu()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.name, err)
			}
			got, err := load(o, p, r.addr, m)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.name, err)
			}
			after, err := r.cpu()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.name, err)
			}
			if got.answered > 0 {
				t.add(r.name, got, after-before)
			}
			if err := ctx.Err(); err != nil {
				return nil, errors.New("interrupted")
			}
		}
	}
	return t, nil
}
