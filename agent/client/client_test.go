package client

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/api/frame"
)

// agent is the other end of a connection, played by the test.
type agent struct {
	t    testing.TB
	conn net.Conn
	in   *frame.Reader
}

// play connects a client to an agent, past the handshake.
func play(t testing.TB) (*Client, *agent) {
	t.Helper()
	here, there := net.Pipe()
	a := &agent{t: t, conn: there, in: frame.NewReader(there)}
	var wg sync.WaitGroup
	wg.Go(func() {
		a.expect(api.CommandHandshake, 1, new(api.HandshakeRequest))
		a.send(api.ResponseHeader{Seq: 1})
	})
	c, err := Dial(t.Context(), Config{Dialer: func(context.Context, string, string) (net.Conn, error) { return here, nil }})
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Close()
		_ = there.Close()
	})
	return c, a
}

// expect takes a request off the connection; body may be nil if it has none.
func (a *agent) expect(command string, seq uint64, body any) {
	var h api.RequestHeader
	a.decode(&h)
	if h.Command != command || h.Seq != seq {
		a.t.Errorf("got request %+v, want %s number %d", h, command, seq)
	}
	if body != nil {
		a.decode(body)
	}
}

func (a *agent) decode(v any) {
	b, err := a.in.Next(nil, 1<<20)
	if err == nil {
		err = frame.Decode(b, v)
	}
	if err != nil {
		a.t.Errorf("reading a %T: %v", v, err)
	}
}

// send writes values; it does not mind if the client is gone.
func (a *agent) send(values ...any) {
	_, _ = a.conn.Write(encode(a.t, values...))
}

func encode(t testing.TB, values ...any) (b []byte) {
	t.Helper()
	for _, v := range values {
		var err error
		if b, err = frame.Append(b, v); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// A call that was given up leaves the connection in step: its answer is taken off, body and all.
func TestCancelledCallKeepsConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, a := play(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := c.Members(ctx)
			done <- err
		}()
		a.expect(api.CommandMembers, 2, nil)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) || errors.Is(err, ErrClosed) {
			t.Errorf("cancelled call: %v", err)
		}
		go func() {
			a.expect(api.CommandStats, 3, nil)
			a.send(api.ResponseHeader{Seq: 2}, api.MembersResponse{Members: make([]api.Member, 3)},
				api.ResponseHeader{Seq: 3}, api.Stats{"agent": {"name": "alpha"}})
		}()
		if got, err := c.Stats(t.Context()); err != nil || got["agent"]["name"] != "alpha" {
			t.Errorf("next call: %v, %v", got, err)
		}
		synctest.Wait()
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.pending) != 0 {
			t.Errorf("%d requests are still waited for", len(c.pending))
		}
	})
}

func TestCallTimesOut(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		call func(context.Context, *Client) error
		want time.Duration
	}{
		{func(ctx context.Context, c *Client) error { _, err := c.Members(ctx); return err }, DefaultTimeout},
		{func(ctx context.Context, c *Client) error { return c.Leave(ctx) }, slowFactor * DefaultTimeout},
		{func(ctx context.Context, c *Client) error {
			ctx, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			return c.Leave(ctx)
		}, time.Hour},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, a := play(t)
			go func() { _, _ = io.Copy(io.Discard, a.conn) }()
			start := time.Now()
			err := tc.call(t.Context(), c)
			if got := time.Since(start); got != tc.want || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v after %v, want a timeout after %v", err, got, tc.want)
			}
		})
	}
}

// An agent that does not even read ends the connection, and everybody's wait.
func TestStuckAgent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := play(t)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if _, err := c.Members(context.Background()); !errors.Is(err, ErrClosed) && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("call: %v", err)
				}
			})
		}
		start := time.Now()
		<-c.Done()
		wg.Wait()
		if got := time.Since(start); got != DefaultTimeout {
			t.Errorf("took %v", got)
		}
		if _, err := c.Members(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("later call: %v", err)
		}
	})
}

func TestAgentHangsUp(t *testing.T) {
	t.Parallel()
	c, a := play(t)
	go func() {
		a.expect(api.CommandStream, 2, new(api.StreamRequest))
		a.send(api.ResponseHeader{Seq: 2})
		a.expect(api.CommandMembersFiltered, 3, new(api.MembersFilteredRequest))
		_ = a.conn.Close()
	}()
	st, err := c.Stream(t.Context(), "*")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.MembersFiltered(t.Context(), api.MembersFilteredRequest{Name: "a"})
	if !errors.Is(err, ErrClosed) || !strings.Contains(err.Error(), "regular expression") {
		t.Errorf("call: %v", err)
	}
	if _, ok := <-st.C(); ok || !errors.Is(st.Err(), ErrClosed) {
		t.Errorf("stream: %v", st.Err())
	}
	<-c.Done()
	if !errors.Is(c.Err(), ErrClosed) || !strings.Contains(c.Err().Error(), "hung up") {
		t.Errorf("connection: %v", c.Err())
	}
}

