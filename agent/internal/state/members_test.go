package state_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/state"
	"github.com/seed-645ce708/gossip/agent/internal/view"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// Every row of the tables of Serf reference 2.3 and 2.4: what each input does in each status.
func TestStatusTable(t *testing.T) {
	t.Parallel()
	join := func(at uint64) any { return &wire.Join{LTime: wireTime(at), Node: "x"} }
	leave := func(at uint64) any { return &wire.Leave{LTime: wireTime(at), Node: "x"} }
	prune := func(at uint64) any { return &wire.Leave{LTime: wireTime(at), Node: "x", Prune: true} }
	nodeJoin, nodeLeave, nodeUpdate := state.NodeJoin{Node: node("x")}, state.NodeLeave{Node: node("x")}, state.NodeUpdate{Node: node("x")}
	for _, tt := range []struct {
		from string
		in   any
		to   string
		told string
		log  string
	}{
		{"unknown", nodeJoin, "alive@0", "member-join x(alive)", "EventMemberJoin: x 10.0.0.120"},
		{"alive", nodeJoin, "alive@10", "member-join x(alive)", "EventMemberJoin: x 10.0.0.120"},
		{"leaving", nodeJoin, "alive@10", "member-join x(alive)", "EventMemberJoin: x 10.0.0.120"},
		{"left", nodeJoin, "alive@10", "member-join x(alive)", "EventMemberJoin: x 10.0.0.120"},
		{"failed", nodeJoin, "alive@10", "member-join x(alive)", "EventMemberJoin: x 10.0.0.120"},

		{"unknown", nodeLeave, "unknown", "", ""},
		{"alive", nodeLeave, "failed@10", "member-failed x(failed)", "EventMemberFailed: x 10.0.0.120"},
		{"leaving", nodeLeave, "left@10", "member-leave x(left)", "EventMemberLeave: x 10.0.0.120"},
		{"left", nodeLeave, "left@10", "", "Bad state when leave: x"},
		{"failed", nodeLeave, "failed@10", "", "Bad state when leave: x"},

		{"unknown", nodeUpdate, "unknown", "", ""},
		{"alive", nodeUpdate, "alive@10", "member-update x(alive)", "EventMemberUpdate: x"},
		{"leaving", nodeUpdate, "leaving@10", "member-update x(leaving)", "EventMemberUpdate: x"},
		{"left", nodeUpdate, "left@10", "member-update x(left)", "EventMemberUpdate: x"},
		{"failed", nodeUpdate, "failed@10", "member-update x(failed)", "EventMemberUpdate: x"},

		{"unknown", join(11), "unknown", "broadcast join(x,11)", ""},
		{"alive", join(9), "alive@10", "", ""},
		{"alive", join(10), "alive@10", "", ""},
		{"alive", join(11), "alive@11", "broadcast join(x,11)", ""},
		{"leaving", join(10), "leaving@10", "", ""},
		{"leaving", join(11), "alive@11", "broadcast join(x,11)", ""},
		{"left", join(10), "left@10", "", ""},
		{"left", join(11), "left@11", "broadcast join(x,11)", ""},
		{"failed", join(10), "failed@10", "", ""},
		{"failed", join(11), "failed@11", "broadcast join(x,11)", ""},

		{"unknown", leave(11), "unknown", "broadcast leave(x,11)", ""},
		{"alive", leave(9), "alive@10", "", ""},
		{"alive", leave(10), "alive@10", "", ""},
		{"alive", leave(11), "leaving@11", "broadcast leave(x,11)", ""},
		{"leaving", leave(10), "leaving@10", "", ""},
		{"leaving", leave(11), "leaving@11", "broadcast leave(x,11)", ""},
		{"left", leave(10), "left@10", "", ""},
		{"left", leave(11), "left@11", "broadcast leave(x,11)", ""},
		{"failed", leave(10), "failed@10", "", ""},
		{"failed", leave(11), "left@11", "member-leave x(left); broadcast leave(x,11)", "EventMemberLeave (forced): x 10.0.0.120"},

		{"unknown", prune(11), "unknown", "broadcast prune(x,11)", ""},
		{"alive", prune(10), "alive@10", "", ""},
		{"alive", prune(11), "leaving@11", "broadcast prune(x,11)", ""},
		{"leaving", prune(11), "leaving@11", "broadcast prune(x,11)", ""},
		{"left", prune(10), "left@10", "", ""},
		{"left", prune(11), "unknown", "member-reap x(left); reaped x; broadcast prune(x,11)", "EventMemberReap (forced): x 10.0.0.120"},
		{
			"failed", prune(11), "unknown", "member-leave x(left); member-reap x(left); reaped x; broadcast prune(x,11)",
			"EventMemberLeave (forced): x 10.0.0.120; EventMemberReap (forced): x 10.0.0.120",
		},
	} {
		t.Run(fmt.Sprintf("%s/%T%+v", tt.from, tt.in, tt.in), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.put(tt.from)
			var effects []state.Effect
			switch in := tt.in.(type) {
			case wire.Message:
				effects = r.hear(in)
			case state.Input:
				effects = r.step(in)
			}
			r.want("status", r.status("x"), tt.to)
			r.want("told", told(effects), tt.told)
			r.want("log", logs(effects), tt.log)
		})
	}
}

