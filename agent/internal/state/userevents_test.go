package state_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/lamport"
	"github.com/seed-645ce708/gossip/agent/internal/state"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

func TestUserEventOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first := &wire.UserEvent{LTime: 7, Name: "deploy", Payload: []byte("v1"), Coalesce: true}
	effects := r.hear(first)
	r.want("first", told(effects), "user-event: deploy; broadcast event(deploy,7)")
	got := all[state.Emit](effects)[0].Event.(*event.User)
	if got.LTime != 7 || got.Name != "deploy" || string(got.Payload) != "v1" || !got.Coalesce {
		t.Errorf("event %+v", got)
	}
	if b := all[state.Broadcast](effects)[0]; string(b.Msg) != string(wire.Encode(first)) || b.Queue != state.QueueEvent || b.Notify {
		t.Errorf("broadcast %+v", b)
	}
	if counted(effects, "serf.events") != 1 {
		t.Error("not counted")
	}
	if m := all[state.Metric](effects); m[1].Name != "serf.events" || m[1].Detail != "deploy" {
		t.Errorf("metrics %+v", m)
	}
	for _, tt := range []struct {
		name string
		m    *wire.UserEvent
		want string
	}{
		{"the same", first, ""},
		{"the same in all that counts", &wire.UserEvent{LTime: 7, Name: "deploy", Payload: []byte("v1")}, ""},
		{"another payload", &wire.UserEvent{LTime: 7, Name: "deploy", Payload: []byte("v2")}, "user-event: deploy; broadcast event(deploy,7)"},
		{"another name", &wire.UserEvent{LTime: 7, Name: "stop", Payload: []byte("v1")}, "user-event: stop; broadcast event(stop,7)"},
		{"no payload", &wire.UserEvent{LTime: 7, Name: "stop"}, "user-event: stop; broadcast event(stop,7)"},
		{"no payload is an empty one", &wire.UserEvent{LTime: 7, Name: "stop", Payload: []byte{}}, ""},
		{"no name", &wire.UserEvent{LTime: 7}, "user-event: ; broadcast event(,7)"},
		{"an older one", &wire.UserEvent{LTime: 3, Name: "deploy", Payload: []byte("v1")}, "user-event: deploy; broadcast event(deploy,3)"},
	} {
		r.want(tt.name, told(r.hear(tt.m)), tt.want)
	}
}

func TestUserEventAge(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.hear(&wire.UserEvent{LTime: 1000, Name: "now"}) // the clock is at 1001
	effects := r.hear(&wire.UserEvent{LTime: 488, Name: "old"})
	r.want("too old", told(effects), "")
	r.want("too old", logs(effects), "received old event old from time 488 (current: 1001)")
	r.want("just young enough", told(r.hear(&wire.UserEvent{LTime: 489, Name: "old"})), "user-event: old; broadcast event(old,489)")

	// At 1000 is a younger event in the same place of the ring as 488: it must stay.
	r.want("not again", told(r.hear(&wire.UserEvent{LTime: 1000, Name: "now"})), "")

	// While the clock is low, nothing is too old.
	r = newRig(t)
	r.hear(&wire.UserEvent{LTime: 511, Name: "now"})
	r.want("time 0", told(r.hear(&wire.UserEvent{LTime: 0, Name: "zero"})), "user-event: zero; broadcast event(zero,0)")
}

func TestUserEventsOfOneTimeAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range 5000 {
		r.hear(&wire.UserEvent{LTime: 9, Name: fmt.Sprint(i)})
	}
	n := 0
	for _, slot := range r.s.LocalState().Events {
		n += len(slot.Events)
	}
	if n != 4096 {
		t.Errorf("%d remembered, want 4096", n)
	}
	r.want("one more", told(r.hear(&wire.UserEvent{LTime: 9, Name: "more"})), "")
	r.want("the next time", told(r.hear(&wire.UserEvent{LTime: 10, Name: "more"})), "user-event: more; broadcast event(more,10)")
}

