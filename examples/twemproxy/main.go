// Command twemproxy shows a nutcracker in front of memcached and redis that follows the members and keeps its ring: a server
// moves to another address, two die, one leaves, and all other keys stay where they were. Run it with
// `go run ./examples/twemproxy` after `make build`.
package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/seed-645ce708/gossip/agent/agenttest/loopback"
	"github.com/seed-645ce708/gossip/examples/internal/harness"
)

//go:embed lbsync.hcl restart
var files embed.FS

func main() {
	harness.Main("twemproxy", []string{"nutcracker", "memcached", "redis-server"}, func(ctx context.Context, shared *harness.Example) error {
		e := &example{Example: shared, servers: map[string]*harness.Process{}, addrs: map[string]string{}, held: map[string]int{}}
		defer e.stop()
		return harness.Steps(ctx, e.start, e.move, e.die, e.leave)
	})
}

// example is the state that the steps share.
type example struct {
	*harness.Example
	cache, store string // where clients ask
	servers      map[string]*harness.Process
	addrs        map[string]string
	held         map[string]int // keys by memcached
}

// stop ends gossip-lbsync, and the nutcracker that it started.
func (e *example) stop() {
	for _, p := range e.Processes() {
		if p.Name == "gossip-lbsync" {
			p.Stop()
		}
	}
	text, err := os.ReadFile(e.Path("nutcracker.pid"))
	if err != nil {
		return // it was not started
	}
	if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
		if p, err := os.FindProcess(pid); err == nil {
			_ = p.Signal(syscall.SIGTERM) // it may have ended
		}
	}
}

// start starts three memcacheds and two redises, an agent beside each, and gossip-lbsync, which starts nutcracker.
func (e *example) start(ctx context.Context) error {
	var addrs [3]string
	for i := range addrs {
		var err error
		if addrs[i], err = loopback.FreeAddr("127.0.0.1"); err != nil {
			return err
		}
	}
	e.cache, e.store = addrs[0], addrs[1]
	if err := e.Unpack(files, map[string]string{"127.0.0.1:22121": e.cache, "127.0.0.1:22122": e.store, "127.0.0.1:22222": addrs[2],
		"-s 22222": fmt.Sprintf("-s %d", harness.Port(addrs[2])), "127.0.0.1:7373": e.LB.RPC}); err != nil {
		return err
	}
	for _, name := range []string{"cache-1", "cache-2", "cache-3", "store-1", "store-2"} {
		if err := e.server(ctx, name); err != nil {
			return err
		}
		service, _, _ := strings.Cut(name, "-")
		if err := e.Join(ctx, name, fmt.Sprintf("-tag=svc:%s=%d", service, harness.Port(e.addrs[name]))); err != nil {
			return err
		}
	}
	if err := e.Follow(ctx, "lbsync.hcl"); err != nil {
		return err
	}
	if err := e.fill(ctx); err != nil {
		return err
	}
	for _, name := range []string{"cache-1", "cache-2", "cache-3"} {
		var err error
		if e.held[name], err = cached(e.addrs[name]); err != nil {
			return err
		}
	}
	e.Say("%d keys are in each pool; cache-1 holds %d, cache-2 %d, cache-3 %d.", keys, e.held["cache-1"], e.held["cache-2"], e.held["cache-3"])
	return nil
}

// server starts a memcached or redis, by its name, at a free address.
func (e *example) server(ctx context.Context, name string) error {
	addr, err := loopback.FreeAddr("127.0.0.1")
	if err != nil {
		return err
	}
	port := strconv.Itoa(harness.Port(addr))
	argv := []string{"memcached", "-l", "127.0.0.1", "-p", port, "-U", "0", "-m", "8", "-t", "1", "-u", "nobody"}
	if strings.HasPrefix(name, "store") {
		argv = []string{"redis-server", "--bind", "127.0.0.1", "--port", port, "--save", ""}
	}
	program, err := harness.LookPath(argv[0])
	if err != nil {
		return err
	}
	e.addrs[name] = addr
	if e.servers[name], err = e.Start(name+"-"+port, program, argv[1:]...); err != nil {
		return err
	}
	return harness.Eventually(ctx, func() error { return answers(addr) })
}

