package state_test

import (
	"bytes"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/state"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// question is a query of member "x".
func question(at uint64, id uint32) *wire.Query {
	return &wire.Query{
		LTime: wireTime(at), ID: id, Addr: netip.MustParseAddr("10.0.0.120"), Port: 7946, SourceNode: "x",
		Timeout: time.Second, Name: "load", Payload: []byte("?"),
	}
}

func TestQueryOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	effects := r.hear(question(5, 1))
	r.want("first", told(effects), "query: load; broadcast query(load,5)")
	q := all[state.Emit](effects)[0].Event.(*event.Query)
	if q.LTime != 5 || q.ID != 1 || q.Name != "load" || string(q.Payload) != "?" || q.From != "x" || !q.Deadline.Equal(r.now.Add(time.Second)) {
		t.Errorf("query %+v", q)
	}
	if b := all[state.Broadcast](effects)[0]; b.Queue != state.QueueQuery {
		t.Errorf("broadcast %+v", b)
	}
	if counted(effects, "serf.queries") != 1 {
		t.Error("not counted")
	}
	r.want("again", told(r.hear(question(5, 1))), "")
	r.want("another id", told(r.hear(question(5, 2))), "query: load; broadcast query(load,5)")
	r.hear(question(1000, 3))
	effects = r.hear(question(488, 4))
	r.want("old", told(effects)+logs(effects), "received old query load from time 488 (current: 1001)")
	r.want("not old", told(r.hear(question(489, 4))), "query: load; broadcast query(load,489)")
	m := question(1001, 5)
	m.Flags = wire.FlagNoBroadcast
	r.want("not to be passed on", told(r.hear(m)), "query: load")
}

func TestQueryFilters(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		filters [][]byte
		pass    bool
		log     string
	}{
		{"none", nil, true, ""},
		{"empty list", [][]byte{}, true, ""},
		{"our name", [][]byte{wire.EncodeNodeFilter([]string{"a", "self"})}, true, ""},
		{"other names", [][]byte{wire.EncodeNodeFilter([]string{"a", "Self", "sel"})}, false, ""},
		{"no names", [][]byte{wire.EncodeNodeFilter(nil)}, false, ""},
		{"our tag", [][]byte{wire.EncodeTagFilter("role", "web")}, true, ""},
		{"part of our tag", [][]byte{wire.EncodeTagFilter("role", "e")}, true, ""},
		{"anchored", [][]byte{wire.EncodeTagFilter("role", "^web$")}, false, ""},
		{"another value", [][]byte{wire.EncodeTagFilter("role", "db")}, false, ""},
		{"missing tag", [][]byte{wire.EncodeTagFilter("dc", "east")}, false, ""},
		{"missing tag is empty", [][]byte{wire.EncodeTagFilter("dc", "^$")}, true, ""},
		{"both", [][]byte{wire.EncodeNodeFilter([]string{"self"}), wire.EncodeTagFilter("role", "web")}, true, ""},
		{"one of both", [][]byte{wire.EncodeNodeFilter([]string{"self"}), wire.EncodeTagFilter("role", "db")}, false, ""},
		{"unknown type", [][]byte{{9, 0xc0}}, false, "query has unrecognized filter type: 9"},
		{"empty", [][]byte{{}}, false, "query has an empty filter"},
		{"damaged", [][]byte{{0, 0x05}}, false, "failed to decode query filter: an array expected, not a number"},
		{"bad expression", [][]byte{wire.EncodeTagFilter("role", "(")}, false, "query has a filter that does not compile: error parsing regexp: missing closing ): `(`"},
		{"huge expression", [][]byte{wire.EncodeTagFilter("role", strings.Repeat("a", 1025))}, false, "query has a filter expression of more than 1024 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *state.Config) { c.Tags = map[string]string{"role": "web1"} })
			q := question(5, 1)
			q.Filters, q.Flags = tt.filters, wire.FlagAck
			effects := r.hear(q)
			want := "broadcast query(load,5)" // even if it is not for us
			if tt.name == "empty" {
				want = "" // it would crash a stock agent
			}
			if tt.pass {
				want = "send ack to x 10.0.0.120:7946; query: load; " + want
			}
			r.want("told", told(effects), want)
			r.want("log", logs(effects), tt.log)
		})
	}
}

