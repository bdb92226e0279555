package rpc_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/api/frame"
	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/rpc"
	"github.com/seed-645ce708/gossip/agent/internal/rpc/rpctest"
	"github.com/seed-645ce708/gossip/agent/internal/view"
)

var update = flag.Bool("update", false, "rewrite the transcripts in testdata")

// step is a request of a transcript and how many values come back.
type step struct {
	what   string
	send   []byte
	values int // 0: the server hangs up
}

// Whole conversations, byte for byte. The files in testdata are to be read: each line is one msgpack value in hex with
// its printable bytes behind it.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	req := func(command string, seq uint64, body any) []byte {
		return encode(t, api.RequestHeader{Command: command, Seq: seq}, body)
	}
	hello := step{"handshake", req("handshake", 1, api.HandshakeRequest{Version: 1}), 1}
	for _, tc := range []struct {
		name  string
		cfg   rpc.Config
		fail  error
		steps []step
	}{
		{name: "handshake", steps: []step{
			{"version 2", req("handshake", 0, api.HandshakeRequest{Version: 2}), 1},
			hello,
			{"again", req("handshake", 2, api.HandshakeRequest{Version: 1}), 1},
			{"unknown command", req("nonsense", 3, nil), 1},
			{"end", nil, 0},
		}},
		{name: "no-handshake", steps: []step{{"members first", req("members", 7, nil), 1}, {"end", nil, 0}}},
		{name: "auth", cfg: rpc.Config{AuthKey: "secret"}, steps: []step{
			hello,
			{"command without a body", req("members", 2, nil), 1},
			{"command with a body", req("event", 3, api.EventRequest{Name: "deploy"}), 1},
			{"wrong token", req("auth", 4, api.AuthRequest{AuthKey: "wrong"}), 1},
			{"right token", req("auth", 5, api.AuthRequest{AuthKey: "secret"}), 1},
			{"command with a body", req("event", 6, api.EventRequest{Name: "deploy"}), 1},
		}},
		{name: "members", steps: []step{
			hello,
			{"all", req("members", 2, nil), 2},
			{"none", req("members-filtered", 3, api.MembersFilteredRequest{Status: "left"}), 2},
			{"one", req("members-filtered", 4, api.MembersFilteredRequest{Name: "b.*"}), 2},
			{"bad expression", req("members-filtered", 5, api.MembersFilteredRequest{Name: "("}), 2},
			{"bad group", req("members-filtered", 6, api.MembersFilteredRequest{Name: ")("}), 2},
		}},
		{name: "errors-with-body", fail: fmt.Errorf("no"), steps: []step{
			hello,
			{"join", req("join", 2, api.JoinRequest{Existing: []string{"x"}}), 2},
			{"install-key", req("install-key", 3, api.KeyRequest{Key: "k"}), 2},
			{"list-keys", req("list-keys", 4, nil), 2},
			{"force-leave has none", req("force-leave", 5, api.ForceLeaveRequest{Node: "x"}), 1},
			{"tags has none", req("tags", 6, api.TagsRequest{}), 1},
			{"query has none", req("query", 7, api.QueryRequest{}), 1},
		}},
		{name: "streams", steps: []step{
			hello,
			{"bad filter", req("stream", 2, api.StreamRequest{Type: "x"}), 1},
			{"stream", req("stream", 3, api.StreamRequest{Type: "user"}), 1},
			{"same number", req("stream", 3, api.StreamRequest{Type: "user"}), 1},
			{"bad level", req("monitor", 4, api.MonitorRequest{LogLevel: "loud"}), 1},
			{"monitor", req("monitor", 5, api.MonitorRequest{LogLevel: "err"}), 1},
			{"another monitor", req("monitor", 6, api.MonitorRequest{LogLevel: "err"}), 1},
			{"stop", req("stop", 7, api.StopRequest{Stop: 3}), 1},
			{"stop nothing", req("stop", 8, api.StopRequest{Stop: 99}), 1},
			{"query: answer, ack, response, done", req("query", 9, api.QueryRequest{Name: "load"}), 1 + 6},
			{"respond", req("respond", 10, api.RespondRequest{ID: 1}), 1},
			{"unknown coordinate", req("get-coordinate", 11, api.CoordinateRequest{Node: "x"}), 2},
			{"stats", req("stats", 12, nil), 2},
		}},
		{name: "lenient", steps: []step{
			{"old raw forms, other order, unknown keys",
				unhex("83 a3536571 01 a1 78 c0 a7436f6d6d616e64 a968616e647368616b65 81 a756657273696f6e d3 0000000000000001"), 1},
			{"no Seq", unhex("81 a7436f6d6d616e64 a46a6f696e 81a84578697374696e6790"), 2},
			{"empty header", unhex("80"), 1},
			{"end", nil, 0},
		}},
		{name: "bad-body", steps: []step{hello, {"text for a map", append(req("event", 2, nil), 0xa1, 'x'), 1}, {"end", nil, 0}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := rpctest.NewBackend(
				rpctest.Member("alpha", "10.0.0.1", "role", "web", "dc", "east"),
				rpctest.Member("beta", "::ffff:10.0.0.2"),
			)
			b.Fail(tc.fail)
			tc.cfg.Logger = hclog.NewNullLogger()
			checkGolden(t, tc.name, transcript(t, rawConnect(t, rpctest.Start(t, tc.cfg, b)), tc.steps))
		})
	}
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

