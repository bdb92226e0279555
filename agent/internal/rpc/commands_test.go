package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/client"
	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/rpc"
	"github.com/seed-645ce708/gossip/agent/internal/rpc/rpctest"
)

func dial(t testing.TB, s *rpctest.Server, authKey string) *client.Client {
	t.Helper()
	c, err := client.Dial(t.Context(), client.Config{AuthKey: authKey, Dialer: s.Dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

var receipts = api.EventReceiptsResponse{
	LTime: 1 << 40, OK: true, Took: time.Second,
	Receipts: []api.EventReceipt{{Node: "a", Status: api.ReceiptFailed, Took: 5, More: 1, Handlers: []api.HandlerRun{
		{Command: "x", State: "failed", Exit: -1, Error: "killed", Took: time.Hour},
	}}},
}

var story = api.WhyResponse{
	Known: true, Status: "alive", Since: 1 << 60, Until: 5,
	Witnesses: []api.Witness{{Node: "a", Began: 7, Skew: -time.Second}},
	Entries:   []api.WhyEntry{{Time: 1 << 60, By: "a", Kind: "join", LTime: 1 << 50, Count: 2, Last: 9}},
}

var diagnosis = api.DoctorResponse{
	Verdict: []string{"bad"}, Local: []api.Finding{{Check: "dns", Level: api.LevelOK, Text: "is off"}},
	Members: []api.Diagnosis{{Node: "a", Serf: true, Findings: []api.Finding{{Check: "udp", Level: api.LevelFault, Remedy: "x"}}}},
}

// Every plain command, by the client: what reaches the backend, what comes back, and what an error looks like.
func TestCommands(t *testing.T) {
	t.Parallel()
	type result = any
	for _, tc := range []struct {
		name string
		call func(context.Context, *client.Client) (result, error)
		ask  string // what the backend is asked
		want result
		fail result // the result beside an error
	}{
		{"join", func(ctx context.Context, c *client.Client) (result, error) {
			return c.Join(ctx, []string{"10.0.0.1", "10.0.0.2:7947"}, true)
		}, "Join [10.0.0.1 10.0.0.2:7947] true", 2, 0},
		{"leave", func(ctx context.Context, c *client.Client) (result, error) {
			return nil, c.Leave(ctx)
		}, "Leave", nil, nil},
		{"force-leave", func(ctx context.Context, c *client.Client) (result, error) {
			return nil, c.ForceLeave(ctx, "beta", true)
		}, "ForceLeave beta true", nil, nil},
		{"event", func(ctx context.Context, c *client.Client) (result, error) {
			return nil, c.UserEvent(ctx, "deploy", []byte("v1"), true)
		}, `UserEvent deploy "v1" true`, nil, nil},
		{"x-gossip-event", func(ctx context.Context, c *client.Client) (result, error) {
			return c.EventReceipts(ctx, api.EventReceiptsRequest{Name: "deploy", Payload: []byte("v1"), Wait: time.Minute})
		}, `EventReceipts deploy "v1" false 1m0s`, receipts, receipts},
		{"x-gossip-why", func(ctx context.Context, c *client.Client) (result, error) {
			return c.Why(ctx, "beta", true)
		}, "Why beta true", story, story},
		{"x-gossip-doctor", func(ctx context.Context, c *client.Client) (result, error) {
			return c.Doctor(ctx, "beta")
		}, "Doctor beta", diagnosis, diagnosis},
		{"tags", func(ctx context.Context, c *client.Client) (result, error) {
			return nil, c.UpdateTags(ctx, map[string]string{"role": "db"}, []string{"dc"})
		}, "UpdateTags map[role:db] [dc]", nil, nil},
		{"install-key", func(ctx context.Context, c *client.Client) (result, error) {
			return c.InstallKey(ctx, "a2V5")
		}, "InstallKey a2V5", keys(nil), keys(nil)},
		{"use-key", func(ctx context.Context, c *client.Client) (result, error) {
			return c.UseKey(ctx, "a2V5")
		}, "UseKey a2V5", keys(nil), keys(nil)},
		{"remove-key", func(ctx context.Context, c *client.Client) (result, error) {
			return c.RemoveKey(ctx, "a2V5")
		}, "RemoveKey a2V5", keys(nil), keys(nil)},
		{"list-keys", func(ctx context.Context, c *client.Client) (result, error) {
			return c.ListKeys(ctx)
		}, "ListKeys", keys(map[string]int{"a2V5": 3}), keys(map[string]int{"a2V5": 3})},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := rpctest.NewBackend()
			b.Keys = keys(map[string]int{"a2V5": 3})
			b.Receipts, b.Story, b.Diagnosis = receipts, story, diagnosis
			c := dial(t, rpctest.Start(t, rpc.Config{}, b), "")
			got, err := tc.call(t.Context(), c)
			if err != nil || !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got %+v, %v, want %+v", got, err, tc.want)
			}
			b.Fail(errors.New("timed out broadcasting"))
			got, err = tc.call(t.Context(), c)
			var remote *client.RemoteError
			if !errors.As(err, &remote) || remote.Message != "timed out broadcasting" || remote.Command != tc.name {
				t.Errorf("error is %v, of the wrong kind or text", err)
			}
			if !reflect.DeepEqual(got, tc.fail) {
				t.Errorf("beside the error: got %+v, want %+v", got, tc.fail)
			}
			if calls := b.Calls(); !reflect.DeepEqual(calls, []string{tc.ask, tc.ask}) {
				t.Errorf("backend was asked %q, want %q twice", calls, tc.ask)
			}
		})
	}
}