func TestLocalTags(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	q := question(5, 1)
	q.Filters = [][]byte{wire.EncodeTagFilter("role", "web")}
	r.want("before", told(r.hear(q)), "broadcast query(load,5)")
	r.step(state.LocalTags{Tags: map[string]string{"role": "web"}})
	q.ID = 2
	r.want("after", told(r.hear(q)), "query: load; broadcast query(load,5)")
	r.want("too many", r.refused(state.LocalTags{Tags: map[string]string{"k": strings.Repeat("x", 600)}}), "Encoded length of tags exceeds limit of 512 bytes")
	q.ID = 3
	r.want("still the old ones", told(r.hear(q)), "query: load; broadcast query(load,5)")
}

func TestRespond(t *testing.T) {
	t.Parallel()
	const prefix = "failed to respond to key query: "
	r := newRig(t)
	r.hear(question(5, 1))
	answer := state.Respond{LTime: 5, ID: 1, Payload: []byte("fine")}
	big := answer
	big.Payload = make([]byte, 1024)
	r.want("too large", r.refused(big), prefix+"response exceeds limit of 1024 bytes")
	r.want("answer", told(r.step(answer)), "send answer(fine) to x 10.0.0.120:7946")
	r.want("twice", r.refused(answer), prefix+"response already sent")
	r.want("unknown", r.refused(state.Respond{LTime: 5, ID: 2}), prefix+"response is past the deadline")

	r.hear(question(6, 1))
	r.now = r.now.Add(time.Second)
	r.want("at the deadline", told(r.step(state.Respond{LTime: 6, ID: 1})), "send answer() to x 10.0.0.120:7946")
	r.hear(question(7, 1))
	r.now = r.now.Add(time.Second + 1)
	r.want("past the deadline", r.refused(state.Respond{LTime: 7, ID: 1}), prefix+"response is past the deadline")
	r.sleep(time.Minute)
	r.want("long past", r.refused(state.Respond{LTime: 7, ID: 1}), prefix+"response is past the deadline")

	q := question(8, 1)
	q.Addr = netip.Addr{}
	r.hear(q)
	effects := r.step(state.Respond{LTime: 8, ID: 1})
	r.want("no address", told(effects)+logs(effects), "query from x gave no valid address to answer to")

	q = question(9, 1)
	q.Addr = netip.MustParseAddr("::ffff:10.0.0.120")
	r.hear(q)
	r.want("mapped address", told(r.step(state.Respond{LTime: 9, ID: 1})), "send answer() to x 10.0.0.120:7946")
}

func TestResponseRoom(t *testing.T) {
	t.Parallel()
	for _, at := range []uint64{5, 200, 70000, 1 << 31} {
		for _, id := range []uint32{1, 1 << 30} {
			r := newRig(t)
			r.hear(question(at, id))
			room := r.s.ResponseRoom(wireTime(at), id)
			r.refused(state.Respond{LTime: wireTime(at), ID: id, Payload: make([]byte, room+1)})
			effects := r.step(state.Respond{LTime: wireTime(at), ID: id, Payload: make([]byte, room)})
			if got := len(all[state.Send](effects)[0].Msg); got != 1024 {
				t.Errorf("a payload of %d bytes makes %d", room, got)
			}
		}
	}
}

