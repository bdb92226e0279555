package examples_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/examples/internal/harness"
)

// TestMixedCommandLine runs both programs against agents of both kinds in one cluster: all four say the same.
func TestMixedCommandLine(t *testing.T) {
	t.Parallel()
	m := newMix(t, "-encrypt="+firstKey)
	agents := m.four(func(name string) []string {
		return []string{"-tag=role=web", "-tag=name=" + name, "-event-handler=query:load=echo load of $SERF_SELF_NAME"}
	})
	dead := m.start("gossip3", "-join="+agents[0].Gossip)
	gone := m.start("serf3", "-join="+agents[0].Gossip)
	m.agree(agents, "alive", "gossip3", "serf3")
	dead.Kill()
	m.must(gone, "leave")
	m.agree(agents, "failed", "gossip3")
	m.agree(agents, "left", "serf3")
	for _, args := range [][]string{
		{"members"},
		{"members", "-detailed", "-status=alive"}, // of the others, ours tells more
		{"members", "-format=json"},
		{"members", "-status=alive", "-tag=name=serf.*"},
		{"members", "-status=failed"},
		{"members", "-status=left", "-format=json"},
		{"members", "-name=gossip[12]", "-role=web"},
		{"members", "-name=nobody"},
		{"reachability"},
		{"query", "-timeout=1s", "load"},
		{"query", "-timeout=1s", "-relay-factor=2", "-format=json", "load"},
		{"query", "-timeout=1s", "-node=gossip2", "-node=serf2", "load"},
		{"query", "-timeout=1s", "_serf_ping"},
		{"query", "_serf_conflict", "gossip1"},
		{"query", strings.Repeat("x", 1100)},
		{"event", "deploy", "v1"},
		{"event", "-coalesce=false", "deploy", strings.Repeat("x", 600)},
		{"keys", "-list"},
		{"keys", "-use=" + firstKey},
		{"keys", "-install=short"},
		{"rtt", "nobody"},
		{"rtt", "gossip2", "gossip2"},
		{"force-leave", "nobody"},
		{"join", agents[3].Gossip},
		{"join", agents[2].Gossip, agents[3].Gossip},
		{"tags", "-set=x=" + strings.Repeat("x", 600)},
		{"monitor", "-log-level=loud"},
	} {
		eventually(m.ctx, t, func() error { // an answer to a query may be lost on a busy machine
			outputs := map[string][]string{}
			for _, a := range agents[:2] {
				theirs, ours := m.cli("serf", a, args[0], args[1:]...), m.cli("gossip", a, args[0], args[1:]...)
				x, y := normal(theirs), normal(ours)
				if theirs.Code != 0 && strings.HasPrefix(y, x) {
					y = x // ours adds advice to some errors
				}
				outputs[x] = append(outputs[x], "serf at "+a.Name)
				outputs[y] = append(outputs[y], "gossip at "+a.Name)
			}
			if len(outputs) != 1 {
				var text strings.Builder
				for _, output := range slices.Sorted(maps.Keys(outputs)) {
					fmt.Fprintf(&text, "--- %s\n%s\n", strings.Join(outputs[output], ", "), output)
				}
				return fmt.Errorf("%.60q:\n%s", args, &text)
			}
			return nil
		})
	}
}

