package state_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/state"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

func impostor() state.Node {
	n := node("self")
	n.Addr = netip.MustParseAddr("10.6.6.6")
	return n
}

func TestNameConflictVote(t *testing.T) {
	t.Parallel()
	mine := node("self")
	ours := wire.Encode(&wire.Member{Name: "self", Addr: mine.Addr, Port: mine.Port})
	mapped := wire.Encode(&wire.Member{Name: "self", Addr: netip.AddrFrom16(mine.Addr.As16()), Port: mine.Port})
	port := wire.Encode(&wire.Member{Name: "self", Addr: mine.Addr, Port: 1})
	theirs := wire.Encode(&wire.Member{Name: "self", Addr: impostor().Addr, Port: mine.Port})
	unknown := wire.Encode((*wire.Member)(nil))
	damaged := []byte{6, 1}
	for _, tt := range []struct {
		name    string
		answers [][]byte
		quit    bool
		log     string
	}{
		{"nobody answers", nil, false, "majority in name conflict resolution [0 / 0]"},
		{"one for us", [][]byte{ours}, false, "majority in name conflict resolution [1 / 1]"},
		{"one against us", [][]byte{theirs}, true, "minority in name conflict resolution, quiting [0 / 1]"},
		{"a tie", [][]byte{ours, theirs}, true, "minority in name conflict resolution, quiting [1 / 2]"},
		{"two to one", [][]byte{ours, theirs, mapped}, false, "majority in name conflict resolution [2 / 3]"},
		{"one to two", [][]byte{ours, theirs, port}, true, "minority in name conflict resolution, quiting [1 / 3]"},
		{"unknown counts against us", [][]byte{ours, unknown, unknown}, true, "minority in name conflict resolution, quiting [1 / 3]"},
		{"damaged does not count", [][]byte{ours, damaged}, false, "majority in name conflict resolution [1 / 1]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.joins("a", "b", "c")
			effects := r.step(state.NameConflict{Existing: mine, Other: impostor()})
			r.want("told", told(effects), "broadcast query(_serf_conflict,1)")
			r.want("log", logs(effects), "Node name conflicts with another node at 10.6.6.6:7946. Names must be unique! (Resolution enabled: true)")
			m, _ := wire.Decode(all[state.Broadcast](effects)[0].Msg)
			q := m.(*wire.Query)
			if string(q.Payload) != "self" || q.Timeout != 3200*time.Millisecond {
				t.Errorf("query %+v", q)
			}
			r.want("one vote at a time", told(r.step(state.NameConflict{Existing: mine, Other: impostor()})), "")
			for i, payload := range tt.answers {
				effects := r.hear(&wire.QueryResponse{LTime: 1, ID: q.ID, From: string(rune('a' + i)), Payload: payload})
				r.want("an answer", told(effects), "")
			}
			r.want("cannot be cancelled", told(r.step(state.QueryCancel{LTime: 1, ID: q.ID})), "")
			effects = r.sleep(3200 * time.Millisecond)
			want := ""
			if tt.quit {
				want = "quit"
			}
			r.want("told", told(effects), want)
			r.want("log", logs(effects), tt.log)
			if !tt.quit {
				r.want("the next vote", told(r.step(state.NameConflict{Existing: mine, Other: impostor()})), "broadcast query(_serf_conflict,2)")
			}
		})
	}
}

// TestNameConflictProbe: there is a vote only if whoever claims our name is alive.
func TestNameConflictProbe(t *testing.T) {
	t.Parallel()
	theirs := impostor()
	addr := netip.AddrPortFrom(theirs.Addr, theirs.Port)
	start := func(t *testing.T) *rig {
		r := newRig(t, func(c *state.Config) { c.ProbeConflicts = true })
		r.joins("a", "b")
		r.want("first", told(r.step(state.NameConflict{Existing: node("self"), Other: theirs})), "probe 10.6.6.6:7946")
		r.want("one at a time", told(r.step(state.NameConflict{Existing: node("self"), Other: theirs})), "")
		return r
	}
	t.Run("alive", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		effects := r.step(state.Probed{Addr: addr, Alive: true})
		r.want("told", told(effects), "broadcast query(_serf_conflict,1)")
		m, _ := wire.Decode(all[state.Broadcast](effects)[0].Msg)
		for from, status := range map[string]int64{"a": 4, "b": 1} {
			record := &wire.Member{Name: "self", Addr: theirs.Addr, Port: theirs.Port, Status: status}
			r.hear(&wire.QueryResponse{LTime: 1, ID: m.(*wire.Query).ID, From: from, Payload: wire.Encode(record)})
		}
		r.want("who sees it failed abstains", logs(r.sleep(3200*time.Millisecond)), "minority in name conflict resolution, quiting [0 / 1]")
	})
	t.Run("dead", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		effects := r.step(state.Probed{Addr: addr})
		r.want("told", told(effects), "")
		r.want("log", logs(effects), "nobody of our name answers at 10.6.6.6:7946: no vote; we are taken for its successor once it counts as failed")
		r.want("next time", told(r.step(state.NameConflict{Existing: node("self"), Other: theirs})), "probe 10.6.6.6:7946")
	})
	t.Run("about to go", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		r.step(state.LeaveBegin{})
		r.want("told", told(r.step(state.Probed{Addr: addr, Alive: true})), "")
	})
}

func TestNameConflictWithoutVote(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *state.Config) { c.ResolveConflicts = false })
	effects := r.step(state.NameConflict{Existing: node("self"), Other: impostor()})
	r.want("told", told(effects), "")
	r.want("log", logs(effects), "Node name conflicts with another node at 10.6.6.6:7946. Names must be unique! (Resolution enabled: false)")

	r = newRig(t, func(c *state.Config) { c.Protocol = 3 })
	effects = r.step(state.NameConflict{Existing: node("self"), Other: impostor()})
	r.want("no queries", told(effects), "")

	r = newRig(t)
	r.step(state.LeaveBegin{})
	r.want("about to go", told(r.step(state.NameConflict{Existing: node("self"), Other: impostor()})), "")
}

func TestTestify(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put("failed")
	ask := func(id uint32, name string) []state.Effect {
		q := question(5, id)
		q.Name, q.Payload = "_serf_conflict", []byte(name)
		return r.hear(q)
	}
	payload := func(effects []state.Effect) []byte {
		m, err := wire.Decode(all[state.Send](effects)[0].Msg)
		if err != nil {
			t.Fatal(err)
		}
		return m.(*wire.QueryResponse).Payload
	}
	m, err := wire.DecodeConflict(payload(ask(1, "x")))
	if err != nil || m.Name != "x" || m.Addr != node("x").Addr || m.Port != 7946 || m.Status != 4 || m.DelegateMax != 5 || m.ProtocolCur != 2 {
		t.Errorf("record %+v, %v", m, err)
	}
	if got := payload(ask(2, "nobody")); string(got) != "\x06\xc0" {
		t.Errorf("unknown: %x", got)
	}
	r.want("our own name", told(ask(3, "self")), "broadcast query(_serf_conflict,5)")
	r.refused(state.Respond{LTime: 5, ID: 3})
}
