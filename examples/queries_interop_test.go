package examples_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// answers is what `query -format=json` prints.
type answers struct {
	Acks      []string
	Responses map[string]string
}

const noExpression = "-tag=kind=(" // nobody matches

// TestMixedQueries: who is meant answers, once, to whoever asks with whichever program, with relays and without.
func TestMixedQueries(t *testing.T) {
	mixed(t, func(m *mix) {
		agents := m.four(func(name string) []string {
			kind := strings.TrimRight(name, "12")
			return []string{
				"-tag=kind=" + kind, "-tag=nr=" + strings.TrimPrefix(name, kind),
				`-event-handler=query:load=echo "load of $SERF_SELF_NAME: '$(cat)'"`,
				"-event-handler=query:fails=echo no; exit 3",
				"-event-handler=query:long=head -c 1000 /dev/zero",
				"-event-handler=query:silent=true",
			}
		})
		all := names(agents)
		for nr, test := range []struct {
			flags   []string
			query   []string // name and payload
			acks    []string
			answers []string // of whom
		}{
			{nil, []string{"load", "now"}, all, all},
			{[]string{"-relay-factor=1", "-timeout=1s"}, []string{"load", "now"}, all, all},
			{[]string{"-relay-factor=2", "-timeout=1s"}, []string{"load", "now"}, all, all},
			{[]string{"-relay-factor=3", "-timeout=1s"}, []string{"load", "now"}, all, all},
			{[]string{"-no-ack", "-relay-factor=1", "-timeout=1s"}, []string{"load", ""}, nil, all},
			{[]string{"-node=serf2", "-node=gossip1", "-node=nobody", "-timeout=1s"}, []string{"load", "now"}, []string{"serf2", "gossip1"}, []string{"serf2", "gossip1"}},
			{[]string{"-tag=kind=^s", "-timeout=1s"}, []string{"load", "now"}, []string{"serf1", "serf2"}, []string{"serf1", "serf2"}},
			{[]string{"-tag=kind=ss", "-timeout=1s"}, []string{"load", "now"}, []string{"gossip1", "gossip2"}, []string{"gossip1", "gossip2"}},
			{[]string{"-tag=kind=.", "-tag=nr=1|2", "-tag=absent=^$", "-node=gossip2", "-node=serf1", "-timeout=1s"}, []string{"load", "now"},
				[]string{"gossip2", "serf1"}, []string{"gossip2", "serf1"}},
			{[]string{noExpression, "-timeout=500ms"}, []string{"load", "now"}, nil, nil},
			{[]string{"-timeout=1s"}, []string{"fails"}, all, nil},
			{[]string{"-timeout=1s"}, []string{"long"}, all, nil},
			{[]string{"-timeout=1s"}, []string{"silent"}, all, nil},
			{[]string{"-timeout=500ms"}, []string{"unknown"}, all, nil},
			{[]string{"-timeout=500ms"}, []string{"_serf_ping"}, all, nil},
		} {
			for i, a := range agents[:2] {
				// Both programs, but not all four pairs each time: half of the pairs are enough to meet each other.
				program := []string{"serf", "gossip"}[i]
				if nr%2 == 1 {
					program = []string{"gossip", "serf"}[i]
				}
				if slices.Contains(test.flags, noExpression) {
					program = "serf" // ours refuses to ask
				}
				want := map[string]string{}
				for _, name := range test.answers {
					payload := ""
					if len(test.query) > 1 {
						payload = test.query[1]
					}
					want[name] = "load of " + name + ": '" + payload + "'\n"
				}
				// A datagram may be lost on a busy machine, so each gets a few tries, within the test's time.
				eventually(m.ctx, m.T, func() error {
					var got answers
					r := m.cli(program, a, "query", slices.Concat([]string{"-format=json"}, test.flags, test.query)...)
					if err := json.Unmarshal([]byte(r.Stdout), &got); r.Code != 0 || err != nil {
						return fmt.Errorf("query: %+v, %v", r, err)
					}
					slices.Sort(got.Acks)
					acks := slices.Sorted(slices.Values(test.acks))
					if !slices.Equal(got.Acks, acks) || !maps.Equal(got.Responses, want) {
						return fmt.Errorf("%s at %s, %q: got %+v, want acks %q and %q", program, a.Name, test, got, acks, want)
					}
					return nil
				})
			}
		}
	})
}

// TestMixedRelay cuts the way by which one agent sends packets to another, so that its answers arrive through a
// third or not at all. The three are of either kind in all ways.
func TestMixedRelay(t *testing.T) {
	t.Parallel()
	for _, kinds := range [][3]string{ // who asks, answers, relays
		{"gossip", "gossip", "serf"}, {"gossip", "serf", "gossip"}, {"gossip", "serf", "serf"},
		{"serf", "gossip", "gossip"}, {"serf", "gossip", "serf"}, {"serf", "serf", "gossip"},
	} {
		for mode, flags := range map[string][]string{"plain": nil, "encrypted": {"-encrypt=" + secondKey}} {
			t.Run(strings.Join(kinds[:], " ")+" "+mode, func(t *testing.T) {
				t.Parallel()
				m := newMix(t, flags...)
				gate := newGate(t)
				asks := m.start(kinds[0]+"-asks", "-advertise="+gate.addr)
				gate.open(asks.Gossip)
				load := "-event-handler=query:load=echo 42"
				relays := m.start(kinds[2]+"-relays", "-join="+gate.addr)
				answers := m.start(kinds[1]+"-answers", "-join="+gate.addr, load)
				for _, a := range []string{asks.Name, relays.Name, answers.Name} {
					sees(m.ctx, t, asks, a, "alive")
					sees(m.ctx, t, answers, a, "alive")
					sees(m.ctx, t, relays, a, "alive")
				}
				ask := func(factor int) string {
					return m.must(asks, "query", "-node="+answers.Name, "-timeout=2s", "-relay-factor="+strconv.Itoa(factor), "load")
				}
				if got := ask(0); !strings.Contains(got, "Response from '"+answers.Name+"': 42") {
					t.Errorf("before the way is cut: %s", got)
				}
				gate.cut(answers.Gossip)
				if got := ask(0); !strings.Contains(got, "Total Acks: 0\n") || !strings.Contains(got, "Total Responses: 0\n") {
					t.Errorf("without relay: %s", got)
				}
				// Serf chooses relays at random and may make the asker one, to which the way is cut.
				eventually(m.ctx, t, func() error {
					if got := ask(2); !strings.Contains(got, "Total Acks: 1\n") || !strings.Contains(got, "Response from '"+answers.Name+"': 42") {
						return fmt.Errorf("with relays: %s", got)
					}
					return nil
				})
				if gate.dropped() == 0 {
					t.Error("nothing was sent directly, so nothing was tested")
				}
			})
		}
	}
}
