package examples_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-645ce708/gossip/examples/internal/harness"
)

// The tests in files called *interop_test.go put agents of ours and Serf's agents into one cluster. Each agent is named
// after its program ("gossip1", "serf1"), and what holds one way is tested the other way as well. GOSSIP_SERF is the
// path of the serf to use, if it is not the one on the PATH.

// Two gossip keys.
const (
	firstKey  = "cj8v5cqOXyBMtFKgTQWRTw=="
	secondKey = "T9jncgl9mbLus+baTTa7q7nPSUrXwbDi2dhbtqir37s="
)

// mix is a cluster of our agents and Serf's.
type mix struct {
	*testing.T
	ctx   context.Context
	stage *harness.Stage
	serf  string   // the program's path
	flags []string // of every agent
	next  int      // loopback address
}

// newMix prepares an empty cluster.
func newMix(t *testing.T, flags ...string) *mix {
	t.Helper()
	serf := os.Getenv("GOSSIP_SERF")
	if serf == "" {
		serf = need(t, "serf")
	}
	return &mix{
		T: t, ctx: within(t), stage: stage(t), serf: serf,
		// The profile "local" passes each message on so seldom that in a small cluster with dead members many are lost.
		flags: append([]string{"-profile=lan", "-log-level=debug"}, flags...),
	}
}

// mixed runs a test in two clusters: one in plain text, one encrypted.
func mixed(t *testing.T, test func(m *mix)) {
	t.Helper()
	t.Parallel()
	t.Run("plain", func(t *testing.T) {
		t.Parallel()
		test(newMix(t))
	})
	t.Run("encrypted", func(t *testing.T) {
		t.Parallel()
		test(newMix(t, "-encrypt="+firstKey))
	})
}

// program is what an agent of this name runs.
func (m *mix) program(name string) string {
	if strings.HasPrefix(name, "serf") {
		return m.serf
	}
	return "gossip"
}

// start starts an agent of the program that the name begins with, on a loopback address of its own.
func (m *mix) start(name string, args ...string) *harness.Agent {
	m.Helper()
	m.next++
	return startAgent(m.ctx, m.T, m.stage, harness.AgentConfig{
		Name: name, Program: m.program(name), Host: harness.Loopback(m.next), Args: slices.Concat(m.flags, args),
	})
}

// again starts an agent that has ended once more, where it was.
func (m *mix) again(a *harness.Agent, program string, args ...string) *harness.Agent {
	m.Helper()
	return startAgent(m.ctx, m.T, m.stage, harness.AgentConfig{
		Name: a.Name, Program: program, Host: harness.Host(a.Gossip), Gossip: a.Gossip, RPC: a.RPC, Args: slices.Concat(m.flags, args),
	})
}

// four starts two agents of each kind; all join the first. args gives each its further flags and may be nil.
func (m *mix) four(args func(name string) []string) []*harness.Agent {
	m.Helper()
	var agents []*harness.Agent
	for _, name := range []string{"gossip1", "serf1", "gossip2", "serf2"} {
		var flags []string
		if args != nil {
			flags = args(name)
		}
		if len(agents) > 0 {
			flags = append(flags, "-join="+agents[0].Gossip)
		}
		agents = append(agents, m.start(name, flags...))
	}
	m.agree(agents, "alive", names(agents)...)
	return agents
}

func names(agents []*harness.Agent) []string {
	var list []string
	for _, a := range agents {
		list = append(list, a.Name)
	}
	return list
}

// agree waits until all the agents have the members in that status; "" is for members that they must not have.
func (m *mix) agree(agents []*harness.Agent, status string, members ...string) {
	m.Helper()
	for _, a := range agents {
		eventually(m.ctx, m.T, func() error {
			known, err := a.Members(m.ctx)
			for _, name := range members {
				if got := known[name].Status; err == nil && got != status {
					err = fmt.Errorf("%s sees %s as %q, want %q", a.Name, name, got, status)
				}
			}
			return err
		})
	}
}

// must runs an agent's own command line against it.
func (m *mix) must(a *harness.Agent, command string, args ...string) string {
	m.Helper()
	return must(a.Must(m.ctx, command, args...))(m.T)
}

// cli runs a command line, "serf" or "gossip", against an agent of whichever kind.
func (m *mix) cli(program string, a *harness.Agent, command string, args ...string) harness.Result {
	m.Helper()
	if program == "serf" {
		program = m.serf
	}
	return must(m.stage.Run(m.ctx, nil, program, append([]string{command, "-rpc-addr=" + a.RPC}, args...)...))(m.T)
}