func TestRelays(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	old := node("old")
	old.ProtocolMax = 4
	r.step(state.NodeJoin{Node: old})
	r.joins("x", "a", "b", "c", "gone")
	r.step(state.NodeLeave{Node: node("gone")})
	q := question(5, 1)
	q.RelayFactor, q.Flags = 2, wire.FlagAck
	effects := r.hear(q)
	sends := all[state.Send](effects)
	if len(sends) != 3 || sends[0].Node != "x" || describe(sends[0].Msg) != "ack" {
		t.Fatalf("sends: %s", told(effects))
	}
	for i := range 50 {
		q.ID = uint32(i + 2)
		seen := map[string]bool{}
		for _, s := range all[state.Send](r.hear(q))[1:] {
			if !strings.Contains("abc", s.Node) || seen[s.Node] || describe(s.Msg) != "relay[ack to x]" {
				t.Errorf("relayed by %s: %s", s.Node, describe(s.Msg))
			}
			seen[s.Node] = true
		}
		if len(seen) != 2 {
			t.Errorf("%d relays, want 2", len(seen))
		}
	}
	answers := all[state.Send](r.step(state.Respond{LTime: 5, ID: 1, Payload: []byte("yes")}))
	if len(answers) != 3 || describe(answers[1].Msg) != "relay[answer(yes) to x]" {
		t.Errorf("answers %v", answers)
	}

	q.RelayFactor, q.ID = 200, 100
	r.want("a cluster too small", told(r.hear(q)), "send ack to x 10.0.0.120:7946; query: load; broadcast query(load,5)")
	q.RelayFactor, q.ID = 6, 101 // seven members, of which three can relay
	if n := len(all[state.Send](r.hear(q))); n != 4 {
		t.Errorf("%d sent, want 4", n)
	}

	room := r.s.ResponseRoom(5, 101)
	effects = r.step(state.Respond{LTime: 5, ID: 101, Payload: make([]byte, room)})
	if len(all[state.Send](effects)) != 1 || logs(effects) != "relayed response exceeds limit of 1024 bytes; sent directly only" {
		t.Errorf("a response too large to relay: %s", logs(effects))
	}
}

func TestRelayForOthers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	inner := wire.Encode(&wire.QueryResponse{LTime: 3, From: "a", Payload: []byte("hi")})
	m := &wire.Relay{DestAddr: netip.MustParseAddrPort("10.0.0.9:1234"), DestName: "d", Inner: inner}
	effects := r.hear(m)
	r.want("told", told(effects), "send answer(hi) to d 10.0.0.9:1234")
	if !bytes.Equal(all[state.Send](effects)[0].Msg, inner) {
		t.Error("the inner message was changed")
	}
	m.Inner = nil
	r.want("nothing inside", told(r.hear(m)), "")
}

func TestDefaultQueryTimeout(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		members int
		lan     float64 // seconds
	}{{1, 3.2}, {2, 3.2}, {9, 3.2}, {10, 6.4}, {99, 6.4}, {100, 9.6}} {
		r := newRig(t)
		for i := 1; i < tt.members; i++ {
			r.joins(fmt.Sprint(i))
		}
		r.put("left") // does not count
		if got := r.s.DefaultQueryTimeout(); got.Seconds() != tt.lan {
			t.Errorf("%d members: %v, want %g s", tt.members, got, tt.lan)
		}
	}
	wan := newRig(t, func(c *state.Config) { c.GossipInterval = 500 * time.Millisecond })
	if got := wan.s.DefaultQueryTimeout(); got != 8*time.Second {
		t.Errorf("wan: %v", got)
	}
}

