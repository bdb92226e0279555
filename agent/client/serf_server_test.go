package client_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/api/frame"
	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/logs"
	"github.com/seed-645ce708/gossip/agent/internal/rpc"
	"github.com/seed-645ce708/gossip/agent/internal/rpc/rpctest"
	"github.com/seed-645ce708/gossip/agent/internal/view"
)

// What both servers answer to the same bytes is the same bytes.
func TestServerAnswersAsSerf(t *testing.T) {
	t.Parallel()
	s := startSerf(t)
	s.dial("") // it listens
	b := rpctest.NewBackend()
	b.Records = []api.QueryRecord{{Type: api.QueryRecordAck, From: "alpha"}, {Type: api.QueryRecordDone}}
	ours := rpctest.Start(t, rpc.Config{}, b)

	theirConn, err := net.Dial("tcp", s.rpc)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = theirConn.Close() }()
	ourConn, err := ours.Dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ourConn.Close() }()
	theirIn, ourIn := frame.NewReader(theirConn), frame.NewReader(ourConn)

	seq := uint64(0)
	for _, tc := range []struct {
		command string
		body    any
		values  int
	}{
		{"handshake", api.HandshakeRequest{Version: 5}, 1},
		{"handshake", api.HandshakeRequest{Version: 1}, 1},
		{"handshake", api.HandshakeRequest{Version: 1}, 1},
		{"auth", api.AuthRequest{AuthKey: "x"}, 1},
		{"auth", api.AuthRequest{}, 1},
		{"event", api.EventRequest{Name: "deploy", Coalesce: true}, 1},
		{"force-leave", api.ForceLeaveRequest{Node: "nobody"}, 1},
		{"join", api.JoinRequest{}, 2},
		{"members-filtered", api.MembersFilteredRequest{Name: "nobody"}, 2},
		{"tags", api.TagsRequest{Tags: map[string]string{"a": "b"}}, 1},
		{"stream", api.StreamRequest{Type: "x"}, 1},
		{"stream", api.StreamRequest{Type: "user:nobody"}, 1},
		{"monitor", api.MonitorRequest{LogLevel: "Loud"}, 1},
		{"stop", api.StopRequest{Stop: 12}, 1},
		{"stop", api.StopRequest{Stop: 99}, 1},
		{"respond", api.RespondRequest{ID: 3}, 1},
		{"get-coordinate", api.CoordinateRequest{Node: "nobody"}, 2},
		{"query", api.QueryRequest{Name: "_serf_x"}, 1},
		{"query", api.QueryRequest{Name: "load", RequestAck: true, Timeout: 5 * time.Second}, 5},
		{"nonsense", nil, 1},
	} {
		seq++
		msg, err := frame.Append(nil, api.RequestHeader{Command: tc.command, Seq: seq})
		if err == nil && tc.body != nil {
			msg, err = frame.Append(msg, tc.body)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, conn := range []net.Conn{theirConn, ourConn} {
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			if _, err := conn.Write(msg); err != nil {
				t.Fatal(err)
			}
		}
		for range tc.values {
			want, err := theirIn.Next(nil, 1<<20)
			for ; err == nil && ofNobody(want); want, err = theirIn.Next(nil, 1<<20) {
				if _, err := theirIn.Next(nil, 1<<20); err != nil { // the header of the record that counts
					t.Fatal(err)
				}
			}
			if err != nil {
				t.Fatalf("%s number %d at Serf: %v", tc.command, seq, err)
			}
			got, err := ourIn.Next(nil, 1<<20)
			if err != nil {
				t.Fatalf("%s number %d: %v", tc.command, seq, err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s number %d: answered\n%q, Serf\n%q", tc.command, seq, got, want)
			}
		}
	}
	for name, in := range map[string]*frame.Reader{"Serf": theirIn, "ours": ourIn} {
		if v, err := in.Next(nil, 1<<20); err == nil {
			t.Errorf("after an unknown command %s says %q", name, v)
		}
	}
}

// ofNobody tells the empty acks and responses that Serf may send as a query ends.
func ofNobody(value []byte) bool {
	var r api.QueryRecord
	return frame.Decode(value, &r) == nil && r.From == "" && (r.Type == api.QueryRecordAck || r.Type == api.QueryRecordResponse)
}

// The serf command line against our server.
func TestSerfCommandLine(t *testing.T) {
	t.Parallel()
	path := needSerf(t)
	b := rpctest.NewBackend(
		rpctest.Member("alpha", "10.0.0.1", "role", "web", "dc", "east"),
		rpctest.Member("beta", "::ffff:10.0.0.2", "role", "db"),
	)
	b.Keys.Keys = map[string]int{"a2V5": 1}
	b.Coords = map[string]api.Coordinate{
		"alpha": {Vec: make([]float64, 8), Error: 1.5, Height: 1e-5},
		"beta":  {Vec: []float64{0.01, 0, 0, 0, 0, 0, 0, 0}, Error: 1.5, Height: 1e-5},
	}
	log := logs.New(logs.Options{})
	events := event.NewLog(0)
	srv := rpc.New(rpc.Config{AuthKey: "secret", Logger: log.Logger("agent.ipc")}, b, events, log.Ring())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	defer func() {
		srv.Close()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}()
	serf := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), path, args...)
		cmd.Env = append(os.Environ(), "SERF_RPC_ADDR="+l.Addr().String(), "SERF_RPC_AUTH=secret")
		return cmd
	}
	for _, tc := range []struct {
		args string
		want []string // parts of the output
	}{
		{"members", []string{"alpha  10.0.0.1:7946  alive  dc=east,role=web|alpha  10.0.0.1:7946  alive  role=web,dc=east", "beta   10.0.0.2:7946  alive  role=db"}},
		{"members -name a.*", []string{"alpha"}},
		{"members -status left", []string{""}},
		{"members -name (", []string{"Error retrieving members: Failed to compile regex"}},
		{"info", []string{"agent:\n\tname = alpha"}},
		{"event deploy v1", []string{"Event 'deploy' dispatched! Coalescing enabled: true"}},
		{"join 10.0.0.9", []string{"Successfully joined cluster by contacting 1 nodes."}},
		{"force-leave gamma", []string{""}},
		{"tags -set a=b -delete c", []string{"Successfully updated agent tags"}},
		{"query -timeout 300ms load", []string{"Query 'load' dispatched", "Ack from 'alpha'", "Response from 'alpha': ok", "Total Acks: 1", "Total Responses: 1"}},
		{"query -timeout 300ms -format json load", []string{`"Responses": {`, `"alpha": "ok"`}},
		{"keys -list", []string{"a2V5  [1/1]"}},
		{"keys -install a2V5", []string{"Successfully installed key!"}},
		{"rtt alpha beta", []string{"Estimated alpha <-> beta rtt: 10.020 ms"}},
		{"rtt alpha nobody", []string{`Could not find a coordinate for node "nobody"`}},
		{"reachability", []string{"Received less acks than live nodes!", "beta"}},
		{"members -rpc-auth=wrong", []string{"Invalid authentication token"}},
		{"leave", []string{"Graceful leave complete"}},
	} {
		out, err := serf(strings.Fields(tc.args)...).Output()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatalf("serf %s: %v", tc.args, err)
		}
		for _, want := range tc.want {
			if !slices.ContainsFunc(strings.Split(want, "|"), func(w string) bool { return strings.Contains(string(out), w) }) {
				t.Errorf("serf %s: printed %q, want %q", tc.args, out, want)
			}
		}
	}
	<-srv.Left()

	out, err := serf("members", "-format", "json").Output()
	var list struct{ Members []struct{ Name, Addr string } }
	if err != nil || json.Unmarshal(out, &list) != nil || len(list.Members) != 2 || list.Members[1].Addr != "10.0.0.2:7946" {
		t.Errorf("members as JSON: %s, %v", out, err)
	}

	monitor := serf("monitor", "-log-level", "info")
	shown := filepath.Join(t.TempDir(), "monitor")
	f, err := os.Create(shown)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	monitor.Stdout = f
	if err := monitor.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = monitor.Process.Kill()
		_ = monitor.Wait()
	}()
	for _, want := range []string{
		"[INFO] agent.ipc: Accepted client", "line 1 of the log", "member-join", "deploy",
	} {
		eventually(t, func() error {
			log.Logger("agent").Info("line 1 of the log")
			events.Append(&event.Member{Kind: event.TypeMemberJoin, Members: []*view.Member{rpctest.Member("gamma", "10.0.0.3")}})
			events.Append(&event.User{Name: "deploy", Payload: []byte("v1")})
			out, err := os.ReadFile(shown)
			if err == nil && !strings.Contains(string(out), want) {
				err = fmt.Errorf("monitor never showed %q, but\n%s", want, out)
			}
			return err
		})
	}
}