func transcript(t *testing.T, raw *rawClient, steps []step) []byte {
	t.Helper()
	var out bytes.Buffer
	line := func(mark string, b []byte) {
		printable := bytes.Map(func(r rune) rune {
			if r < ' ' || r > '~' {
				return '.'
			}
			return r
		}, bytes.ToValidUTF8(b, []byte(".")))
		fmt.Fprintf(&out, "%s %x  |%s|\n", mark, b, printable)
	}
	for _, s := range steps {
		fmt.Fprintf(&out, "# %s\n", s.what)
		if s.values == 0 {
			raw.hungUp()
			continue
		}
		raw.write(s.send)
		line(">", s.send)
		for range s.values {
			v, err := raw.in.Next(nil, 1<<20)
			if err != nil {
				t.Fatalf("%s: %v", s.what, err)
			}
			line("<", v)
		}
	}
	return out.Bytes()
}

func checkGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (rewrite with -update):\n%s", path, got)
	}
}

// The encoder written by hand yields what reflection does.
func TestMembersAreEncodedAlike(t *testing.T) {
	t.Parallel()
	many := make([]*view.Member, 70000)
	for i := range many {
		many[i] = rpctest.Member("n", "10.0.0.1")
	}
	tagged := rpctest.Member("tagged", "::1")
	for i := range 40 {
		tagged.Tags[strings.Repeat("k", i)] = strings.Repeat("v", 10*i)
	}
	wide := rpctest.Member(strings.Repeat("w", 300), "::ffff:1.2.3.4", strings.Repeat("k", 70000), "v", "", "")
	wide.Port, wide.ProtocolMax, wide.DelegateMax, wide.Status = 200, 127, 255, view.StatusFailed
	for _, members := range [][]*view.Member{
		{}, {tagged}, {wide}, many[:15], many[:16], many, {{Name: "no address", Tags: map[string]string{}}},
	} {
		var wire []api.Member
		for _, m := range members {
			wire = append(wire, api.Member{
				Name: m.Name, Addr: m.Addr.AsSlice(), Port: m.Port, Tags: m.Tags, Status: m.Status.String(),
				ProtocolMin: m.ProtocolMin, ProtocolMax: m.ProtocolMax, ProtocolCur: m.ProtocolCur,
				DelegateMin: m.DelegateMin, DelegateMax: m.DelegateMax, DelegateCur: m.DelegateCur,
			})
		}
		if wire == nil {
			wire = []api.Member{}
		}
		s := rpctest.Start(t, rpc.Config{}, rpctest.NewBackend(members...))
		raw := rawDial(t, s)
		raw.ask(api.CommandMembers, nil)
		raw.answer()
		got, err := raw.in.Next(nil, 64<<20)
		if err != nil {
			t.Fatal(err)
		}
		if want := encode(t, api.MembersResponse{Members: wire}); !bytes.Equal(got, want) {
			t.Errorf("%d members: list differs", len(members))
		}
		raw.ask(api.CommandStream, api.StreamRequest{})
		raw.answer()
		s.Events.Append(&event.Member{Kind: event.TypeMemberUpdate, Members: members})
		raw.header()
		if got, err = raw.in.Next(nil, 64<<20); err != nil {
			t.Fatal(err)
		}
		if want := encode(t, api.MemberEventRecord{Event: "member-update", Members: wire}); !bytes.Equal(got, want) {
			t.Errorf("%d members: event differs", len(members))
		}
	}
}

