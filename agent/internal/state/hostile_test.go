package state_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/lamport"
	"github.com/seed-645ce708/gossip/agent/internal/state"
	"github.com/seed-645ce708/gossip/agent/internal/view"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// One message from the end of time must not make all later ones look old.
func TestFarFuture(t *testing.T) {
	t.Parallel()
	const maxJump = 1 << 32
	for _, far := range []uint64{1 << 40, 1 << 62, math.MaxUint64 - 1, math.MaxUint64} {
		at := wireTime(far)
		r := newRig(t)
		r.joins("x")
		r.step(state.RemoteState{State: &wire.PushPull{LTime: 100, EventLTime: 100, QueryLTime: 100}})
		var warned int
		for _, m := range []wire.Message{
			&wire.Join{LTime: at, Node: "x"}, &wire.Leave{LTime: at, Node: "x"}, &wire.Leave{LTime: at, Node: "stranger"},
			&wire.UserEvent{LTime: at, Name: "e"}, &wire.Query{LTime: at, Name: "q"},
		} {
			effects := r.hear(m)
			r.want(fmt.Sprintf("%T at %d", m, far), told(effects), "")
			if counted(effects, "serf.clock.implausible") == 1 && logs(effects) != "" {
				warned++
			}
		}
		if warned != 5 {
			t.Errorf("%d: %d warnings", far, warned)
		}
		r.step(state.RemoteState{State: &wire.PushPull{
			LTime: at, EventLTime: at, QueryLTime: at,
			StatusLTimes: map[string]lamport.Time{"x": at, "y": at}, LeftMembers: []string{"x", "z"},
			Events: []*wire.EventSlot{{LTime: at, Events: []wire.SlotEvent{{Name: "e"}}}},
		}, IgnoreOld: true})
		// Agents that did not hear the attack are behind, but never far enough behind for good: what they send
		// is old until a push/pull has brought them up to date, and then it is not.
		c := r.s.Clocks()
		if c.Member > 100+16*maxJump || c.Event > 100+16*maxJump || c.Query > 100+16*maxJump {
			t.Errorf("%d: clocks went along to %+v", far, c)
		}
		r.want("an event", told(r.hear(&wire.UserEvent{LTime: c.Event, Name: "e"})), fmt.Sprintf("user-event: e; broadcast event(e,%d)", c.Event))
		r.want("a query", told(r.hear(&wire.Query{LTime: c.Query, Name: "q"})), fmt.Sprintf("query: q; broadcast query(q,%d)", c.Query))
		r.want("a join", told(r.hear(&wire.Join{LTime: c.Member, Node: "x"})), fmt.Sprintf("broadcast join(x,%d)", c.Member))
		r.step(state.UserEvent{Name: "own"})
		if next := r.s.Clocks(); next.Event != c.Event+2 {
			t.Errorf("%d: the event clock is stuck at %d", far, next.Event)
		}

		// One that missed it all catches up.
		late := newRig(t)
		late.step(state.RemoteState{State: &wire.PushPull{LTime: 100, EventLTime: 100, QueryLTime: 100}})
		for range 32 {
			late.step(state.RemoteState{State: r.s.LocalState()})
		}
		if got, want := late.s.Clocks().Event, r.s.Clocks().Event; got != want {
			t.Errorf("%d: the late one stands at %d, not %d", far, got, want)
		}
	}
}

// A new agent believes the cluster that it joins, however far that has come.
func TestFirstPushPullIsTrusted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.step(state.RemoteState{State: &wire.PushPull{LTime: 1 << 60, EventLTime: 1 << 61, QueryLTime: 1 << 62}})
	r.wantClocks(1<<60, 1<<61, 1<<62)
	r = newRig(t)
	r.step(state.RemoteState{State: &wire.PushPull{LTime: math.MaxUint64, EventLTime: math.MaxUint64, QueryLTime: math.MaxUint64}, IgnoreOld: true})
	c := r.s.Clocks()
	if c.Member > 1<<33 {
		t.Errorf("believes in the end of time: %+v", c)
	}
	r.want("an event", told(r.hear(&wire.UserEvent{LTime: c.Event, Name: "e"})), fmt.Sprintf("user-event: e; broadcast event(e,%d)", c.Event))
}

