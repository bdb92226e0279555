package gossip

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/seed-645ce708/gossip/agent/agenttest/loopback"
	"github.com/seed-645ce708/gossip/agent/internal/state"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// recorder is an Inbox that keeps everything.
type recorder struct {
	mu     sync.Mutex
	inputs []state.Input
	posted chan struct{}
	local  []byte
}

func newRecorder() *recorder {
	return &recorder{posted: make(chan struct{}, 1), local: wire.Encode(&wire.PushPull{LTime: 7})}
}

func (r *recorder) Post(in ...state.Input) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inputs = append(r.inputs, in...)
	select {
	case r.posted <- struct{}{}:
	default:
	}
}

func (r *recorder) LocalState() []byte { return r.local }
func (r *recorder) NumMembers() int    { return 2 }

// wait returns the first input that match accepts, waiting for it if need be.
func (r *recorder) wait(t *testing.T, what string, match func(state.Input) bool) state.Input {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		r.mu.Lock()
		inputs := r.inputs // only ever added to
		r.mu.Unlock()
		if i := slices.IndexFunc(inputs, match); i >= 0 {
			return inputs[i]
		}
		select {
		case <-r.posted:
		case <-limit:
			t.Fatalf("no %s arrived", what)
		}
	}
}

func startNode(t *testing.T, name string, change func(*Config)) (*Gossip, *recorder) {
	t.Helper()
	inbox := newRecorder()
	meta, err := wire.EncodeTags(map[string]string{"of": name}, 5)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Name: name, BindAddr: "127.0.0.1", Profile: "local", Protocol: 5, Compression: true,
		Meta: meta, Inbox: inbox, Log: hclog.NewNullLogger(), Std: log.New(io.Discard, "", 0),
	}
	if change != nil {
		change(&cfg)
	}
	g, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Stop(); err != nil {
			t.Error(err)
		}
	})
	return g, inbox
}

func TestTwoNodes(t *testing.T) {
	t.Parallel()
	a, inA := startNode(t, "a", nil)
	b, inB := startNode(t, "b", nil)
	ctx := t.Context()
	if n, err := b.Join(ctx, []string{a.Addr().String()}, true); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	joined := inA.wait(t, "join of b", func(in state.Input) bool {
		j, ok := in.(state.NodeJoin)
		return ok && j.Node.Name == "b"
	}).(state.NodeJoin)
	if tags, err := wire.DecodeTags(joined.Node.Meta); err != nil || tags["of"] != "b" {
		t.Errorf("tags of b: %v, %v", tags, err)
	}
	if joined.Node.DelegateMin != 2 || joined.Node.DelegateMax != 6 || joined.Node.DelegateCur != 5 {
		t.Errorf("delegate versions: %+v", joined.Node)
	}
	remote := func(ignore bool) func(state.Input) bool {
		return func(in state.Input) bool {
			r, ok := in.(state.RemoteState)
			return ok && r.State.LTime == 7 && r.IgnoreOld == ignore
		}
	}
	inB.wait(t, "state of a, without its old events", remote(true))
	inA.wait(t, "state of b", remote(false))

	msg := wire.Encode(&wire.UserEvent{LTime: 1, Name: "deploy"})
	sent := make(chan struct{})
	a.Broadcast(state.QueueEvent, msg, sent)
	inB.wait(t, "broadcast", func(in state.Input) bool {
		m, ok := in.(state.Receive)
		return ok && string(m.Raw) == string(msg)
	})
	select {
	case <-sent:
	case <-time.After(20 * time.Second):
		t.Error("nobody told that the broadcast is out")
	}
	direct := wire.Encode(&wire.QueryResponse{From: "a"})
	if err := a.Send(b.Addr(), "b", direct); err != nil {
		t.Fatal(err)
	}
	inB.wait(t, "direct message", func(in state.Input) bool {
		m, ok := in.(state.Receive)
		return ok && string(m.Raw) == string(direct)
	})
	meta, err := wire.EncodeTags(map[string]string{"of": "nobody"}, 5)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.UpdateMeta(meta, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	inB.wait(t, "new tags of a", func(in state.Input) bool {
		u, ok := in.(state.NodeUpdate)
		return ok && u.Node.Name == "a" && string(u.Node.Meta) == string(meta)
	})
	if err := b.Leave(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	inA.wait(t, "leave of b", func(in state.Input) bool {
		l, ok := in.(state.NodeLeave)
		return ok && l.Node.Name == "b"
	})
}

func TestJoinErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	key := func(k []byte) func(*Config) {
		return func(c *Config) {
			ring, err := NewKeyring(k)
			if err != nil {
				t.Fatal(err)
			}
			c.Keyring = ring
		}
	}
	plain, _ := startNode(t, "plain", nil)
	withA, _ := startNode(t, "a", key(keyA))
	withB, _ := startNode(t, "b", key(keyB))
	tests := []struct {
		name string
		from *Gossip
		to   string
		want string
	}{
		{"nothing there", plain, loopback.Addr(t), "nothing listens there"},
		{"other key", withB, withA.Addr().String(), "key"},
		{"we have no key", plain, withA.Addr().String(), "key"},
		{"peer has no key", withB, plain.Addr().String(), "key"},
		{"bad name", plain, "no-such-host.invalid:1", "no-such-host.invalid"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.from.Join(t.Context(), []string{tt.to}, true)
			var join *JoinError
			if !errors.As(err, &join) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), strings.Split(tt.to, ":")[0]) {
				t.Errorf("got %v, want an error that names %s and says %q", err, tt.to, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
		})
	}
}