func keys(byKey map[string]int) api.KeyResponse {
	return api.KeyResponse{Messages: map[string]string{"beta": "why"}, Keys: byKey, NumNodes: 3, NumErr: 1, NumResp: 2}
}

func TestStatsAndCoordinate(t *testing.T) {
	t.Parallel()
	b := rpctest.NewBackend()
	b.Coords = map[string]api.Coordinate{"alpha": {Vec: []float64{1, 2}, Error: 1.5, Height: 1e-5}}
	c := dial(t, rpctest.Start(t, rpc.Config{}, b), "")
	if got, err := c.Stats(t.Context()); err != nil || got["agent"]["name"] != "alpha" {
		t.Errorf("stats: %v, %v", got, err)
	}
	if got, ok, err := c.Coordinate(t.Context(), "alpha"); err != nil || !ok || !reflect.DeepEqual(got, b.Coords["alpha"]) {
		t.Errorf("known: %+v, %v, %v", got, ok, err)
	}
	if got, ok, err := c.Coordinate(t.Context(), "nobody"); err != nil || ok || got.Vec != nil {
		t.Errorf("unknown: %+v, %v, %v", got, ok, err)
	}
	if n, err := c.Join(t.Context(), nil, false); n != 0 || err != nil || len(b.Calls()) != 0 {
		t.Errorf("joining nobody: %d, %v, backend was asked %q", n, err, b.Calls())
	}
}