// Even a clock at its very end neither wraps nor panics.
func TestEndOfTime(t *testing.T) {
	t.Parallel()
	const last = lamport.Time(math.MaxUint64)
	r := newRig(t)
	r.joins("x")
	r.step(state.Restore{Member: last, Event: last, Query: last})
	r.wantClocks(last, last, last)
	r.step(state.UserEvent{Name: "a"})
	r.step(state.Query{Name: "q"})
	r.want("a second query ends the first, whose time it takes", told(r.step(state.Query{Name: "q"}))[:4], "done")
	r.step(state.Joined{})
	r.step(state.ForceLeave{Name: "x", Prune: true})
	r.hear(&wire.UserEvent{LTime: last, Name: "e"})
	r.step(state.RemoteState{State: r.s.LocalState()})
	r.step(state.RemoteState{State: &wire.PushPull{LTime: last, LeftMembers: []string{"x", "self", ""}, StatusLTimes: map[string]lamport.Time{"x": last, "self": last, "": last}}})
	r.sleep(time.Hour)
	r.wantClocks(last, last, last)
}

func TestIntentsAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range 20000 {
		r.hear(&wire.Join{LTime: 1, Node: fmt.Sprint(i)})
	}
	r.want("no room", told(r.hear(&wire.Leave{LTime: 5, Node: "more"})), "")
	r.want("a known one", told(r.hear(&wire.Leave{LTime: 5, Node: "7"})), "broadcast leave(7,5)")
	r.joins("7")
	r.want("room for one", told(r.hear(&wire.Leave{LTime: 5, Node: "more"})), "broadcast leave(more,5)")
	r.sleep(6 * time.Minute)
	r.want("room again", told(r.hear(&wire.Leave{LTime: 5, Node: "another"})), "broadcast leave(another,5)")
}