// An agent may hang up right after a refusal, without the body that otherwise follows.
func TestRefusalThenEnd(t *testing.T) {
	t.Parallel()
	for _, text := range []string{string(api.ErrUnsupportedCommand), "decode failed"} {
		c, a := play(t)
		go func() {
			a.expect(api.CommandMembers, 2, nil)
			a.send(api.ResponseHeader{Seq: 2, Error: text})
			_ = a.conn.Close()
		}()
		_, err := c.Members(t.Context())
		var remote *RemoteError
		if !errors.As(err, &remote) || remote.Message != text {
			t.Errorf("got %v, want %q", err, text)
		}
	}
}

// A stream that was closed may go on at the agent for a while; its records must not confuse anybody.
func TestLateRecords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, a := play(t)
		go func() {
			a.expect(api.CommandStream, 2, new(api.StreamRequest))
			a.send(api.ResponseHeader{Seq: 2})
		}()
		st, err := c.Stream(t.Context(), "*")
		if err != nil {
			t.Fatal(err)
		}
		record := []any{api.ResponseHeader{Seq: 2}, api.UserEventRecord{Event: "user", Name: "late"}}
		go func() {
			a.expect(api.CommandStop, 3, new(api.StopRequest))
			a.send(record...) // before the stop is answered
			a.send(api.ResponseHeader{Seq: 3})
			a.send(record...) // and even after
			a.expect(api.CommandRespond, 4, new(api.RespondRequest))
			a.send(record...)
			a.send(api.ResponseHeader{Seq: 99}) // an answer without a body to nobody
			a.send(api.ResponseHeader{Seq: 4})
		}()
		_ = st.Close()
		_ = st.Close()
		if got, ok := <-st.C(); ok {
			t.Errorf("a closed stream brought %+v", got)
		}
		if err := c.Respond(t.Context(), 1, nil); err != nil {
			t.Errorf("next call: %v", err)
		}
		synctest.Wait()
		if len(c.pending) != 0 {
			t.Errorf("%d requests are still waited for", len(c.pending))
		}
	})
}

func TestStreamOverflow(t *testing.T) {
	t.Parallel()
	c, a := play(t)
	go func() {
		a.expect(api.CommandStream, 2, new(api.StreamRequest))
		a.send(api.ResponseHeader{Seq: 2})
		for i := range eventQueue + 10 {
			a.send(api.ResponseHeader{Seq: 2}, api.UserEventRecord{Event: "user", LTime: uint64(i)})
		}
		a.send(api.ResponseHeader{Seq: 2}, map[string]any{"Event": "x-future", "Anything": 1}) // not counted, not told
		a.expect(api.CommandStats, 3, nil)
		a.send(api.ResponseHeader{Seq: 3}, api.Stats{})
	}()
	st, err := c.Stream(t.Context(), "*")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Stats(t.Context()); err != nil { // the reader never waits for the stream's
		t.Fatal(err)
	}
	if got := st.Dropped(); got != 10 {
		t.Errorf("%d were dropped, want 10", got)
	}
	_ = c.Close()
	n := 0
	for range st.C() {
		n++
	}
	if n != eventQueue {
		t.Errorf("%d were kept, want %d", n, eventQueue)
	}
}