func TestSendUserEvent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	effects := r.step(state.UserEvent{Name: "deploy", Payload: []byte("x"), Coalesce: true})
	r.want("told", told(effects), "user-event: deploy; broadcast event(deploy,1)")
	m, err := wire.Decode(all[state.Broadcast](effects)[0].Msg)
	if err != nil || !m.(*wire.UserEvent).Coalesce {
		t.Errorf("sent %+v, %v", m, err)
	}
	r.want("the same again is another event", told(r.step(state.UserEvent{Name: "deploy", Payload: []byte("x")})), "user-event: deploy; broadcast event(deploy,2)")
	r.want("an empty name", told(r.step(state.UserEvent{})), "user-event: ; broadcast event(,3)")
	r.want("the echo", told(r.hear(&wire.UserEvent{LTime: 1, Name: "deploy", Payload: []byte("x")})), "")
}

func TestUserEventSizes(t *testing.T) {
	t.Parallel()
	const head = 1 + 1 + len("xCCx") - 1 + len("xLTimex") + len("xName") + len("xPayload") // and the lengths of name and payload
	for _, tt := range []struct {
		limit, size int
		want        string
	}{
		{512, 0, ""},
		{512, 513, "user event exceeds configured limit of 512 bytes before encoding"},
		{512, 512, "encoded user event exceeds configured limit of 512 bytes after encoding"},
		{512, 400, ""},
		{100, 101, "user event exceeds configured limit of 100 bytes before encoding"},
		{9216, 9217, "user event exceeds configured limit of 9216 bytes before encoding"},
		{9216, 9216, "encoded user event exceeds configured limit of 9216 bytes after encoding"},
		{9216, 9000, ""},
	} {
		r := newRig(t, func(c *state.Config) { c.EventSizeLimit = tt.limit })
		in := state.UserEvent{Name: "n", Payload: make([]byte, max(tt.size-1, 0))}
		if tt.want == "" {
			r.step(in)
			continue
		}
		r.want(fmt.Sprint(tt.size), r.refused(in), tt.want)
		r.wantClocks(1, 1, 1)
	}

	// The limit is for the whole message, to the byte.
	fits := func(payload int) bool {
		r := newRig(t)
		_, err := r.s.Step(r.now, state.UserEvent{Name: "n", Payload: make([]byte, payload)})
		return err == nil
	}
	largest := 0
	for n := range 512 {
		if fits(n) {
			largest = n
		}
	}
	if got := len(wire.Encode(&wire.UserEvent{LTime: 1, Name: "n", Payload: make([]byte, largest)})); got != 512 {
		t.Errorf("the largest event has %d bytes (head %d)", got, head)
	}
}

// Above the hard limit there is a second check, for those who skip Config.Validate.
func TestUserEventHardLimit(t *testing.T) {
	t.Parallel()
	cfg := state.DefaultConfig()
	cfg.EventSizeLimit = 20000
	if err := cfg.Validate(); err == nil || err.Error() != "user event size limit exceeds limit of 9216 bytes" {
		t.Errorf("Validate: %v", err)
	}
	r := &rig{t: t, s: state.New(cfg, node("self")), now: epoch}
	r.want("before encoding", r.refused(state.UserEvent{Name: strings.Repeat("n", 9217)}), "user event exceeds sane limit of 9216 bytes before encoding")
	r.want("after encoding", r.refused(state.UserEvent{Name: strings.Repeat("n", 9216)}), "encoded user event exceeds reasonable limit of 9216 bytes after encoding")
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*state.Config)
		want   string
	}{
		"protocol 1":   {func(c *state.Config) { c.Protocol = 1 }, "protocol version 1 is not between 2 and 5"},
		"protocol 6":   {func(c *state.Config) { c.Protocol = 6 }, "protocol version 6 is not between 2 and 5"},
		"no events":    {func(c *state.Config) { c.EventSizeLimit = 0 }, "user event size limit must be positive, not 0"},
		"no queries":   {func(c *state.Config) { c.QuerySizeLimit = -1 }, "query size limit must be positive, not -1"},
		"no responses": {func(c *state.Config) { c.QueryResponseSizeLimit = 0 }, "query response size limit must be positive, not 0"},
		"no ring":      {func(c *state.Config) { c.EventBuffer = 0 }, "event buffer must be positive, not 0"},
		"no reaper":    {func(c *state.Config) { c.ReapInterval = 0 }, "reap interval must be positive, not 0"},
	} {
		cfg := state.DefaultConfig()
		tt.change(&cfg)
		if err := cfg.Validate(); err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
	for v := uint8(2); v <= 5; v++ {
		cfg := state.DefaultConfig()
		cfg.Protocol = v
		if err := cfg.Validate(); err != nil {
			t.Errorf("protocol %d: %v", v, err)
		}
	}
}

