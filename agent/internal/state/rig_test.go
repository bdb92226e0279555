package state_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/lamport"
	"github.com/seed-645ce708/gossip/agent/internal/state"
	"github.com/seed-645ce708/gossip/agent/internal/view"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// rig drives one State, named "self", with a time of its own.
type rig struct {
	t   testing.TB
	s   *state.State
	now time.Time
}

func newRig(t testing.TB, opts ...func(*state.Config)) *rig {
	t.Helper()
	cfg := state.DefaultConfig()
	cfg.Rand = rand.New(rand.NewPCG(1, 2))
	for _, o := range opts {
		o(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	return &rig{t: t, s: state.New(cfg, node("self")), now: epoch}
}

func node(name string) state.Node {
	last := byte(0)
	for _, c := range []byte(name) {
		last += c
	}
	return state.Node{
		Name: name, Addr: netip.AddrFrom4([4]byte{10, 0, 0, last}), Port: 7946, Meta: []byte{0xff, 0x80},
		ProtocolMin: 1, ProtocolMax: 5, ProtocolCur: 2, DelegateMin: 2, DelegateMax: 5, DelegateCur: 5,
	}
}

func (r *rig) step(in state.Input) []state.Effect {
	r.t.Helper()
	effects, err := r.s.Step(r.now, in)
	if err != nil {
		r.t.Fatalf("%T%+v: %v", in, in, err)
	}
	return effects
}

func (r *rig) refused(in state.Input) string {
	r.t.Helper()
	effects, err := r.s.Step(r.now, in)
	if err == nil {
		r.t.Fatalf("%T%+v is not refused", in, in)
	}
	if len(effects) > 0 {
		r.t.Fatalf("%T%+v is refused, with effects %v", in, in, effects)
	}
	return err.Error()
}

// hear receives a message as its bytes would.
func (r *rig) hear(m wire.Message) []state.Effect {
	r.t.Helper()
	raw := wire.Encode(m)
	msg, err := wire.Decode(raw)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.step(state.Receive{Msg: msg, Raw: raw})
}

func (r *rig) sleep(d time.Duration) []state.Effect {
	r.t.Helper()
	r.now = r.now.Add(d)
	return r.step(state.Tick{})
}

func (r *rig) joins(names ...string) {
	r.t.Helper()
	for _, name := range names {
		r.step(state.NodeJoin{Node: node(name)})
	}
}

func (r *rig) member(name string) *view.Member {
	for _, m := range r.s.Members() {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// status is a member's status and the time of its newest intent: "alive@10", or "unknown".
func (r *rig) status(name string) string {
	m := r.member(name)
	if m == nil {
		return "unknown"
	}
	return fmt.Sprintf("%s@%d", m.Status, r.s.LocalState().StatusLTimes[name])
}

// put brings member "x" into a status with the time 10.
func (r *rig) put(status string) {
	r.t.Helper()
	switch status {
	case "unknown":
		return
	case "alive":
		r.joins("x")
		r.hear(&wire.Join{LTime: 10, Node: "x"})
	case "leaving":
		r.joins("x")
		r.hear(&wire.Leave{LTime: 10, Node: "x"})
	case "left":
		r.put("leaving")
		r.step(state.NodeLeave{Node: node("x")})
	case "failed":
		r.put("alive")
		r.step(state.NodeLeave{Node: node("x")})
	default:
		r.t.Fatalf("no status %q", status)
	}
	if got := r.status("x"); got != status+"@10" {
		r.t.Fatalf("x is %s, want %s", got, status)
	}
}

func all[T state.Effect](effects []state.Effect) []T {
	var list []T
	for _, e := range effects {
		if e, ok := e.(T); ok {
			list = append(list, e)
		}
	}
	return list
}

// told is what effects show to the world, in order, on one line: events, messages and the more important log
// lines.
func told(effects []state.Effect) string {
	var b []string
	for _, e := range effects {
		switch e := e.(type) {
		case state.Emit:
			switch ev := e.Event.(type) {
			case *event.Member:
				for _, m := range ev.Members {
					b = append(b, fmt.Sprintf("%s %s(%s)", ev.Kind, m.Name, m.Status))
				}
			default:
				b = append(b, ev.String())
			}
		case state.Broadcast:
			b = append(b, "broadcast "+describe(e.Msg))
		case state.Send:
			b = append(b, fmt.Sprintf("send %s to %s %s", describe(e.Msg), e.Node, e.To))
		case state.Reaped:
			b = append(b, "reaped "+e.Name)
		case state.Probe:
			b = append(b, fmt.Sprintf("probe %s", e.Addr))
		case state.Quit:
			b = append(b, "quit")
		case state.Reconnect:
			b = append(b, fmt.Sprintf("reconnect %s %s", e.Name, e.Addr))
		case state.InternalQuery:
			b = append(b, "internal "+e.Name)
		case state.QueryStarted:
			b = append(b, fmt.Sprintf("started, expect %d", e.Expect))
		case state.QueryAck:
			b = append(b, "ack of "+e.From)
		case state.QueryResponse:
			b = append(b, fmt.Sprintf("answer of %s: %s", e.From, e.Payload))
		case state.QueryDone:
			b = append(b, "done")
		}
	}
	return strings.Join(b, "; ")
}

func describe(raw []byte) string {
	m, err := wire.Decode(raw)
	if err != nil {
		return err.Error()
	}
	switch m := m.(type) {
	case *wire.Join:
		return fmt.Sprintf("join(%s,%d)", m.Node, m.LTime)
	case *wire.Leave:
		if m.Prune {
			return fmt.Sprintf("prune(%s,%d)", m.Node, m.LTime)
		}
		return fmt.Sprintf("leave(%s,%d)", m.Node, m.LTime)
	case *wire.UserEvent:
		return fmt.Sprintf("event(%s,%d)", m.Name, m.LTime)
	case *wire.Query:
		return fmt.Sprintf("query(%s,%d)", m.Name, m.LTime)
	case *wire.QueryResponse:
		if m.IsAck() {
			return "ack"
		}
		return fmt.Sprintf("answer(%s)", m.Payload)
	case *wire.Relay:
		return fmt.Sprintf("relay[%s to %s]", describe(m.Inner), m.DestName)
	}
	return m.Type().String()
}

func logs(effects []state.Effect) string {
	var b []string
	for _, l := range all[state.Log](effects) {
		b = append(b, l.Text)
	}
	return strings.Join(b, "; ")
}

// counted is the number of counts of a metric.
func counted(effects []state.Effect, name string) int {
	n := 0
	for _, m := range all[state.Metric](effects) {
		if m.Name == name && m.Detail == "" {
			n++
		}
	}
	return n
}

func (r *rig) want(what, got, want string) {
	r.t.Helper()
	if got != want {
		r.t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

func (r *rig) wantClocks(member, ev, query lamport.Time) {
	r.t.Helper()
	if got, want := r.s.Clocks(), (state.Clocks{Member: member, Event: ev, Query: query}); got != want {
		r.t.Errorf("clocks %+v, want %+v", got, want)
	}
}