// The end of a query is never dropped.
func TestQueryOverflow(t *testing.T) {
	t.Parallel()
	c, a := play(t)
	go func() {
		a.expect(api.CommandQuery, 2, new(api.QueryRequest))
		a.send(api.ResponseHeader{Seq: 2})
		a.send(api.ResponseHeader{Seq: 2}, api.QueryRecord{Type: api.QueryRecordAck}) // of nobody: ignored
		for range queryQueue + 5 {
			a.send(api.ResponseHeader{Seq: 2}, api.QueryRecord{Type: api.QueryRecordAck, From: "n"})
		}
		a.send(api.ResponseHeader{Seq: 2}, api.QueryRecord{Type: api.QueryRecordDone})
		a.expect(api.CommandStats, 3, nil)
		a.send(api.ResponseHeader{Seq: 3}, api.Stats{})
	}()
	q, err := c.Query(t.Context(), api.QueryRequest{Name: "load"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Stats(t.Context()); err != nil {
		t.Fatal(err)
	}
	var last api.QueryRecord
	n := 0
	for last = range q.C() {
		n++
	}
	if n != queryQueue+1 || q.Dropped() != 5 || last.Type != api.QueryRecordDone || q.Err() != nil {
		t.Errorf("%d records, %d dropped, the last is %+v, %v", n, q.Dropped(), last, q.Err())
	}
}

func TestDialErrors(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	_, err := Dial(t.Context(), Config{Dialer: func(context.Context, string, string) (net.Conn, error) { return nil, refused }})
	if !errors.Is(err, refused) {
		t.Errorf("got %v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, there) }()
		_, err = Dial(t.Context(), Config{Dialer: func(context.Context, string, string) (net.Conn, error) { return here, nil }})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("silent agent: %v", err)
		}
	})
}

func TestSplitAddr(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][2]string{
		"":                      {"tcp", "127.0.0.1:7373"},
		"10.0.0.1:7373":         {"tcp", "10.0.0.1:7373"},
		"tcp://[::1]:7373":      {"tcp", "[::1]:7373"},
		"unix:///run/gossip":    {"unix", "/run/gossip"},
		"unix:///run/a b/c.sck": {"unix", "/run/a b/c.sck"},
	} {
		if network, addr := splitAddr(in); network != want[0] || addr != want[1] {
			t.Errorf("%q: got %s, %s, want %v", in, network, addr, want)
		}
	}
}

func TestDialUnix(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "rpc")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Skipf("no unix sockets here: %v", err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		a := &agent{t: t, conn: conn, in: frame.NewReader(conn)}
		a.expect(api.CommandHandshake, 1, new(api.HandshakeRequest))
		a.send(api.ResponseHeader{Seq: 1})
	}()
	c, err := Dial(t.Context(), Config{Addr: "unix://" + path})
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	_ = c.Close()
}

func TestRemoteError(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		message string
		target  error
		want    bool
	}{
		{"Authentication required", ErrAuth, true},
		{"Invalid authentication token", ErrAuth, true},
		{"Invalid authentication token", api.ErrInvalidToken, true},
		{"Invalid authentication token", api.ErrAuthRequired, false},
		{"Invalid event filter", api.ErrInvalidFilter, true},
		{"Invalid event filter", ErrClosed, false},
	} {
		if got := errors.Is(&RemoteError{Message: tc.message}, tc.target); got != tc.want {
			t.Errorf("%q is %q: %v", tc.message, tc.target, got)
		}
	}
}

// Whatever an agent sends, the client neither panics nor hangs, and what it makes of it can be used.
func FuzzClient(f *testing.F) {
	user := api.UserEventRecord{Event: "user", Name: "x"}
	for _, b := range [][]byte{
		encode(f, api.ResponseHeader{Seq: 2}, user, api.ResponseHeader{Seq: 3}, api.MembersResponse{Members: make([]api.Member, 2)}),
		encode(f, api.ResponseHeader{Seq: 2, Error: "no"}, api.ResponseHeader{Seq: 3, Error: "no"}, api.MembersResponse{}),
		encode(f, api.ResponseHeader{Seq: 2}, api.ResponseHeader{Seq: 2}, user, api.ResponseHeader{Seq: 2}, user),
		encode(f, api.ResponseHeader{Seq: 2}, api.ResponseHeader{Seq: 2}, api.QueryRecord{Type: api.QueryRecordDone}),
		encode(f, api.ResponseHeader{Seq: 77}, user, api.ResponseHeader{Seq: 77}, api.ResponseHeader{Seq: 2}),
		encode(f, api.ResponseHeader{Seq: 3}, map[string]int{"Members": 5}),
		{0xdf, 0xff, 0xff, 0xff, 0xff}, {0xc1}, {0xc0, 0xc0},
	} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		c, a := play(t)
		go func() { _, _ = io.Copy(io.Discard, a.conn) }()
		var wg sync.WaitGroup
		wg.Go(func() {
			if st, err := c.Stream(t.Context(), "*"); err == nil {
				for ev := range st.C() {
					_ = ev.EventType()
				}
			}
		})
		wg.Go(func() {
			if members, err := c.Members(t.Context()); err == nil {
				_ = reflect.DeepEqual(members, members[:0])
			}
		})
		wg.Go(func() {
			if q, err := c.Query(t.Context(), api.QueryRequest{}); err == nil {
				for range q.C() {
				}
			}
		})
		_, _ = a.conn.Write(in)
		_ = a.conn.Close()
		wg.Wait()
		_ = c.Close()
	})
}
