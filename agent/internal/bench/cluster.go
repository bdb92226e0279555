package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/client"
	"github.com/seed-645ce708/gossip/agent/internal/lab"
)

// limit is when to give up on something.
const limit = 2 * time.Minute

// pollEvery is how often a member's status is asked for: what happens in between is seen that much later, with both.
const pollEvery = 20 * time.Millisecond

const gossipPort, rpcPort = 7946, 7373

// cluster is running agents of one kind.
type cluster struct {
	ctx    context.Context
	set    settings
	kind   agentKind
	agents []*agent
	lab    *lab.Net      // nil: all on the loopback interface
	cold   time.Duration // from the start of the second until all knew all

	mu   sync.Mutex
	hear func(*agent, api.Event) // takes what streams bring
}

// agent is one process and a connection to it.
type agent struct {
	name    string
	rpcAddr netip.AddrPort
	dial    func(ctx context.Context, network, addr string) (net.Conn, error) // nil: as usual
	cmd     *exec.Cmd
	rpc     *client.Client
	pump    sync.WaitGroup
}

// start starts n agents, all but the first at the same moment, and waits until they know each other.
func start(ctx context.Context, s settings, kind agentKind, n int, net *lab.Net) (*cluster, error) {
	c := &cluster{ctx: ctx, set: s, kind: kind, lab: net}
	var began time.Time
	for i := range n {
		a, err := c.spawn(i, fmt.Sprintf("n%03d", i))
		if err != nil {
			c.stop()
			return nil, err
		}
		c.agents = append(c.agents, a)
		if i == 0 {
			if err := c.connect(a); err != nil {
				c.stop()
				return nil, err
			}
			began = time.Now()
		}
	}
	err := c.each(c.agents[1:], c.connect)
	for _, a := range c.agents {
		// One after the other: to ask all of them all the time would keep the host busier than the agents do.
		if err == nil {
			err = c.complete(a, n)
		}
	}
	if err != nil {
		c.stop()
		return nil, err
	}
	c.cold = time.Since(began)
	time.Sleep(5 * time.Second) // the news of joins is out
	return c, nil
}

func (c *cluster) spawn(i int, name string) (*agent, error) {
	a := &agent{name: name, rpcAddr: netip.AddrPortFrom(c.addr(i), rpcPort)}
	start := (*exec.Cmd).Start
	if c.lab != nil {
		a.rpcAddr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), rpcPort)
		a.dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return c.lab.Dial(ctx, i, a.rpcAddr) }
		start = func(cmd *exec.Cmd) error { return c.lab.Start(i, cmd) }
	}
	bind := func(i int) string { return netip.AddrPortFrom(c.addr(i), gossipPort).String() }
	args := append([]string{
		"agent", "-node=" + a.name, "-bind=" + bind(i), "-rpc-addr=" + a.rpcAddr.String(), "-profile=" + c.set.profile, "-log-level=err",
	}, c.kind.flags...)
	if i > 0 {
		args = append(args, "-join="+bind(0))
	}
	a.cmd = exec.Command(c.kind.path, args...) //nolint:gosec // the program that the user named
	if err := start(a.cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.kind.path, err)
	}
	return a, nil
}

// addr is where an agent gossips.
func (c *cluster) addr(i int) netip.Addr {
	if c.lab != nil {
		return c.lab.Addr(i)
	}
	return netip.AddrFrom4([4]byte{127, byte(c.kind.net), byte(1 + i/200), byte(1 + i%200)}) //nolint:gosec // few agents
}