// fill puts all keys into both pools.
func (e *example) fill(ctx context.Context) error {
	return harness.Eventually(ctx, func() error { return errors.Join(fillCache(e.cache), fillStore(e.store)) })
}

// move starts a memcached at another address and has its agent tell.
func (e *example) move(ctx context.Context) error {
	e.Say("\ncache-2 moves to another port.")
	before := e.restarts()
	old := e.servers["cache-2"]
	if err := e.server(ctx, "cache-2"); err != nil {
		return err
	}
	if _, err := e.Agents["cache-2"].Must(ctx, "tags", "-set", fmt.Sprintf("svc:cache=%d", harness.Port(e.addrs["cache-2"]))); err != nil {
		return err
	}
	if err := e.listed(ctx, e.addrs["cache-2"], true); err != nil {
		return err
	}
	if err := e.found(ctx, keys-e.held["cache-2"]); err != nil {
		return err
	}
	old.Stop()
	e.Say("Restarts: %d.", e.restarts()-before)
	return e.fill(ctx)
}

// die ends a memcached and a redis with their agents, without a word.
func (e *example) die(ctx context.Context) error {
	e.Say("\ncache-3 and store-2 die.")
	before := e.restarts()
	for _, name := range []string{"cache-3", "store-2"} {
		e.servers[name].Kill()
		e.Agents[name].Kill()
	}
	for _, name := range []string{"cache-3", "store-2"} {
		if err := e.LB.Sees(ctx, name, "failed"); err != nil {
			return err
		}
	}
	if err := e.found(ctx, keys-e.held["cache-3"]); err != nil {
		return err
	}
	if n := e.restarts() - before; n > 0 {
		return fmt.Errorf("%d restarts because of servers that failed", n)
	}
	e.Say("They stay in their rings. Restarts: 0.")
	return nil
}

// leave has a member leave.
func (e *example) leave(ctx context.Context) error {
	e.Say("\n$ gossip leave    # on cache-1")
	before := e.restarts()
	if _, err := e.Agents["cache-1"].Must(ctx, "leave"); err != nil {
		return err
	}
	if err := e.listed(ctx, e.addrs["cache-1"], false); err != nil {
		return err
	}
	if err := e.found(ctx, e.held["cache-2"]); err != nil {
		return err
	}
	e.Say("Restarts: %d.", e.restarts()-before)
	return nil
}

// found waits until so many keys are found in the pool of memcached.
func (e *example) found(ctx context.Context, want int) error {
	err := harness.Eventually(ctx, func() error {
		n, err := cached(e.cache)
		if err == nil && n != want {
			err = fmt.Errorf("%d keys are found, not yet %d", n, want)
		}
		return err
	})
	if err == nil {
		e.Say("%d of %d keys are found in the pool of memcached: all that the others hold.", want, keys)
	}
	return err
}

// listed waits until an address is, or is not, in nutcracker's file, and that is what nutcracker has loaded.
func (e *example) listed(ctx context.Context, addr string, want bool) error {
	if err := harness.Eventually(ctx, func() error {
		text, err := os.ReadFile(e.Path("pools.yml"))
		if err == nil && strings.Contains(string(text), addr) != want {
			err = fmt.Errorf("%s is among the servers: %t, not yet %t", addr, !want, want)
		}
		return err
	}); err != nil {
		return err
	}
	return e.InStep(ctx, "lbsync.hcl")
}

// restarts counts those of nutcracker.
func (e *example) restarts() int {
	text, err := os.ReadFile(e.Path("restarts"))
	if err != nil {
		return 0 // there was none yet
	}
	return strings.Count(string(text), "\n")
}