func TestAuthentication(t *testing.T) {
	t.Parallel()
	s := rpctest.Start(t, rpc.Config{AuthKey: "secret"}, rpctest.NewBackend())
	if _, err := dial(t, s, "secret").Members(t.Context()); err != nil {
		t.Errorf("with the token: %v", err)
	}
	_, err := client.Dial(t.Context(), client.Config{AuthKey: "wrong", Dialer: s.Dial})
	if !errors.Is(err, client.ErrAuth) || !errors.Is(err, api.ErrInvalidToken) {
		t.Errorf("with a wrong token: %v", err)
	}
	// Without a token every command is refused, with a body or without, and the connection stays in step.
	c := dial(t, s, "")
	for range 2 {
		if _, err := c.Members(t.Context()); !errors.Is(err, client.ErrAuth) {
			t.Errorf("members: %v", err)
		}
		if _, err := c.Join(t.Context(), []string{"x"}, false); !errors.Is(err, client.ErrAuth) {
			t.Errorf("join: %v", err)
		}
		if _, err := c.Stream(t.Context(), "*"); !errors.Is(err, client.ErrAuth) {
			t.Errorf("stream: %v", err)
		}
	}
	if calls := s.Backend.Calls(); len(calls) != 0 {
		t.Errorf("the backend was asked %q", calls)
	}
	// An agent that wants no token refuses any but the empty one.
	open := rpctest.Start(t, rpc.Config{}, rpctest.NewBackend())
	if _, err := client.Dial(t.Context(), client.Config{AuthKey: "x", Dialer: open.Dial}); !errors.Is(err, client.ErrAuth) {
		t.Errorf("a token where none is wanted: %v", err)
	}
}

func TestMembersFiltered(t *testing.T) {
	t.Parallel()
	s := rpctest.Start(t, rpc.Config{}, rpctest.NewBackend(
		rpctest.Member("alpha", "10.0.0.1", "role", "web", "dc", "east"),
		rpctest.Member("beta", "10.0.0.2", "role", "db"),
		rpctest.Member("gamma", "::1"),
	))
	c := dial(t, s, "")
	for _, tc := range []struct {
		req  api.MembersFilteredRequest
		want string
	}{
		{api.MembersFilteredRequest{}, "alpha beta gamma"},
		{api.MembersFilteredRequest{Name: "alpha|beta"}, "alpha beta"},
		{api.MembersFilteredRequest{Name: "alph"}, ""},
		{api.MembersFilteredRequest{Name: ".*a"}, "alpha beta gamma"},
		{api.MembersFilteredRequest{Status: "alive"}, "alpha beta gamma"},
		{api.MembersFilteredRequest{Status: "failed"}, ""},
		{api.MembersFilteredRequest{Tags: map[string]string{"role": "web|db"}}, "alpha beta"},
		{api.MembersFilteredRequest{Tags: map[string]string{"role": ".+", "dc": "e.*"}}, "alpha"},
		{api.MembersFilteredRequest{Tags: map[string]string{"role": ""}}, "gamma"},
	} {
		members, err := c.MembersFiltered(t.Context(), tc.req)
		var names []string
		for _, m := range members {
			names = append(names, m.Name)
		}
		if got := strings.Join(names, " "); err != nil || got != tc.want {
			t.Errorf("%+v: got %q, %v, want %q", tc.req, got, err, tc.want)
		}
		if members == nil {
			t.Errorf("%+v: no list at all; Serf sends an empty one", tc.req)
		}
	}
	if _, err := c.MembersFiltered(t.Context(), api.MembersFilteredRequest{Name: "("}); err == nil {
		t.Error("a filter that is no expression passed")
	}
}

