package examples_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/examples/internal/harness"
)

// TestMixedEvents: user events arrive everywhere as they were fired, by whichever program and agent.
func TestMixedEvents(t *testing.T) {
	mixed(t, func(m *mix) {
		agents := m.four(func(name string) []string {
			return []string{
				m.writes(name, "user"),
				fmt.Sprintf(`-event-handler=user:raw=cat >%s.$SERF_SELF_NAME`, m.stage.Path("raw")),
			}
		})
		var want []string
		for _, a := range agents {
			for _, program := range []string{"serf", "gossip"} {
				for i := range 3 {
					name := fmt.Sprintf("%s-at-%s", program, a.Name)
					if r := m.cli(program, a, "event", "-coalesce=false", name, fmt.Sprint(i)); r.Code != 0 {
						m.Fatalf("event: %+v", r)
					}
					want = append(want, fmt.Sprint(name, " ", i))
				}
			}
		}
		for _, a := range agents {
			m.written(a, "user", want...)
		}

		// A payload arrives byte for byte, with one newline more; none at all is as good as an empty one.
		for _, a := range agents {
			const payload = "über\tzwei\n\x01Zeilen \xff"
			m.must(a, "event", "-coalesce=false", "raw", payload)
			for _, b := range agents {
				raw := m.stage.Path("raw." + b.Name)
				eventually(m.ctx, m.T, func() error {
					if got, err := os.ReadFile(raw); err != nil || string(got) != payload+"\n" {
						return fmt.Errorf("%s got %q, %v, want %q", b.Name, got, err, payload+"\n")
					}
					return os.Remove(raw)
				})
			}
		}

		// Of coalesced events that come together only the newest is told. A busy machine may need more than
		// one round to get them together.
		for _, a := range agents {
			round := 0
			eventually(m.ctx, m.T, func() error {
				round++
				name := fmt.Sprintf("coalesced-%s-%d", a.Name, round)
				for _, payload := range []string{"1", "2", "3"} {
					m.must(a, "event", name, payload)
				}
				for _, b := range agents {
					eventually(m.ctx, m.T, func() error {
						got := lines(m.stage.Path(b.Name + ".user"))
						if !slices.Contains(got, name+" 3") {
							return fmt.Errorf("%s has not got %s 3", b.Name, name)
						}
						return nil
					})
				}
				for _, b := range agents {
					for _, line := range lines(m.stage.Path(b.Name + ".user")) {
						if line == name+" 1" || line == name+" 2" {
							return fmt.Errorf("%s was also told %q", b.Name, line)
						}
					}
				}
				return nil
			})
		}
	})
}

// TestMixedReplay: past events are told to an agent that joins with -replay, and to no other.
func TestMixedReplay(t *testing.T) {
	mixed(t, func(m *mix) {
		olds := []*harness.Agent{m.start("gossip1", m.writes("gossip1", "user"))}
		olds = append(olds, m.start("serf1", m.writes("serf1", "user"), "-join="+olds[0].Gossip))
		m.agree(olds, "alive", names(olds)...)
		var past []string
		for _, a := range olds {
			for i := range 2 {
				// They may be coalesced, but come too far apart. When they are replayed, they come together.
				m.must(a, "event", "past-"+a.Name, fmt.Sprint(i))
				past = append(past, fmt.Sprintf("past-%s %d", a.Name, i))
				for _, b := range olds {
					m.written(b, "user", slices.Clone(past)...)
				}
			}
		}
		told := map[*harness.Agent][]string{}
		for _, name := range []string{"gossip2", "serf2"} {
			for j, from := range olds {
				quiet, curious := fmt.Sprintf("%s-quiet-%d", name, j), fmt.Sprintf("%s-curious-%d", name, j)
				told[m.start(quiet, m.writes(quiet, "user"), "-join="+from.Gossip)] = nil
				told[m.start(curious, m.writes(curious, "user"), "-join="+from.Gossip, "-replay")] = past
			}
		}
		for a, want := range told {
			m.written(a, "user", slices.Clone(want)...)
		}
		m.must(olds[1], "event", "-coalesce=false", "new", "all")
		for a, want := range told {
			m.written(a, "user", append(slices.Clone(want), "new all")...)
		}
	})
}

// TestMixedMonitor: what `monitor` shows of an event is the same with either program, at either agent, whoever fired it.
func TestMixedMonitor(t *testing.T) {
	t.Parallel()
	m := newMix(t)
	agents := []*harness.Agent{m.start("gossip1")}
	agents = append(agents, m.start("serf1", "-join="+agents[0].Gossip))
	m.agree(agents, "alive", names(agents)...)
	var monitors []*harness.Process
	for _, a := range agents {
		for _, program := range []string{"serf", "gossip"} {
			path := program
			if program == "serf" {
				path = m.serf
			}
			p := must(m.stage.Start("monitor-"+program+"-"+a.Name, path, "monitor", "-rpc-addr="+a.RPC, "-log-level=debug"))(t)
			eventually(m.ctx, t, func() error {
				if !strings.Contains(p.Log(), "Accepted client") { // a line from before, so that it listens
					return fmt.Errorf("%s shows %q", p.Name, p.Log())
				}
				return nil
			})
			monitors = append(monitors, p)
		}
	}
	for i, a := range agents {
		name := fmt.Sprintf("hello-%d", i)
		m.must(a, "event", "-coalesce=false", name, "pay load")
		// The time is the same for all: they share one clock.
		want := []string{
			"\tCoalesce: false", "\tEvent: \"user\"", fmt.Sprintf("\tLTime: %d\n", i+1), fmt.Sprintf("\tName: %q", name),
			"\tPayload: []byte{0x70, 0x61, 0x79, 0x20, 0x6c, 0x6f, 0x61, 0x64}",
		}
		for _, p := range monitors {
			eventually(m.ctx, t, func() error {
				_, after, _ := strings.Cut(p.Log(), name) // in the block of the event, whose lines come in any order
				block := p.Log()[max(0, len(p.Log())-len(after)-400):]
				for _, line := range want {
					if !strings.Contains(block, line) {
						return fmt.Errorf("%s does not show %q:\n%s", p.Name, line, block)
					}
				}
				return nil
			})
		}
	}
}