// writes returns the flag for a handler that writes each event as one line into the file NAME.KIND: the name and
// payload of user events, the type and member of member events.
func (m *mix) writes(name, kind string) string {
	file := m.stage.Path(name + "." + kind)
	if kind == "user" {
		return fmt.Sprintf(`-event-handler=user=echo "$SERF_USER_EVENT $(cat)" >>%s`, file)
	}
	return fmt.Sprintf(`-event-handler=%s=while read -r name rest; do echo "$SERF_EVENT $name"; done >>%s`, kind, file)
}

// written waits until the agent's handler has written exactly these lines, in any order.
func (m *mix) written(a *harness.Agent, kind string, want ...string) {
	m.Helper()
	path := m.stage.Path(a.Name + "." + kind)
	slices.Sort(want)
	eventually(m.ctx, m.T, func() error {
		got := lines(path)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return fmt.Errorf("%s wrote %q, want %q", a.Name, got, want)
		}
		return nil
	})
}

// lines returns the lines of a file; none if it is not there yet.
func lines(path string) []string {
	b, err := os.ReadFile(path)
	text := strings.TrimSuffix(string(b), "\n")
	if err != nil || text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// TestMixedMembers: everybody sees everybody's tags, as they are and as they change, and who leaves.
func TestMixedMembers(t *testing.T) {
	mixed(t, func(m *mix) {
		agents := m.four(func(name string) []string {
			return []string{"-tag=kind=" + name, "-tag=role=web", m.writes(name, "member-join"), m.writes(name, "member-leave")}
		})
		tags := map[string]map[string]string{}
		for _, a := range agents {
			tags[a.Name] = map[string]string{"kind": a.Name, "role": "web"}
		}
		sameTags := func() {
			m.Helper()
			for _, a := range agents {
				eventually(m.ctx, m.T, func() error {
					members, err := a.Members(m.ctx)
					for name, want := range tags {
						if got := members[name].Tags; err == nil && !maps.Equal(got, want) {
							err = fmt.Errorf("%s sees the tags of %s as %v, want %v", a.Name, name, got, want)
						}
					}
					return err
				})
			}
		}
		sameTags()
		for _, a := range agents { // and before the tags change, which would be told instead
			var want []string
			for _, name := range names(agents) {
				want = append(want, "member-join "+name)
			}
			m.written(a, "member-join", want...)
		}
		for _, a := range agents {
			m.must(a, "tags", "-set", "kind=other "+a.Name, "-set", "empty=", "-delete", "role")
			tags[a.Name] = map[string]string{"kind": "other " + a.Name, "empty": ""}
		}
		sameTags()

		// One of each kind leaves on a signal and another one by command.
		left := func(a *harness.Agent) {
			m.Helper()
			if code := a.Code(); code != 0 {
				m.Errorf("%s left with exit code %d", a.Name, code)
			}
		}
		for _, a := range agents[2:] {
			m.must(a, "leave")
			left(a)
		}
		m.agree(agents[:2], "left", "gossip2", "serf2")
		for _, a := range agents[:2] {
			m.written(a, "member-leave", "member-leave gossip2", "member-leave serf2")
		}
		for i, a := range agents[:2] {
			if err := a.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			left(a)
			if i == 0 {
				m.agree(agents[1:2], "left", a.Name)
			}
		}
	})
}

// TestMixedSignals: an agent that ends tells the others what Serf's would, and its caller too; and it comes back.
func TestMixedSignals(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"gossip", "serf"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMix(t)
			witnesses := []*harness.Agent{m.start("gossip1")}
			witnesses = append(witnesses, m.start("serf1", "-join="+witnesses[0].Gossip))
			a := m.start(name, "-join="+witnesses[0].Gossip)
			for _, end := range []struct {
				signal os.Signal
				code   int
				status string
			}{
				{os.Kill, -1, "failed"},
				{syscall.SIGTERM, 1, "failed"},
				{os.Interrupt, 0, "left"},
			} {
				m.agree(witnesses, "alive", name)
				if err := a.Signal(end.signal); err != nil {
					t.Fatal(err)
				}
				if code := a.Code(); code != end.code {
					t.Errorf("%s ended by %v with exit code %d, want %d", name, end.signal, code, end.code)
				}
				m.agree(witnesses, end.status, name)
				a = m.again(a, m.program(name), "-join="+witnesses[1].Gossip)
			}
			m.agree(append(witnesses, a), "alive", name)
		})
	}
}