// A list is encoded anew for each snapshot, and only then.
func TestMembersFollowTheView(t *testing.T) {
	t.Parallel()
	s := rpctest.Start(t, rpc.Config{}, rpctest.NewBackend())
	c := dial(t, s, "")
	for n := range 4 {
		members := make([]*view.Member, n)
		for i := range members {
			members[i] = rpctest.Member(fmt.Sprint("n", i), "10.0.0.1")
		}
		s.Backend.Store.Publish(members)
		for range 2 {
			if got, err := c.Members(t.Context()); err != nil || len(got) != n {
				t.Errorf("got %d members, %v, want %d", len(got), err, n)
			}
		}
	}
}

func TestHostileClients(t *testing.T) {
	t.Parallel()
	s := rpctest.Start(t, rpc.Config{MaxBody: 1 << 10}, rpctest.NewBackend())
	for name, bytes := range map[string][]byte{
		"no msgpack":       {0xc1},
		"HTTP":             []byte("GET / HTTP/1.1\r\n\r\n"),
		"huge map":         {0xdf, 0xff, 0xff, 0xff, 0xff},
		"huge array":       {0xdd, 0xff, 0xff, 0xff, 0xff},
		"huge string":      {0xdb, 0xff, 0xff, 0xff, 0xff},
		"nested arrays":    []byte(strings.Repeat("\x91", 100)),
		"command of 8 KiB": encode(t, api.RequestHeader{Command: strings.Repeat("x", 8<<10)}),
		"text for a Seq":   unhex("81 a3536571 a178"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw := rawDial(t, s)
			_ = raw.conn.SetDeadline(time.Now().Add(time.Minute))
			_, _ = raw.conn.Write(bytes) // the server may hang up before the last byte
			raw.hungUp()
		})
	}
	t.Run("body too large", func(t *testing.T) {
		t.Parallel()
		raw := rawDial(t, s)
		raw.ask(api.CommandEvent, nil)
		raw.write([]byte{0xc6, 0x00, 0x10, 0x00, 0x00})
		if h := raw.answer(); !strings.Contains(h.Error, "size limit") {
			t.Errorf("got %+v", h)
		}
		raw.hungUp()
	})
	t.Run("half a request", func(t *testing.T) {
		t.Parallel()
		raw := rawDial(t, s)
		raw.write(encode(t, api.RequestHeader{Command: api.CommandEvent})[:5])
		_ = raw.conn.Close()
	})
}

