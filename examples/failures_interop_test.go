package examples_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/agenttest/loopback"
	"github.com/seed-645ce708/gossip/examples/internal/harness"
)

// TestMixedForceLeave removes dead members of each kind from agents of each kind; a live one refutes.
func TestMixedForceLeave(t *testing.T) {
	mixed(t, func(m *mix) {
		agents := []*harness.Agent{m.start("gossip1")}
		first := "-join=" + agents[0].Gossip
		agents = append(agents, m.start("serf1", first))
		var victims []*harness.Agent
		for _, name := range []string{"gossip-forced", "serf-forced", "gossip-pruned", "serf-pruned"} {
			victims = append(victims, m.start(name, first))
		}
		m.agree(agents, "alive", names(victims)...)

		for i, a := range agents {
			other := agents[1-i]
			// The word of it may be lost, but must not be given again too soon: of a leave and a refutation with the same
			// Lamport time Serf takes whichever it hears first, and ours needs a minute to put that right.
			eventually(m.ctx, m.T, func() error {
				m.must(a, "force-leave", other.Name)
				soon, cancel := context.WithTimeout(m.ctx, 5*time.Second)
				defer cancel()
				return harness.Eventually(soon, func() error {
					if !strings.Contains(other.Log(), "Refuting an older leave intent") {
						return fmt.Errorf("%s has not refuted that it left", other.Name)
					}
					return nil
				})
			})
			m.agree(agents, "alive", other.Name)
			m.must(a, "force-leave", "nobody")
		}

		for _, v := range victims {
			v.Kill()
		}
		m.agree(agents, "failed", names(victims)...)
		// The word of it is lost if it is passed on to none but the dead, so it is given until all have heard it.
		remove := func(from int, status string, args ...string) {
			m.Helper()
			eventually(m.ctx, m.T, func() error {
				m.must(agents[from], "force-leave", args...)
				for _, a := range agents {
					name := args[len(args)-1]
					if got := must(a.Members(m.ctx))(m.T)[name].Status; got != status {
						return fmt.Errorf("%s sees %s as %q, want %q", a.Name, name, got, status)
					}
				}
				return nil
			})
		}
		remove(0, "left", "serf-forced")
		remove(1, "left", "gossip-forced")
		remove(0, "", "-prune", "serf-pruned")
		remove(1, "", "-prune", "gossip-pruned")
		// And what has left can be forgotten too.
		remove(0, "", "-prune", "gossip-forced")
		remove(1, "", "-prune", "serf-forced")

		// Whoever comes back is welcome.
		for _, v := range victims {
			m.again(v, m.program(v.Name), "-join="+agents[1].Gossip)
		}
		m.agree(agents, "alive", names(victims)...)
	})
}