func TestQuery(t *testing.T) {
	t.Parallel()
	b := rpctest.NewBackend()
	c := dial(t, rpctest.Start(t, rpc.Config{}, b), "")
	q, err := c.Query(t.Context(), api.QueryRequest{Name: "load", RequestAck: true, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	var got []api.QueryRecord
	for r := range q.C() {
		got = append(got, r)
	}
	if !reflect.DeepEqual(got, b.Records) || q.Err() != nil || q.Dropped() != 0 {
		t.Errorf("got %+v, %v", got, q.Err())
	}
	for _, tc := range []struct {
		name, payload string
		refused       bool
	}{
		{"_serf_ping", "", false}, {"_serf_ping", "x", true}, {"_serf_list-keys", "", true}, {"_serf", "", false},
	} {
		q, err := c.Query(t.Context(), api.QueryRequest{Name: tc.name, Payload: []byte(tc.payload)})
		if errors.Is(err, api.ErrReservedQuery) != tc.refused {
			t.Errorf("query %s with payload %q: %v", tc.name, tc.payload, err)
		}
		if err == nil {
			_ = q.Close()
		}
	}
	b.Fail(errors.New("query exceeds limit of 1024 bytes"))
	if _, err := c.Query(t.Context(), api.QueryRequest{Name: "load"}); err == nil || err.Error() != "query exceeds limit of 1024 bytes" {
		t.Errorf("refused query: %v", err)
	}
}

func TestRespond(t *testing.T) {
	t.Parallel()
	s := rpctest.Start(t, rpc.Config{}, rpctest.NewBackend())
	c := dial(t, s, "")
	stream, err := c.Stream(t.Context(), "query")
	if err != nil {
		t.Fatal(err)
	}
	answers := make(chan string, 10)
	query := func(deadline time.Time) uint64 {
		s.Events.Append(&event.Query{Name: "load", Payload: []byte("?"), Deadline: deadline, Respond: func(p []byte) error {
			if len(answers) > 0 {
				return errors.New("failed to respond to key query: response already sent")
			}
			answers <- string(p)
			return nil
		}})
		return (<-stream.C()).(*api.QueryEventRecord).ID
	}
	if id := query(time.Now().Add(time.Hour)); id != 1 {
		t.Errorf("the first ID is %d", id)
	}
	if id := query(time.Now().Add(-time.Hour)); id != 2 {
		t.Errorf("the second ID is %d", id)
	}
	if err := c.Respond(t.Context(), 1, []byte("42")); err != nil {
		t.Error(err)
	}
	if err := c.Respond(t.Context(), 1, []byte("43")); err == nil || !strings.Contains(err.Error(), "already sent") {
		t.Errorf("second answer: %v", err)
	}
	for _, id := range []uint64{0, 2, 3} { // 2 is past its deadline
		if err := c.Respond(t.Context(), id, nil); !errors.Is(err, api.ErrNoSuchQuery) {
			t.Errorf("answer to %d: %v", id, err)
		}
	}
	if got := <-answers; got != "42" {
		t.Errorf("the answer is %q", got)
	}
	// IDs are a matter of one connection.
	if err := dial(t, s, "").Respond(t.Context(), 1, nil); !errors.Is(err, api.ErrNoSuchQuery) {
		t.Errorf("answer on another connection: %v", err)
	}
}

func TestLeaveTellsOwner(t *testing.T) {
	t.Parallel()
	for _, fail := range []error{nil, errors.New("timeout while waiting for graceful leave")} {
		b := rpctest.NewBackend()
		b.Fail(fail)
		s := rpctest.Start(t, rpc.Config{}, b)
		c := dial(t, s, "")
		closed := make(chan struct{})
		go func() { // the owner of the agent
			<-s.Left()
			s.Close()
			close(closed)
		}()
		if err := c.Leave(t.Context()); fmt.Sprint(err) != fmt.Sprint(fail) {
			t.Errorf("leave: %v, want %v", err, fail)
		}
		<-closed
		<-c.Done()
	}
}

func TestCloseEndsRequestsInProgress(t *testing.T) {
	t.Parallel()
	b := rpctest.NewBackend()
	b.Block = make(chan struct{})
	s := rpctest.Start(t, rpc.Config{}, b)
	c := dial(t, s, "")
	joined := make(chan error, 1)
	go func() {
		_, err := c.Join(context.Background(), []string{"x"}, false)
		joined <- err
	}()
	for deadline := time.Now().Add(time.Minute); len(b.Calls()) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the backend was never asked to join")
		}
	}
	s.Close()
	var remote *client.RemoteError
	if err := <-joined; !errors.As(err, &remote) {
		t.Errorf("join that was cut short: %v", err)
	}
	if _, err := client.Dial(t.Context(), client.Config{Dialer: s.Dial}); err == nil {
		t.Error("a closed server took a connection")
	}
	s.Close()
}