// An answer reaches the client even if the server hangs up on what it sends further.
func TestLastAnswerArrives(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := rpc.New(rpc.Config{}, rpctest.NewBackend(), event.NewLog(0), nil)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	for range 20 {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		msg := append(encode(t, api.RequestHeader{Command: "nonsense", Seq: 1}), make([]byte, 64<<10)...)
		if _, err := conn.Write(msg); err != nil {
			t.Fatal(err)
		}
		raw := &rawClient{t: t, conn: conn, in: frame.NewReader(conn), seq: 1}
		if h := raw.answer(); h.Error != string(api.ErrHandshakeRequired) {
			t.Errorf("got %+v", h)
		}
		_ = conn.Close()
	}
	s.Close()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	s := rpctest.Start(t, rpc.Config{MaxConns: 2}, rpctest.NewBackend())
	first, _ := rawDial(t, s), rawDial(t, s)
	rawConnect(t, s).hungUp()
	_ = first.conn.Close()
	deadline := time.Now().Add(time.Minute)
	for {
		raw := rawConnect(t, s)
		if _, err := raw.conn.Write(encode(t, api.RequestHeader{Command: "handshake"}, api.HandshakeRequest{Version: 1})); err == nil {
			return // the freed place was taken
		}
		if time.Now().After(deadline) {
			t.Fatal("the place of a closed connection stays taken")
		}
	}
}

// Time limits, in virtual time.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	cfg := rpc.Config{RequestTimeout: 5 * time.Second, WriteTimeout: 7 * time.Second, AuthKey: "secret"}
	elapsed := func(t *testing.T, play func(t *testing.T, s *rpctest.Server)) (d time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			s := rpctest.Start(t, cfg, rpctest.NewBackend())
			start := time.Now()
			play(t, s)
			d = time.Since(start)
		})
		return d
	}
	login := func(t *testing.T, s *rpctest.Server) *rawClient {
		raw := rawDial(t, s)
		raw.ask(api.CommandAuth, api.AuthRequest{AuthKey: "secret"})
		raw.answer()
		return raw
	}
	for _, tc := range []struct {
		name string
		want time.Duration
		play func(t *testing.T, s *rpctest.Server)
	}{
		{"no handshake", 5 * time.Second, func(t *testing.T, s *rpctest.Server) { rawConnect(t, s).hungUp() }},
		{"no authentication", 5 * time.Second, func(t *testing.T, s *rpctest.Server) { rawDial(t, s).hungUp() }},
		{"half a request", 5 * time.Second, func(t *testing.T, s *rpctest.Server) {
			raw := login(t, s)
			raw.write([]byte{0x82})
			raw.hungUp()
		}},
		{"idle after authentication", time.Hour, func(t *testing.T, s *rpctest.Server) {
			raw := login(t, s)
			time.Sleep(time.Hour)
			raw.ask(api.CommandMembers, nil)
			raw.answer()
		}},
		{"answer not read", 7 * time.Second, func(t *testing.T, s *rpctest.Server) {
			raw := login(t, s)
			raw.ask(api.CommandStats, nil)
			time.Sleep(7 * time.Second)
			synctest.Wait()
			if _, err := raw.conn.Write([]byte{0}); err == nil {
				t.Error("the connection is still open")
			}
		}},
		{"stream not read while the server closes", 250 * time.Millisecond, func(t *testing.T, s *rpctest.Server) {
			raw := login(t, s)
			raw.ask(api.CommandStream, api.StreamRequest{})
			raw.answer()
			s.Events.Append(&event.User{})
			synctest.Wait()
			s.Close()
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := elapsed(t, tc.play); got != tc.want {
				t.Errorf("took %v, want %v", got, tc.want)
			}
		})
	}
}

func TestServeReturnsListenerErrors(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	s := rpc.New(rpc.Config{}, rpctest.NewBackend(), event.NewLog(0), nil)
	if err := s.Serve(l); err == nil {
		t.Error("serving a closed listener succeeded")
	}
	s.Close()
}