// normal makes the outputs of two programs comparable, with the exit code first: nothing is left of what is random, such as
// the order of lines, tags and members, nor of where errors are printed.
func normal(r harness.Result) string {
	var doc any
	if r.Code == 0 && json.Unmarshal([]byte(r.Stdout), &doc) == nil {
		if top, ok := doc.(map[string]any); ok {
			for _, key := range []string{"members", "Acks"} {
				if list, ok := top[key].([]any); ok {
					slices.SortFunc(list, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
				}
			}
		}
		b, _ := json.Marshal(doc) // it was JSON before
		return "0 " + string(b)
	}
	var list []string
	for line := range strings.Lines(r.Stdout + r.Stderr) {
		fields := strings.Fields(line)
		for i, field := range fields {
			tags := strings.Split(field, ",")
			slices.Sort(tags)
			fields[i] = strings.Join(tags, ",")
		}
		if len(fields) > 0 {
			list = append(list, strings.Join(fields, " "))
		}
	}
	slices.Sort(list)
	return fmt.Sprint(r.Code, " ") + regexp.MustCompile(`\d+\.\d+ ms`).ReplaceAllString(strings.Join(list, "\n"), "# ms")
}

// TestMixedRTT: agents of both kinds learn coordinates from each other, and both programs estimate with them.
func TestMixedRTT(t *testing.T) {
	mixed(t, func(m *mix) {
		agents := m.four(nil)
		for _, a := range agents[:2] {
			for _, program := range []string{"serf", "gossip"} {
				for _, pair := range [][]string{{"gossip1", "serf1"}, {"serf2", "gossip2"}, {"serf2"}, {"gossip2"}} {
					shown := append(slices.Clone(pair), a.Name)[:2]
					want := regexp.MustCompile(`^Estimated ` + shown[0] + ` <-> ` + shown[1] + ` rtt: \d+\.\d{3} ms\n$`)
					eventually(m.ctx, m.T, func() error { // until they have probed each other
						if r := m.cli(program, a, "rtt", pair...); r.Code != 0 || !want.MatchString(r.Stdout) {
							return fmt.Errorf("%s rtt %v at %s: %+v", program, pair, a.Name, r)
						}
						return nil
					})
				}
			}
		}
	})
}

// TestMixedProtocols: agents that speak older versions of the protocol, of either kind, are in one cluster and look the same.
func TestMixedProtocols(t *testing.T) {
	t.Parallel()
	m := newMix(t)
	var agents []*harness.Agent
	for version := 2; version <= 5; version++ {
		for _, kind := range []string{"gossip", "serf"} {
			name := fmt.Sprint(kind, version)
			args := []string{
				fmt.Sprintf("-protocol=%d", version), "-tag=role=web", "-tag=dc=east", m.writes(name, "user"),
				"-event-handler=query:load=echo $SERF_SELF_NAME",
			}
			if len(agents) > 0 {
				args = append(args, "-join="+agents[0].Gossip)
			}
			agents = append(agents, m.start(name, args...))
		}
	}
	m.agree(agents, "alive", names(agents)...)
	for _, a := range agents {
		m.must(a, "event", "-coalesce=false", "from", a.Name)
	}
	var told []string
	for _, a := range agents {
		told = append(told, "from "+a.Name)
	}
	for _, a := range agents {
		m.written(a, "user", slices.Clone(told)...)
	}
	// Two agents of one version: what others know of the one, and what it may ask, is what holds for the other.
	for i := 0; i < len(agents); i += 2 {
		ours, theirs := agents[i], agents[i+1]
		for _, a := range agents {
			members := must(a.Members(m.ctx))(t)
			want := map[string]string{"role": "web", "dc": "east"}
			if i == 0 { // protocol 2 has roles and no tags
				delete(want, "dc")
			}
			for _, name := range names(agents[i : i+2]) {
				if a.Name == name { // its own tags it knows
					continue
				}
				if got := members[name].Tags; !maps.Equal(got, want) {
					t.Errorf("%s sees the tags of %s as %v, want %v", a.Name, name, got, want)
				}
			}
			detail := m.cli("serf", a, "members", "-detailed", "-name="+ours.Name).Stdout
			if want := fmt.Sprintf("Protocol Version: %d", i/2+2); !strings.Contains(detail, want) {
				t.Errorf("%s shows %q, want %q", a.Name, detail, want)
			}
		}
		eventually(m.ctx, t, func() error { // an answer to a query may be lost on a busy machine
			x := m.cli("serf", ours, "query", "-timeout=1500ms", "load")
			y := m.cli("serf", theirs, "query", "-timeout=1500ms", "load")
			if x.Code != y.Code || squeeze(x.Stdout) != squeeze(y.Stdout) {
				return fmt.Errorf("a query at %s: %+v\n at %s: %+v", ours.Name, x, theirs.Name, y)
			}
			return nil
		})
	}
}