func TestAddressTaken(t *testing.T) {
	t.Parallel()
	a, _ := startNode(t, "a", nil)
	_, err := Start(Config{
		Name: "b", BindAddr: "127.0.0.1", BindPort: a.BindPort(), Profile: "local", Protocol: 5,
		Inbox: newRecorder(), Log: hclog.NewNullLogger(), Std: log.New(io.Discard, "", 0),
	})
	var bind *BindError
	if !errors.As(err, &bind) || !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), a.Addr().String()) {
		t.Errorf("got %v, want a BindError that names the address", err)
	}
}

// TestStopCutsJoinShort: a join into a black hole must not hold up a stop.
func TestStopCutsJoinShort(t *testing.T) {
	t.Parallel()
	g, _ := startNode(t, "a", func(c *Config) { c.Profile = "wan" }) // time-outs of 30 s
	hole, err := net.Listen("tcp", "127.0.0.1:0")                    // accepts and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hole.Close() }()
	accepted := make(chan struct{})
	go func() {
		conn, err := hole.Accept()
		if err != nil {
			return
		}
		close(accepted)
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
	}()
	result := make(chan error, 1)
	go func() {
		_, err := g.Join(context.Background(), []string{hole.Addr().String()}, true)
		result <- err
	}()
	<-accepted
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := <-result; !errors.Is(err, ErrStopped) {
		t.Errorf("got %v, want ErrStopped", err)
	}
	if _, err := g.Join(context.Background(), []string{"127.0.0.1:1"}, true); !errors.Is(err, ErrStopped) {
		t.Errorf("join after stop: got %v", err)
	}
}

func TestQueueOrder(t *testing.T) {
	t.Parallel()
	q := newQueues(4, 4, func() int { return 10 })
	q[state.QueueEvent].QueueBroadcast(&broadcast{msg: []byte("event")})
	q[state.QueueQuery].QueueBroadcast(&broadcast{msg: []byte("query")})
	q[state.QueueIntent].QueueBroadcast(&broadcast{msg: []byte("intent")})
	var got []string
	for _, msg := range q.drain(3, 1400) {
		got = append(got, string(msg))
	}
	if want := []string{"intent", "query", "event"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if msgs := q.drain(3, 8); len(msgs) != 1 || string(msgs[0]) != "query" {
		t.Errorf("8 bytes hold one message of 5 with 3 overhead, the next in order that fits: got %q", msgs)
	}
}

func TestQueueCut(t *testing.T) {
	t.Parallel()
	q := newQueues(4, 4, func() int { return 10 })
	for range queueMaxDepth + 10 {
		q[state.QueueEvent].QueueBroadcast(&broadcast{msg: []byte("x")})
	}
	q.check(hclog.NewNullLogger())
	if n := q[state.QueueEvent].NumQueued(); n != queueMaxDepth {
		t.Errorf("depth after the cut: got %d, want %d", n, queueMaxDepth)
	}
}