// FuzzStep feeds any inputs in any order. Each begins with a byte that chooses its kind, and one for its
// length.
func FuzzStep(f *testing.F) {
	seed := func(parts ...[]byte) []byte {
		var b []byte
		for i := 0; i+1 < len(parts); i += 2 {
			b = append(b, parts[i][0], byte(len(parts[i+1])))
			b = append(b, parts[i+1]...)
		}
		return b
	}
	msg := func(m wire.Message) []byte { return wire.Encode(m) }
	kind := func(k byte) []byte { return []byte{k} }
	f.Add(seed(kind(0), []byte("x"), kind(4), msg(&wire.Leave{LTime: 9, Node: "x", Prune: true}), kind(1), []byte("x"), kind(11), []byte{60}))
	f.Add(seed(kind(4), msg(&wire.Join{LTime: math.MaxUint64, Node: ""}), kind(0), nil, kind(4), msg(&wire.Leave{LTime: 3, Node: "self"})))
	f.Add(seed(kind(4), msg(question(5, 1)), kind(9), []byte("fine"), kind(4), msg(&wire.UserEvent{LTime: 7, Name: "e"}), kind(6), []byte("e")))
	f.Add(seed(kind(5), msg(&wire.PushPull{LTime: 3, LeftMembers: []string{"x", "self"}, StatusLTimes: map[string]lamport.Time{"x": 8}}), kind(7), []byte("x")))
	f.Add(seed(kind(8), []byte("q"), kind(10), []byte("self"), kind(3), nil, kind(12), nil, kind(13), nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg := state.DefaultConfig()
		cfg.Rand = rand.New(rand.NewPCG(1, 1))
		s := state.New(cfg, node("self"))
		now := epoch
		var before state.Clocks
		seen := map[string]bool{}
		for len(data) >= 2 {
			k, n := data[0], min(int(data[1]), len(data)-2)
			body := data[2 : 2+n]
			data = data[2+n:]
			in := fuzzInput(k, body, s.Clocks())
			if in == nil {
				continue
			}
			if k%16 == 11 && len(body) > 0 {
				now = now.Add(time.Duration(body[0]) * time.Second)
			}
			effects, err := s.Step(now, in)
			if err != nil && len(effects) > 0 {
				t.Fatalf("refused with effects: %v", effects)
			}
			after := s.Clocks()
			if after.Member < before.Member || after.Event < before.Event || after.Query < before.Query {
				t.Fatalf("clocks went back from %+v to %+v", before, after)
			}
			before = after
			for _, e := range effects {
				em, ok := e.(state.Emit)
				if !ok {
					continue
				}
				if u, ok := em.Event.(*event.User); ok {
					key := fmt.Sprintf("%d %q %q", u.LTime, u.Name, u.Payload)
					if seen[key] {
						t.Fatalf("event %s delivered twice", key)
					}
					seen[key] = true
				}
			}
			checkState(t, s)
			if next := s.Next(now); next.Before(epoch) {
				t.Fatalf("next tick at %v", next)
			}
		}
		pp, err := wire.DecodePushPull(wire.Encode(s.LocalState()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := state.New(cfg, node("other")).Step(now, state.RemoteState{State: pp}); err != nil {
			t.Fatal(err)
		}
	})
}

func checkState(t *testing.T, s *state.State) {
	t.Helper()
	var c state.Counts
	local := false
	members := s.Members()
	for i, m := range members {
		switch m.Status {
		case view.StatusAlive:
			c.Alive++
		case view.StatusLeaving:
			c.Leaving++
		case view.StatusLeft:
			c.Left++
		case view.StatusFailed:
			c.Failed++
		}
		if i > 0 && members[i-1].Name >= m.Name {
			t.Fatal("members out of order")
		}
		if m.Tags == nil {
			t.Fatalf("%s has nil tags", m.Name)
		}
		local = local || m == s.Local()
	}
	if c != s.Counts() || !local {
		t.Fatalf("counts %+v, members make %+v, ourselves among them: %v", s.Counts(), c, local)
	}
}

func fuzzInput(kind byte, body []byte, c state.Clocks) state.Input {
	n := node(string(body[:min(len(body), 3)]))
	if len(body) > 3 {
		n.Meta = body[3:]
	}
	switch kind % 16 {
	case 0:
		return state.NodeJoin{Node: n}
	case 1:
		return state.NodeLeave{Node: n}
	case 2:
		return state.NodeUpdate{Node: n}
	case 3:
		return state.NameConflict{Existing: node("self"), Other: n}
	case 4:
		m, err := wire.Decode(body)
		if err != nil {
			return nil
		}
		return state.Receive{Msg: m, Raw: body}
	case 5:
		pp, err := wire.DecodePushPull(body)
		if err != nil {
			return nil
		}
		return state.RemoteState{State: pp, IgnoreOld: len(body)%2 == 0}
	case 6:
		return state.UserEvent{Name: string(body), Payload: body}
	case 7:
		return state.ForceLeave{Name: string(body), Prune: len(body)%2 == 0}
	case 8:
		return state.Query{Name: string(body), FilterTags: map[string]string{"role": string(body)}, WantAck: true, RelayFactor: 2}
	case 9:
		return state.Respond{LTime: c.Query - 1, ID: 1, Payload: body}
	case 10:
		return state.ForceLeave{Name: "self", Prune: true}
	case 11:
		return state.Tick{}
	case 12:
		return state.LeaveBegin{}
	case 13:
		return state.LeaveDone{}
	case 14:
		return state.Joined{}
	default:
		return state.LocalTags{Tags: map[string]string{"role": string(body)}}
	}
}
