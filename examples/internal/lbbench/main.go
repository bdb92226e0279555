// Command lbbench measures what clients of HAProxy and nginx notice while members join and leave every second: with
// gossip-lbsync, and with an event handler that renders a file and reloads at each change. Agents, balancers and clients are
// real, on this machine; `make bench-lbsync` runs it.
package main

import (
	"context"
	"embed"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/seed-645ce708/gossip/agent/agenttest/loopback"
	"github.com/seed-645ce708/gossip/examples/internal/harness"
)

//go:embed haproxy nginx
var files embed.FS

const (
	steady   = 4               // members that stay
	lifetime = 5 * time.Second // of the others, from their join to their leave
	startup  = 500 * time.Millisecond
	grace    = 5 * time.Second // how long a web server runs on after its agent has left
)

// trial is one measurement.
type trial struct {
	name     string
	balancer string // haproxy or nginx
	handler  bool   // an event handler in place of gossip-lbsync
	advice   bool   // HAProxy with the option for reloads that gossip-lbsync advises
	kept     bool   // half of the clients keep their connections
}

var trials = []trial{
	{"haproxy, gossip-lbsync", "haproxy", false, false, true},
	{"haproxy, template and reload", "haproxy", true, false, true},
	{"haproxy, template and reload, idle-close-on-response", "haproxy", true, true, true},
	{"nginx, gossip-lbsync", "nginx", false, false, false},
	{"nginx, template and reload", "nginx", true, false, false},
}

func main() {
	bin := flag.String("bin", "bin", "the folder with the programs that `make build` made")
	length := flag.Duration("length", time.Minute, "how long members come and go")
	rate := flag.Int("rate", 500, "requests a second")
	only := flag.String("only", "", "only trials whose name contains this")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fmt.Printf("%-54s %8s %7s %8s %8s %8s %6s\n", "", "requests", "failed", "reloads", "p99", "worst", "joins")
	for _, t := range trials {
		if !strings.Contains(t.name, *only) {
			continue
		}
		bounded, cancel := context.WithTimeout(ctx, *length+2*time.Minute)
		err := t.run(bounded, *bin, *length, *rate)
		cancel()
		if err != nil {
			fmt.Fprintf(os.Stderr, "lbbench: %s: %v\n", t.name, err)
			os.Exit(1)
		}
	}
}

// run makes the measurement and prints a line.
func (t trial) run(ctx context.Context, bin string, length time.Duration, rate int) error {
	stage, err := harness.New(bin)
	if err != nil {
		return err
	}
	defer stage.Close()
	b, err := t.start(ctx, stage)
	if err != nil {
		return err
	}
	before, err := b.reloads()
	if err != nil {
		return err
	}
	load := startLoad(b.addr, rate, t.kept)
	joins, err := b.churn(ctx, length)
	s := load.end()
	if err != nil {
		return err
	}
	after, err := b.reloads()
	if err != nil {
		return err
	}
	fmt.Printf("%-54s %8d %7d %8d %8s %8s %6d\n", t.name, s.requests, s.failed, after-before,
		s.p99.Round(100*time.Microsecond), s.worst.Round(time.Millisecond), joins)
	for cause, n := range s.causes {
		fmt.Printf("  %d failed with:%s\n", n, cause)
	}
	return nil
}

// start starts a cluster, a balancer, and what keeps it in step, and waits until clients are answered by all.
func (t trial) start(ctx context.Context, stage *harness.Stage) (*balancer, error) {
	program, err := harness.LookPath(t.balancer)
	if err != nil {
		return nil, err
	}
	addr, err := loopback.FreeAddr(harness.Loopback(1))
	if err != nil {
		return nil, err
	}
	rpc, err := loopback.FreeAddr(harness.Loopback(1))
	if err != nil {
		return nil, err
	}
	replace := map[string]string{"127.0.0.1:8080": addr, "127.0.0.1:7373": rpc, "$GOSSIP": stage.Program("gossip")}
	if t.balancer == "haproxy" {
		replace["/run/lb"] = stage.Dir
		if t.advice {
			replace["# advice"] = "option idle-close-on-response"
		}
	}
	own, err := fs.Sub(files, t.balancer)
	if err != nil {
		return nil, err
	}
	if err := stage.Unpack(own, replace); err != nil {
		return nil, err
	}
	b := &balancer{Stage: stage, kind: t.balancer, addr: addr}
	first, argv := "backend.cfg", []string{"-W", "-S", stage.Path("master.sock"), "-p", stage.Path("haproxy.pid"), "-f", "haproxy.cfg", "-f", "backend.cfg"}
	empty := "backend web\n"
	if t.balancer == "nginx" {
		first, argv, empty = "upstream.conf", []string{"-p", stage.Dir, "-c", "nginx.conf"}, "upstream web { server 127.0.0.1:1 down; }\n"
	}
	if _, err := stage.Write(first, empty); err != nil {
		return nil, err
	}
	if _, err := stage.Start(t.balancer, program, argv...); err != nil {
		return nil, err
	}
	lb := harness.AgentConfig{Name: "lb", RPC: rpc}
	if t.handler {
		lb.Args = []string{"-handler-concurrency=1", "-event-handler=member-join,member-leave,member-failed,member-update=sh " + stage.Path("handler")}
	}
	if b.lb, err = stage.StartAgent(ctx, lb); err != nil {
		return nil, err
	}
	if !t.handler {
		if _, err := stage.Start("gossip-lbsync", "gossip-lbsync", "run", "-config", "lbsync.hcl"); err != nil {
			return nil, err
		}
	}
	for i := range steady {
		if _, _, err := b.member(ctx, fmt.Sprintf("steady-%d", i), 0); err != nil {
			return nil, err
		}
	}
	return b, b.settled(ctx)
}