func TestAsk(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("self", "a", "b")
	effects := r.step(state.Query{Name: "load", Payload: []byte("?"), WantAck: true, RelayFactor: 3})
	r.want("told", told(effects), "started, expect 3; ack of self; query: load; broadcast query(load,1)")
	started := all[state.QueryStarted](effects)[0]
	if !started.Deadline.Equal(r.now.Add(3200*time.Millisecond)) || started.ID > math.MaxInt32 || started.LTime != 1 {
		t.Errorf("started %+v", started)
	}
	if next := r.s.Next(r.now); !next.Equal(started.Deadline) {
		t.Errorf("next tick %v, want the deadline", next)
	}
	m, _ := wire.Decode(all[state.Broadcast](effects)[0].Msg)
	q := m.(*wire.Query)
	if q.Addr != node("self").Addr || q.Port != 7946 || q.SourceNode != "self" || q.Flags != wire.FlagAck || q.RelayFactor != 3 ||
		q.Timeout != 3200*time.Millisecond || q.Filters != nil || q.ID != started.ID {
		t.Errorf("sent %+v", q)
	}
	ack := &wire.QueryResponse{LTime: 1, ID: q.ID, From: "a", Flags: wire.FlagAck}
	answer := &wire.QueryResponse{LTime: 1, ID: q.ID, From: "a", Payload: []byte("3")}
	r.want("ack", told(r.hear(ack)), "ack of a")
	r.want("answer", told(r.hear(answer)), "answer of a: 3")
	r.want("own answer", told(r.step(state.Respond{LTime: 1, ID: q.ID, Payload: []byte("9")})), "answer of self: 9")
	if e := r.hear(ack); told(e) != "" || counted(e, "serf.query_duplicate_acks") != 1 {
		t.Error("a second ack")
	}
	if e := r.hear(answer); told(e) != "" || counted(e, "serf.query_duplicate_responses") != 1 {
		t.Error("a second answer")
	}
	wrong := *answer
	wrong.ID++
	e := r.hear(&wrong)
	r.want("wrong id", told(e)+logs(e), fmt.Sprintf("query reply ID mismatch (Local: %d, Response: %d)", q.ID, q.ID+1))
	wrong.LTime = 99
	e = r.hear(&wrong)
	r.want("wrong time", told(e)+logs(e), fmt.Sprintf("reply for non-running query (LTime: 99, ID: %d) From: a", q.ID+1))
	r.want("the echo of the query", told(r.hear(q)), "")
	r.want("too early", told(r.sleep(3200*time.Millisecond-1)), "")
	r.now = r.now.Add(1)
	r.want("an answer past the deadline", told(r.hear(&wire.QueryResponse{LTime: 1, ID: q.ID, From: "b"})), "")
	r.want("the end", told(r.sleep(0)), "done")
	r.want("once", told(r.sleep(time.Second)), "")
	r.want("cancel after the end", told(r.step(state.QueryCancel{LTime: 1, ID: q.ID})), "")
}

func TestAskFilters(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *state.Config) { c.Tags = map[string]string{"role": "web"} })
	for name, role := range map[string]string{"a": "web", "b": "db", "c": "web", "d": "web"} {
		n := node(name)
		n.Meta, _ = wire.EncodeTags(map[string]string{"role": role}, 5)
		r.step(state.NodeJoin{Node: n})
	}
	r.step(state.NodeLeave{Node: node("d")})
	for _, tt := range []struct {
		nodes []string
		tags  map[string]string
		want  string
	}{
		{nil, nil, "started, expect 4; query: q"},
		{[]string{"a", "b", "nobody"}, nil, "started, expect 2"},
		{[]string{"self"}, nil, "started, expect 1; query: q"},
		{nil, map[string]string{"role": "web"}, "started, expect 3; query: q"},
		{[]string{"a", "b"}, map[string]string{"role": "w"}, "started, expect 1"},
		{nil, map[string]string{"role": "web", "dc": "x"}, "started, expect 0"},
		{nil, map[string]string{"role": "("}, "started, expect 0"},
	} {
		effects := r.step(state.Query{Name: "q", FilterNodes: tt.nodes, FilterTags: tt.tags})
		got, _, _ := strings.Cut(told(effects), "; broadcast")
		r.want(fmt.Sprint(tt.nodes, tt.tags), got, tt.want)
	}
}

func TestAskRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want("size", r.refused(state.Query{Name: "q", Payload: make([]byte, 1024)}), "query exceeds limit of 1024 bytes")
	r.want("reserved", r.refused(state.Query{Name: "_serf_foo"}), "Queries cannot contain the '_serf_' prefix")
	r.want("ping with payload", r.refused(state.Query{Name: "_serf_ping", Payload: []byte{}}), "Queries cannot contain the '_serf_' prefix")
	r.wantClocks(1, 1, 1)
	r.want("ping", told(r.step(state.Query{Name: "_serf_ping", WantAck: true})), "started, expect 1; ack of self; broadcast query(_serf_ping,1)")
	r.want("internal", told(r.step(state.Query{Name: "_serf_list-keys", Internal: true})), "started, expect 1; internal _serf_list-keys; broadcast query(_serf_list-keys,2)")
	for v := uint8(2); v <= 5; v++ {
		r := newRig(t, func(c *state.Config) { c.Protocol = v })
		_, err := r.s.Step(r.now, state.Query{Name: "q"})
		if (err == nil) != (v >= 4) || err != nil && err.Error() != "Feature not supported" {
			t.Errorf("version %d: %v", v, err)
		}
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	started := all[state.QueryStarted](r.step(state.Query{Name: "q", Timeout: time.Hour}))[0]
	r.want("another id", told(r.step(state.QueryCancel{LTime: started.LTime, ID: started.ID + 1})), "")
	r.want("cancel", told(r.step(state.QueryCancel{LTime: started.LTime, ID: started.ID})), "done")
	r.want("own answer, too late", told(r.step(state.Respond{LTime: started.LTime, ID: started.ID})), "")
	r.want("the end", told(r.sleep(time.Hour)), "")
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ ask, want time.Duration }{
		{0, 3200 * time.Millisecond}, {-5, 3200 * time.Millisecond}, {time.Second, time.Second},
		{time.Hour, time.Hour}, {math.MaxInt64, 24 * time.Hour},
	} {
		r := newRig(t)
		effects := r.step(state.Query{Name: "q", Timeout: tt.ask})
		if got := all[state.QueryStarted](effects)[0].Deadline.Sub(r.now); got != tt.want {
			t.Errorf("asked for %v: %v, want %v", tt.ask, got, tt.want)
		}
		q := question(5, 1)
		q.Timeout = tt.ask
		got := all[state.Emit](r.hear(q))[0].Event.(*event.Query).Deadline.Sub(r.now)
		if want := min(max(tt.ask, 0), 24*time.Hour); got != want {
			t.Errorf("received %v: %v, want %v", tt.ask, got, want)
		}
	}
}

func TestInternalQueries(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"_serf_ping":        "send ack to x 10.0.0.120:7946; broadcast query(_serf_ping,5)",
		"_serf_install-key": "send ack to x 10.0.0.120:7946; internal _serf_install-key; broadcast query(_serf_install-key,5)",
		"_serf_use-key":     "send ack to x 10.0.0.120:7946; internal _serf_use-key; broadcast query(_serf_use-key,5)",
		"_serf_remove-key":  "send ack to x 10.0.0.120:7946; internal _serf_remove-key; broadcast query(_serf_remove-key,5)",
		"_serf_list-keys":   "send ack to x 10.0.0.120:7946; internal _serf_list-keys; broadcast query(_serf_list-keys,5)",
		"_serf_foo":         "send ack to x 10.0.0.120:7946; broadcast query(_serf_foo,5)",
	} {
		r := newRig(t)
		q := question(5, 1)
		q.Name, q.Flags = name, wire.FlagAck
		effects := r.hear(q)
		r.want(name, told(effects), want)
		if name == "_serf_foo" {
			r.want(name, logs(effects), "Unhandled internal query 'foo'")
		}
		if in := all[state.InternalQuery](effects); len(in) == 1 && (string(in[0].Payload) != "?" || in[0].From != "x" || in[0].LTime != 5 || in[0].ID != 1) {
			t.Errorf("%+v", in[0])
		}
	}
	r := newRig(t)
	q := question(5, 1)
	q.Name = "_serf_list-keys"
	r.hear(q)
	r.want("the answer to a key query", told(r.step(state.Respond{LTime: 5, ID: 1, Payload: []byte("k")})), "send answer(k) to x 10.0.0.120:7946")
}

// However many strangers answer, memory is for about as many as there are members.
func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := all[state.QueryStarted](r.step(state.Query{Name: "q"}))[0].ID
	n, dropped := 0, 0
	for i := range 100 {
		effects := r.hear(&wire.QueryResponse{LTime: 1, ID: id, From: fmt.Sprint(i)})
		n += len(all[state.QueryResponse](effects))
		if logs(effects) == "Failed to deliver query response, dropping" {
			dropped++
		}
	}
	if n != 18 || dropped != 82 {
		t.Errorf("%d delivered, %d dropped", n, dropped)
	}
}

func TestOpenQueriesAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range 4097 {
		q := question(uint64(5+i/100), uint32(i))
		q.Timeout = time.Hour + time.Duration(i)
		r.hear(q)
	}
	r.want("the first is dropped", r.refused(state.Respond{LTime: 5, ID: 0}), "failed to respond to key query: response is past the deadline")
	r.step(state.Respond{LTime: 5, ID: 1})
	r.step(state.Respond{LTime: 45, ID: 4096})
}
