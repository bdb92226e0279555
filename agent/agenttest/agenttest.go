// Package agenttest runs whole agents inside a test, on loopback addresses that the kernel chooses. It is for tests
// of this module and of its siblings.
package agenttest

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent"
	"github.com/seed-645ce708/gossip/agent/agenttest/loopback"
	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/client"
)

// patience bounds every wait: far more than anything takes, so that only a fault runs into it.
const patience = time.Minute

// Config returns the settings of an agent for tests: profile local, all addresses on loopback with ports of the
// kernel's choice, and no DNS.
func Config(name string) agent.Config {
	cfg := agent.DefaultConfig()
	cfg.NodeName = name
	cfg.Bind = "127.0.0.1:0"
	cfg.RPCAddr = "127.0.0.1:0"
	cfg.DNSAddr = ""
	cfg.Profile = "local"
	cfg.LogLevel = "debug"
	return cfg
}

// Start runs an agent named name until the test ends; change, if not nil, changes its settings first. If the test
// fails, its log is shown.
func Start(t testing.TB, name string, change func(*agent.Config)) *agent.Agent {
	t.Helper()
	cfg := Config(name)
	if change != nil {
		change(&cfg)
	}
	log := &logBuffer{}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of agent %s:\n%s", name, log)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var a *agent.Agent
	err := loopback.Rebind(func() (err error) {
		if a, err = agent.New(cfg, agent.Options{LogOutput: log}); err != nil {
			return err
		}
		return a.Start(ctx)
	})
	if err != nil {
		t.Fatalf("start agent %s: %v", name, err)
	}
	t.Cleanup(func() { Stop(t, a) })
	return a
}

// Stop ends an agent at once, as a crash would look to others. Stopping again does nothing.
func Stop(t testing.TB, a *agent.Agent) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := a.Stop(ctx); err != nil {
		t.Errorf("stop agent: %v", err)
	}
}

// Cluster starts n agents named PREFIX-1 to PREFIX-n that have joined the first, and waits until all of them see
// all others alive.
func Cluster(t testing.TB, prefix string, n int, change func(i int, cfg *agent.Config)) []*agent.Agent {
	t.Helper()
	agents := make([]*agent.Agent, n)
	for i := range agents {
		agents[i] = Start(t, fmt.Sprintf("%s-%d", prefix, i+1), func(cfg *agent.Config) {
			if i > 0 {
				cfg.StartJoin = []string{agents[0].GossipAddr()}
			}
			if change != nil {
				change(i, cfg)
			}
		})
	}
	for _, a := range agents {
		WaitMembers(t, a, n, "alive")
	}
	return agents
}

// Dial connects to an agent's RPC until the test ends.
func Dial(t testing.TB, a *agent.Agent) *client.Client {
	t.Helper()
	c, err := client.Dial(t.Context(), client.Config{Addr: a.RPCAddr()})
	if err != nil {
		t.Fatalf("connect to agent: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// WaitMembers waits until the agent shows exactly n members with the status.
func WaitMembers(t testing.TB, a *agent.Agent, n int, status string) {
	t.Helper()
	WaitFor(t, a, fmt.Sprintf("%d members %s", n, status), func(members []api.Member) bool {
		count := 0
		for _, m := range members {
			if m.Status == status {
				count++
			}
		}
		return count == n
	})
}

// WaitFor waits until cond accepts the agent's members; what says what is waited for.
func WaitFor(t testing.TB, a *agent.Agent, what string, cond func([]api.Member) bool) {
	t.Helper()
	c := Dial(t, a)
	var members []api.Member
	Poll(t, what, func() bool {
		var err error
		if members, err = c.Members(t.Context()); err != nil {
			t.Fatalf("list members: %v", err)
		}
		return cond(members)
	}, func() string { return fmt.Sprintf("members: %+v", members) })
}

// Poll calls cond until it is true, and fails the test with what and the state of things when patience is over.
func Poll(t testing.TB, what string, cond func() bool, state func() string) {
	t.Helper()
	limit := time.Now().Add(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		if time.Now().After(limit) {
			t.Fatalf("never came: %s; %s", what, state())
		}
		<-tick.C
	}
}

// logBuffer keeps the last of what is written to it.
type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

var _ io.Writer = (*logBuffer)(nil)

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.b.Len() > 1<<20 {
		l.b.Reset()
	}
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
