package agent

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/config"
	"github.com/seed-645ce708/gossip/agent/internal/simnet"
	"github.com/seed-645ce708/gossip/agent/internal/state"
	"github.com/seed-645ce708/gossip/agent/internal/view"
)

// bubble is a cluster of agents on a network in memory, without RPC and DNS, which would hold virtual time up.
type bubble struct {
	t      *testing.T
	net    *simnet.Network
	agents map[string]*Agent
}

func (b *bubble) start(name string, addr netip.AddrPort, change func(*Config)) *Agent {
	b.t.Helper()
	cfg := DefaultConfig()
	cfg.NodeName = name
	cfg.LogLevel = "ERR"
	if change != nil {
		change(&cfg)
	}
	a, err := New(cfg, Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	if a.transport, err = b.net.Listen(addr); err != nil {
		b.t.Fatal(err)
	}
	a.addrs = config.Addresses{Bind: addr}
	for _, step := range []func() error{a.startEvents, a.startGossip} {
		if err := step(); err != nil {
			b.t.Fatal(err)
		}
	}
	if a.joined, err = a.startJoin(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	a.spawn(a.heal)
	b.agents[name] = a
	return a
}

func (b *bubble) stop(name string) {
	b.t.Helper()
	if err := b.agents[name].Stop(b.t.Context()); err != nil {
		b.t.Error(err)
	}
	delete(b.agents, name)
}

// end stops everything. memberlist leaves probes behind, which end by themselves.
func (b *bubble) end() {
	for name := range b.agents {
		b.stop(name)
	}
	time.Sleep(2 * time.Minute)
}

// sees waits until every agent that which accepts shows so many members alive, and returns how long that took.
func (b *bubble) sees(alive int, which func(name string) bool, limit time.Duration) time.Duration {
	b.t.Helper()
	start := time.Now()
	for {
		bad := ""
		for name, a := range b.agents {
			if n := a.view.Load().Count(view.StatusAlive); which(name) && n != alive {
				bad = fmt.Sprintf("%s sees %d alive, want %d", name, n, alive)
			}
		}
		if bad == "" {
			return time.Since(start)
		}
		if time.Since(start) > limit {
			b.t.Fatalf("after %v: %s", limit, bad)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// status is a member's status in an agent's view, or "unknown".
func (b *bubble) status(at, name string) string {
	m, ok := b.agents[at].view.Load().Member(name)
	if !ok {
		return "unknown"
	}
	return m.Status.String()
}

func everyone(string) bool { return true }

// TestPartitionHeals: agents are cut in half for longer than failed members are remembered, and find each other again once
// the network is back: by their seeds, or by memory alone. Those who died or were removed meanwhile stay
// what they were.
func TestPartitionHeals(t *testing.T) {
	t.Parallel()
	t.Run("without seeds", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) { partition(t, 40, false) })
	})
	t.Run("with seeds", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) { partition(t, 10, true) })
	})
}

func partition(t *testing.T, n int, seeds bool) {
	b := &bubble{t: t, net: simnet.New(simnet.Options{Seed: 1, Delay: time.Millisecond, Jitter: time.Millisecond}), agents: map[string]*Agent{}}
	defer b.end()
	name := func(i int) string { return fmt.Sprintf("n%02d", i) }
	addr := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 7946)
	}
	for i := range n {
		a := b.start(name(i), addr(i), func(cfg *Config) {
			cfg.ReconnectTimeout = 2 * time.Minute
			if seeds && i > 0 {
				cfg.StartJoin = []string{addr(0).String()}
			}
		})
		if !seeds && i > 0 {
			if _, err := a.Join(t.Context(), []string{addr(0).String()}, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.sees(n, everyone, 5*time.Minute) // a regular exchange of state repairs what gossip has left out

	right := func(i int) bool { return i >= n/2 }
	b.net.Partition(func(a netip.AddrPort) int {
		if right(int(a.Addr().As4()[3]) - 1) {
			return 1
		}
		return 0
	})
	// On the right one dies, and one dies and is removed.
	b.stop(name(n - 1))
	b.stop(name(n - 2))
	onRight := func(s string) bool { return s >= name(n/2) }
	onLeft := func(s string) bool { return !onRight(s) }
	// An exchange of state may bring the leave sooner than the intent, and does not tell that it is a removal.
	heardOfLeave := func(at string, i int, status string) bool { return i == n-2 && onRight(at) && status == "left" }
	b.sees(n/2-2, onRight, time.Minute)
	if err := b.agents[name(n-3)].core.Do(t.Context(), state.ForceLeave{Name: name(n - 2), Prune: true}, time.Minute); err != nil {
		t.Error(err)
	}
	b.sees(n/2, onLeft, 2*time.Minute)
	time.Sleep(10 * time.Minute)
	for at := range b.agents {
		for i := range n {
			other := name(i)
			want := "alive"
			if onLeft(at) != onLeft(other) || i >= n-2 {
				want = "unknown"
			}
			if got := b.status(at, other); got != want && !heardOfLeave(at, i, got) {
				t.Fatalf("cut in half, %s is %s to %s, want %s", other, got, at, want)
			}
		}
	}

	b.net.Partition(func(netip.AddrPort) int { return 0 })
	took := b.sees(n-2, everyone, 10*time.Minute)
	t.Logf("one cluster again after %v", took)
	time.Sleep(time.Minute)
	b.sees(n-2, everyone, time.Minute)
	for at := range b.agents {
		for _, i := range []int{n - 2, n - 1} {
			if got := b.status(at, name(i)); got != "unknown" && !heardOfLeave(at, i, got) {
				t.Errorf("the dead %s is %s to %s", name(i), got, at)
			}
		}
	}
}