// connect waits until the agent answers, and subscribes to its events.
func (c *cluster) connect(a *agent) error {
	var err error
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		a.rpc, err = client.Dial(c.ctx, client.Config{Addr: a.rpcAddr.String(), Timeout: limit, Dialer: a.dial})
		if err == nil {
			break
		}
		if time.Since(began) > limit || c.ctx.Err() != nil {
			return fmt.Errorf("%s does not answer: %w", a.name, err)
		}
	}
	stream, err := a.rpc.Stream(c.ctx, "user,query")
	if err != nil {
		return fmt.Errorf("stream of %s: %w", a.name, err)
	}
	a.pump.Go(func() {
		for e := range stream.C() {
			c.mu.Lock()
			hear := c.hear
			c.mu.Unlock()
			if q, ok := e.(*api.QueryEventRecord); ok {
				a.pump.Go(func() { _ = a.rpc.Respond(c.ctx, q.ID, []byte(a.name)) }) // what is missing is counted
			}
			if hear != nil {
				hear(a, e)
			}
		}
	})
	return nil
}

func (c *cluster) listen(f func(*agent, api.Event)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hear = f
}

// each runs f for all agents at the same time.
func (c *cluster) each(agents []*agent, f func(*agent) error) error {
	errs := make([]error, len(agents))
	var all sync.WaitGroup
	for i, a := range agents {
		all.Go(func() { errs[i] = f(a) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// complete waits until an agent sees n members alive and no other. Its statistics say so at less cost than its list.
func (c *cluster) complete(a *agent, n int) error {
	want := strconv.Itoa(n)
	for began := time.Now(); ; time.Sleep(pollEvery) {
		stats, err := a.rpc.Stats(c.ctx)
		if err != nil {
			return fmt.Errorf("statistics of %s: %w", a.name, err)
		}
		if s := stats["serf"]; s["members"] == want && s["failed"] == "0" && s["left"] == "0" {
			return nil
		} else if time.Since(began) > limit {
			return fmt.Errorf("%s sees %s members, %s failed and %s left, after %v; there are %d", a.name, s["members"], s["failed"], s["left"], limit, n)
		}
	}
}

// await waits until an agent sees n members, whose names match, with one of the statuses.
func (c *cluster) await(a *agent, name string, n int, statuses ...string) error {
	for began := time.Now(); ; {
		got := 0
		for _, status := range statuses {
			members, err := a.rpc.MembersFiltered(c.ctx, api.MembersFilteredRequest{Name: name, Status: status})
			if err != nil {
				return fmt.Errorf("members of %s: %w", a.name, err)
			}
			got += len(members)
		}
		if got == n {
			return nil
		}
		if time.Since(began) > limit {
			return fmt.Errorf("%s sees %d of %d %s after %v", a.name, got, n, strings.Join(statuses, " or "), limit)
		}
		select {
		case <-time.After(pollEvery):
		case <-c.ctx.Done():
			return c.ctx.Err()
		}
	}
}

// seen returns how long it takes, from now, until the first and the last of the agents see a member with a status.
func (c *cluster) seen(agents []*agent, name string, statuses ...string) (first, last time.Duration, err error) {
	began := time.Now()
	took := make(chan time.Duration, len(agents))
	err = c.each(agents, func(a *agent) error {
		err := c.await(a, name, 1, statuses...)
		took <- time.Since(began)
		return err
	})
	close(took)
	first = limit
	for d := range took {
		first, last = min(first, d), max(last, d)
	}
	return first, last, err
}

// seenByAll waits until all of the agents see a member with a status. It asks one after the other, at little cost.
func (c *cluster) seenByAll(agents []*agent, name, status string) error {
	for _, a := range agents {
		if err := c.await(a, name, 1, status); err != nil {
			return err
		}
	}
	return nil
}

// end kills an agent and forgets the connection.
func (a *agent) end() {
	_ = a.cmd.Process.Kill() // it may have ended by itself
	_ = a.cmd.Wait()         // it was killed, or left
	if a.rpc != nil {
		_ = a.rpc.Close() // nothing is expected of it any more
		a.pump.Wait()
	}
}

func (c *cluster) stop() {
	for _, a := range c.agents {
		a.end()
	}
	c.agents = nil
}