func TestIntentsAheadOfMembers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		heard []wire.Message
		news  int // how many were passed on
		to    string
	}{
		{"join", []wire.Message{&wire.Join{LTime: 5, Node: "x"}}, 1, "alive@5"},
		{"leave", []wire.Message{&wire.Leave{LTime: 5, Node: "x"}}, 1, "leaving@5"},
		{"twice", []wire.Message{&wire.Leave{LTime: 5, Node: "x"}, &wire.Leave{LTime: 5, Node: "x"}}, 1, "leaving@5"},
		{"newer join", []wire.Message{&wire.Leave{LTime: 5, Node: "x"}, &wire.Join{LTime: 6, Node: "x"}}, 2, "alive@6"},
		{"older join", []wire.Message{&wire.Leave{LTime: 6, Node: "x"}, &wire.Join{LTime: 5, Node: "x"}}, 1, "leaving@6"},
		{"equal join", []wire.Message{&wire.Leave{LTime: 6, Node: "x"}, &wire.Join{LTime: 6, Node: "x"}}, 1, "leaving@6"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			news := 0
			for _, m := range tt.heard {
				news += len(all[state.Broadcast](r.hear(m)))
			}
			if news != tt.news {
				t.Errorf("%d were news, want %d", news, tt.news)
			}
			r.joins("x")
			r.want("status", r.status("x"), tt.to)
		})
	}
	t.Run("expired", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.hear(&wire.Leave{LTime: 5, Node: "x"})
		r.sleep(5 * time.Minute)
		r.sleep(15 * time.Second)
		r.joins("x")
		r.want("status", r.status("x"), "alive@0")
	})
}

func TestFlap(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		away time.Duration
		want int
	}{{59 * time.Second, 1}, {60 * time.Second, 0}} {
		r := newRig(t)
		r.put("failed")
		r.now = r.now.Add(tt.away)
		if got := counted(r.step(state.NodeJoin{Node: node("x")}), "serf.member.flap"); got != tt.want {
			t.Errorf("back after %v: %d flaps, want %d", tt.away, got, tt.want)
		}
	}
	r := newRig(t)
	r.put("left")
	if got := counted(r.step(state.NodeJoin{Node: node("x")}), "serf.member.flap"); got != 0 {
		t.Errorf("a member that left flaps: %d", got)
	}
}