func TestPushPull(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.step(state.Joined{})
	r.joins("a", "b", "c", "d")
	r.hear(&wire.Leave{LTime: 4, Node: "c"})
	r.step(state.NodeLeave{Node: node("c")})
	r.hear(&wire.UserEvent{LTime: 6, Name: "e6"}) // soon too old to be told
	r.hear(&wire.UserEvent{LTime: 100, Name: "e100"})
	r.hear(&wire.UserEvent{LTime: 600, Name: "e600"})
	r.hear(&wire.UserEvent{LTime: 600, Name: "f600"})
	r.hear(&wire.UserEvent{LTime: 599, Name: "e599"})

	mine := r.s.LocalState()
	if mine.LTime != 5 || mine.EventLTime != 601 || mine.QueryLTime != 1 {
		t.Errorf("clocks in %+v", mine)
	}
	if fmt.Sprint(mine.StatusLTimes) != "map[a:0 b:0 c:4 d:0 self:1]" || fmt.Sprint(mine.LeftMembers) != "[c]" {
		t.Errorf("members in %+v", mine)
	}

	// Another that knows the same nodes learns it all, in order, from the bytes.
	pp, err := wire.DecodePushPull(wire.Encode(mine))
	if err != nil {
		t.Fatal(err)
	}
	o := newRig(t)
	o.joins("a", "b", "c")
	effects := o.step(state.RemoteState{State: pp})
	// Its own leave of c is one later than ours, and nothing is passed on.
	o.want("told", told(effects), "user-event: e100; user-event: e599; user-event: e600; user-event: f600")
	o.wantClocks(6, 601, 1)
	o.want("c", o.status("c"), "leaving@5")
	o.want("d, a stranger", o.status("d"), "unknown")
	o.joins("d")
	o.want("d", o.status("d"), "alive@0")
	for _, e := range all[state.Emit](effects) {
		if e.Event.(*event.User).Coalesce {
			t.Error("a replayed event may be coalesced")
		}
	}
	o.want("again", told(o.step(state.RemoteState{State: pp})), "")
}

func TestPushPullTurnsFailedIntoLeft(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put("failed")
	pp := &wire.PushPull{LTime: 12, LeftMembers: []string{"x"}, StatusLTimes: map[string]lamport.Time{"x": 10, "self": 3}}
	r.want("told", told(r.step(state.RemoteState{State: pp})), "member-leave x(left)")
	r.want("status", r.status("x"), "left@11")
	r.want("ourselves", r.status("self"), "alive@3")
}

func TestPushPullIgnoringOldEvents(t *testing.T) {
	t.Parallel()
	pp := &wire.PushPull{EventLTime: 9, Events: []*wire.EventSlot{nil, {LTime: 8, Events: []wire.SlotEvent{{Name: "old"}}}}}
	r := newRig(t)
	r.want("ignored", told(r.step(state.RemoteState{State: pp, IgnoreOld: true})), "")
	r.want("later", told(r.step(state.RemoteState{State: pp})), "")
	r.want("late gossip", told(r.hear(&wire.UserEvent{LTime: 8, Name: "late"})), "")
	r.want("new", told(r.hear(&wire.UserEvent{LTime: 9, Name: "new"})), "user-event: new; broadcast event(new,9)")
	r = newRig(t)
	r.want("replayed", told(r.step(state.RemoteState{State: pp})), "user-event: old")
	r.step(state.RemoteState{}) // nothing to merge
}