// TestMixedRejoin kills an agent and starts it again with nothing but its snapshot: it finds its cluster, is told no
// event twice, and is told what happened in between. The same holds when the other program takes over the snapshot.
func TestMixedRejoin(t *testing.T) {
	t.Parallel()
	for _, before := range []string{"gossip", "serf"} {
		for _, after := range []string{"gossip", "serf"} {
			t.Run(before+" to "+after, func(t *testing.T) {
				t.Parallel()
				m := newMix(t)
				agents := []*harness.Agent{m.start("gossip1")}
				agents = append(agents, m.start("serf1", "-join="+agents[0].Gossip))
				snapshot := m.stage.Path("snapshot")
				flags := []string{"-snapshot=" + snapshot, m.writes(before+"-x", "user")}
				x := m.start(before+"-x", append(flags, "-join="+agents[0].Gossip)...)
				m.agree(append(agents, x), "alive", "gossip1", "serf1", x.Name)

				// Serf's agent flushes its snapshot only as it writes to it, so events are fired until all is there that matters.
				// They come from one agent: two that do not know of each other's event yet give both the same time.
				var told []string
				eventually(m.ctx, t, func() error {
					event := fmt.Sprintf("before-%d", len(told))
					m.must(agents[0], "event", "-coalesce=false", event)
					told = append(told, event+" ")
					m.written(x, "user", slices.Clone(told)...)
					b, err := os.ReadFile(snapshot)
					for _, part := range []string{"alive: gossip1 ", "alive: serf1 ", fmt.Sprintf("event-clock: %d\n", len(told)-1)} {
						if err == nil && !strings.Contains(string(b), part) {
							err = fmt.Errorf("the snapshot has no %q: %q", part, b)
						}
					}
					return err
				})
				last := told[len(told)-1]
				if before == "gossip" { // ours flushes by itself
					eventually(m.ctx, t, func() error {
						b, err := os.ReadFile(snapshot)
						if part := fmt.Sprintf("event-clock: %d\n", len(told)); err == nil && !strings.Contains(string(b), part) {
							err = fmt.Errorf("the snapshot has no %q: %q", part, b)
						}
						return err
					})
				}
				x.Kill()
				m.agree(agents, "failed", x.Name)
				for i, a := range agents {
					m.must(a, "event", "-coalesce=false", fmt.Sprintf("between-%d", i))
					told = append(told, fmt.Sprintf("between-%d ", i))
				}
				program := "gossip"
				if after == "serf" {
					program = m.serf
				}
				x = m.again(x, program, flags...)
				m.agree(append(agents, x), "alive", "gossip1", "serf1", x.Name)
				m.must(x, "event", "-coalesce=false", "after")
				told = append(told, "after ")
				// The newest event from before may not have reached Serf's snapshot, and is then told again.
				eventually(m.ctx, t, func() error {
					got := lines(m.stage.Path(x.Name + ".user"))
					if before == "serf" && len(got) == len(told)+1 {
						i := slices.Index(got, last)
						if j := slices.Index(got[i+1:], last); j >= 0 {
							got = slices.Delete(got, i+1+j, i+2+j)
						}
					}
					slices.Sort(got)
					if want := slices.Sorted(slices.Values(told)); !slices.Equal(got, want) {
						return fmt.Errorf("%s was told %q, want %q", x.Name, got, want)
					}
					return nil
				})
			})
		}
	}
}

// TestMixedConflict: of two agents with one name, that which the others knew first stays and the other ends, with exit code
// 0 as Serf's.
func TestMixedConflict(t *testing.T) {
	mixed(t, func(m *mix) {
		agents := []*harness.Agent{m.start("gossip1")}
		first := "-join=" + agents[0].Gossip
		agents = append(agents, m.start("serf1", first), m.start("gossip2", first), m.start("serf2", first))
		m.agree(agents, "alive", names(agents)...)
		for i, old := range agents[2:] {
			program := []string{m.serf, "gossip"}[i] // the other one
			addr := must(loopback.FreeAddr(harness.Loopback(8)))(m.T)
			// It joins the old one, which otherwise would not even hear of it: nobody passes on a claim that he doubts.
			args := []string{"agent", "-node=" + old.Name, "-bind=" + addr, "-rpc-addr=" + must(loopback.FreeAddr(harness.Loopback(8)))(m.T), "-join=" + old.Gossip}
			if program == "gossip" {
				args = append(args, "-dns-addr=")
			}
			p := must(m.stage.Start("second-"+old.Name, program, append(args, m.flags...)...))(m.T)
			select {
			case <-p.Done():
			case <-m.ctx.Done():
				m.Fatalf("the second %s goes on:\n%s", old.Name, p.Log())
			}
			if code := p.Code(); code != 0 || !strings.Contains(p.Log(), "minority in name conflict resolution") {
				m.Errorf("the second %s ended with exit code %d:\n%s", old.Name, code, p.Log())
			}
			eventually(m.ctx, m.T, func() error {
				if !strings.Contains(old.Log(), "majority in name conflict resolution") {
					return fmt.Errorf("%s has won no vote", old.Name)
				}
				return nil
			})
			m.agree(agents, "alive", old.Name)
			for _, a := range agents {
				if got := must(a.Members(m.ctx))(m.T)[old.Name].Addr; got != old.Gossip {
					m.Errorf("%s has %s at %s, want %s", a.Name, old.Name, got, old.Gossip)
				}
			}
		}
	})
}