func TestMemberMetrics(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, tt := range []struct {
		in   state.Input
		want string
	}{
		{state.NodeJoin{Node: node("x")}, "serf.member.join"},
		{state.NodeUpdate{Node: node("x")}, "serf.member.update"},
		{state.NodeLeave{Node: node("x")}, "serf.member.failed"},
	} {
		if got := counted(r.step(tt.in), tt.want); got != 1 {
			t.Errorf("%T: %d of %s", tt.in, got, tt.want)
		}
	}
	if e := r.hear(&wire.Leave{LTime: 9, Node: "x"}); counted(e, "serf.member.left") != 0 {
		t.Error("a forced leave is counted")
	}
	r = newRig(t)
	r.put("leaving")
	if got := counted(r.step(state.NodeLeave{Node: node("x")}), "serf.member.left"); got != 1 {
		t.Errorf("%d of serf.member.left", got)
	}
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	n := node("x")
	n.Meta, _ = wire.EncodeTags(map[string]string{"role": "web"}, 5)
	r.step(state.NodeJoin{Node: n})
	before := r.member("x")
	n.Addr, n.Port, n.DelegateCur = netip.MustParseAddr("::ffff:10.9.9.9"), 1234, 4
	n.Meta, _ = wire.EncodeTags(map[string]string{"role": "db"}, 5)
	r.step(state.NodeUpdate{Node: n})
	after := r.member("x")
	if after.Tags["role"] != "db" || after.Addr != n.Addr || after.Port != 1234 || after.DelegateCur != 4 {
		t.Errorf("after the update: %+v", after)
	}
	if before.Tags["role"] != "web" || before.Port != 7946 {
		t.Errorf("a published member was modified: %+v", before)
	}
	n.Meta = []byte{0xff, 0x81}
	r.want("damaged tags", logs(r.step(state.NodeUpdate{Node: n})), "Failed to decode tags: damaged tags: ends too early; EventMemberUpdate: x")
	if tags := r.member("x").Tags; tags == nil || len(tags) != 0 {
		t.Errorf("damaged tags: %v", tags)
	}
	n.Meta = []byte("old-role")
	r.step(state.NodeUpdate{Node: n})
	r.want("role of version 2", r.member("x").Tags["role"], "old-role")
}

func TestMembersAreSortedAndImmutable(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if !r.s.Changed() {
		t.Error("not changed at the start")
	}
	first := r.s.Members()
	kept := slices.Clone(first)
	if r.s.Changed() {
		t.Error("changed right after Members")
	}
	r.joins("b", "z", "a")
	if !r.s.Changed() {
		t.Error("joins changed nothing")
	}
	second := r.s.Members()
	if !slices.Equal(first, kept) {
		t.Error("the first slice was modified")
	}
	var names []string
	for _, m := range second {
		names = append(names, m.Name)
	}
	if !slices.Equal(names, []string{"a", "b", "self", "z"}) {
		t.Errorf("order %v", names)
	}
	r.hear(&wire.UserEvent{LTime: 3, Name: "n"})
	if third := r.s.Members(); r.s.Changed() || &third[0] != &second[0] {
		t.Error("an event changed the members")
	}
	r.step(state.NodeLeave{Node: node("b")})
	if second[1].Status != view.StatusAlive {
		t.Error("a published member was modified")
	}
	fourth := r.s.Members()
	if fourth[0] != second[0] || fourth[1] == second[1] {
		t.Error("a change of one member must replace that one only")
	}
	if got := r.s.Counts(); got != (state.Counts{Alive: 3, Failed: 1}) || got.Total() != 4 || got.Live() != 3 {
		t.Errorf("counts %+v", got)
	}
}

func TestForeignNameConflict(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("x")
	other := node("x")
	other.Addr, other.Port = netip.MustParseAddr("10.9.9.9"), 77
	effects := r.step(state.NameConflict{Existing: node("x"), Other: other})
	r.want("log", logs(effects), "Name conflict for 'x' both 10.0.0.120:7946 and 10.9.9.9:77 are claiming")
	r.want("told", told(effects), "")
}