func FuzzServer(f *testing.F) {
	for _, b := range [][]byte{
		encode(f, api.RequestHeader{Command: "members", Seq: 2}),
		encode(f, api.RequestHeader{Command: "join", Seq: 2}, api.JoinRequest{Existing: []string{"x"}}),
		encode(f, api.RequestHeader{Command: "members-filtered", Seq: 2}, api.MembersFilteredRequest{Name: "(", Tags: map[string]string{"a": "b"}}),
		encode(f, api.RequestHeader{Command: "query", Seq: 2}, api.QueryRequest{Name: "q", Timeout: -1}),
		encode(f, api.RequestHeader{Command: "stream", Seq: 2}, api.StreamRequest{Type: "user:x,x-gossip-revision"},
			api.RequestHeader{Command: "stop", Seq: 3}, api.StopRequest{Stop: 2}),
		encode(f, api.RequestHeader{Command: "monitor", Seq: 2}, api.MonitorRequest{LogLevel: "trace"}),
		encode(f, api.RequestHeader{Command: "respond", Seq: 2}, api.RespondRequest{ID: 1}),
		unhex("81 a7436f6d6d616e64 a46a6f696e c0"),
	} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		s := rpctest.Start(t, rpc.Config{}, rpctest.NewBackend(rpctest.Member("alpha", "10.0.0.1")))
		raw := rawDial(t, s)
		read := make(chan struct{})
		go func() { // every answer must be readable, whatever was asked
			defer close(read)
			for {
				v, err := raw.in.Next(nil, 1<<20)
				if err != nil {
					return
				}
				if len(v) == 0 || frame.Decode(v, new(struct{})) != nil {
					t.Errorf("got %x", v)
				}
			}
		}()
		_, _ = raw.conn.Write(in) // the server may hang up before the last byte
		_ = raw.conn.Close()
		<-read
	})
}

// verdict is a judge that has made up its mind.
type verdict view.Verdict

func (v *verdict) Judge([]*view.Member) view.Verdict { return view.Verdict(*v) }

// What only our agents say is encoded as reflection does, and follows a verdict that changes alone.
func TestVerdictsAreEncodedAlike(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_800_000_000, 5)
	v := &verdict{Confidence: view.Confidence{Synced: true, VisibleShare: 0.75}}
	b := rpctest.NewBackend()
	b.View().SetJudge(v)
	b.View().Publish([]*view.Member{rpctest.Member("a", "10.0.0.1"), rpctest.Member("b", "10.0.0.2")})
	s := rpctest.Start(t, rpc.Config{}, b)
	raw, c := rawDial(t, s), dial(t, s, "")
	for _, want := range []api.MembersResponse{
		{Confidence: &api.Confidence{Synced: true, VisibleShare: 0.75}},
		{Confidence: &api.Confidence{Isolated: true, Evidence: strings.Repeat("silence ", 10), VisibleShare: 1. / 3}},
		{Confidence: &api.Confidence{VisibleShare: 1}, Members: []api.Member{{Since: 1_800_000_000}, {Note: "no answer"}}},
		{Confidence: &api.Confidence{VisibleShare: 1}, Members: []api.Member{
			{}, {Damped: true, Note: "flapping", Since: 1_800_000_000, Until: 1_800_000_040}}},
	} {
		v.Confidence = view.Confidence{Synced: want.Confidence.Synced, Isolated: want.Confidence.Isolated,
			Evidence: want.Confidence.Evidence, VisibleShare: want.Confidence.VisibleShare}
		v.Marks = map[string]view.Mark{}
		list, err := c.Members(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i, extra := range want.Members {
			m := view.Mark{Reason: extra.Note, Suppressed: extra.Damped}
			if extra.Since > 0 {
				m.Since = at
			}
			if extra.Until > 0 {
				m.Until = at.Add(40 * time.Second)
			}
			v.Marks[list[i].Name] = m
			list[i].Note, list[i].Damped, list[i].Since, list[i].Until = extra.Note, extra.Damped, extra.Since, extra.Until
		}
		if want.Members == nil {
			for i := range list {
				list[i].Note, list[i].Damped, list[i].Since, list[i].Until = "", false, 0, 0
			}
		}
		b.View().Rejudge()
		want.Members = list
		for i := range want.Members {
			want.Members[i].Addr = want.Members[i].Addr.To4()
		}
		raw.ask(api.CommandMembers, nil)
		raw.answer()
		got, err := raw.in.Next(nil, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, encode(t, want)) {
			t.Errorf("%+v:\n got %q\nwant %q", want, got, encode(t, want))
		}
	}
}
