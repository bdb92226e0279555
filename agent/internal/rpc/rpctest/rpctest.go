// Package rpctest runs an RPC server for tests: in memory, with a scripted Backend in place of an agent.
package rpctest

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/logs"
	"github.com/seed-645ce708/gossip/agent/internal/rpc"
	"github.com/seed-645ce708/gossip/agent/internal/view"
)

// Backend is an rpc.Backend that does as it is told and remembers what it was asked. Set the fields before serving,
// or use Fail.
type Backend struct {
	Store     *view.Store
	Stat      api.Stats
	Coords    map[string]api.Coordinate
	Keys      api.KeyResponse
	Receipts  api.EventReceiptsResponse
	Story     api.WhyResponse
	Diagnosis api.DoctorResponse
	Records   []api.QueryRecord // what queries bring: the last after the query's timeout, the others at once
	Block     chan struct{}     // if set, Join waits until it is closed or the context ends

	mu    sync.Mutex
	calls []string
	err   error
}

// NewBackend returns a Backend with the given members.
func NewBackend(members ...*view.Member) *Backend {
	b := &Backend{
		Store: view.NewStore("alpha"),
		Stat:  api.Stats{"agent": {"name": "alpha"}, "tags": {}},
		Keys:  api.KeyResponse{Messages: map[string]string{}, NumNodes: 1, NumResp: 1},
		Records: []api.QueryRecord{
			{Type: api.QueryRecordAck, From: "alpha"},
			{Type: api.QueryRecordResponse, From: "alpha", Payload: []byte("ok")},
			{Type: api.QueryRecordDone},
		},
	}
	b.Store.Publish(members)
	return b
}

// Member returns a member of the given name and tags (key, value, key, value, ...) that is alive.
func Member(name string, addr string, tags ...string) *view.Member {
	m := &view.Member{
		Name: name, Addr: netip.MustParseAddr(addr), Port: 7946, Tags: map[string]string{}, Status: view.StatusAlive,
		ProtocolMin: 1, ProtocolMax: 5, ProtocolCur: 2, DelegateMin: 2, DelegateMax: 5, DelegateCur: 5,
	}
	for pair := range slices.Chunk(tags, 2) {
		m.Tags[pair[0]] = pair[1]
	}
	return m
}

// Fail makes all commands fail with err from now on; nil ends that.
func (b *Backend) Fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

// Calls returns what was asked so far, such as "Join [10.0.0.1] false".
func (b *Backend) Calls() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.calls)
}

func (b *Backend) call(format string, args ...any) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, fmt.Sprintf(format, args...))
	return b.err
}

// View returns Store.
func (b *Backend) View() *view.Store { return b.Store }

// Join remembers the call, and waits if Block is set.
func (b *Backend) Join(ctx context.Context, addrs []string, replay bool) (int, error) {
	if err := b.call("Join %v %v", addrs, replay); err != nil {
		return 0, err
	}
	if b.Block != nil {
		select {
		case <-b.Block:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return len(addrs), nil
}

// Leave remembers the call.
func (b *Backend) Leave(context.Context) error { return b.call("Leave") }

// ForceLeave remembers the call.
func (b *Backend) ForceLeave(_ context.Context, node string, prune bool) error {
	return b.call("ForceLeave %s %v", node, prune)
}

// UserEvent remembers the call.
func (b *Backend) UserEvent(name string, payload []byte, coalesce bool) error {
	return b.call("UserEvent %s %q %v", name, payload, coalesce)
}

// EventReceipts remembers the call and returns Receipts.
func (b *Backend) EventReceipts(_ context.Context, req api.EventReceiptsRequest) (api.EventReceiptsResponse, error) {
	return b.Receipts, b.call("EventReceipts %s %q %v %v", req.Name, req.Payload, req.Coalesce, req.Wait)
}

// Why remembers the call and returns Story.
func (b *Backend) Why(_ context.Context, req api.WhyRequest) (api.WhyResponse, error) {
	return b.Story, b.call("Why %s %v", req.Node, req.All)
}

// Doctor remembers the call and returns Diagnosis.
func (b *Backend) Doctor(_ context.Context, node string) (api.DoctorResponse, error) {
	return b.Diagnosis, b.call("Doctor %s", node)
}

// UpdateTags remembers the call.
func (b *Backend) UpdateTags(_ context.Context, set map[string]string, del []string) error {
	return b.call("UpdateTags %v %v", set, del)
}

// Query remembers the call and brings Records.
func (b *Backend) Query(ctx context.Context, req api.QueryRequest) (<-chan api.QueryRecord, error) {
	if err := b.call("Query %+v", req); err != nil {
		return nil, err
	}
	records := make(chan api.QueryRecord, len(b.Records))
	go func() {
		defer close(records)
		for i, r := range b.Records {
			if i == len(b.Records)-1 && req.Timeout > 0 {
				select {
				case <-time.After(req.Timeout):
				case <-ctx.Done():
				}
			}
			records <- r
		}
	}()
	return records, nil
}

// InstallKey remembers the call and returns Keys.
func (b *Backend) InstallKey(_ context.Context, key string) (api.KeyResponse, error) {
	return b.Keys, b.call("InstallKey %s", key)
}

// UseKey remembers the call and returns Keys.
func (b *Backend) UseKey(_ context.Context, key string) (api.KeyResponse, error) {
	return b.Keys, b.call("UseKey %s", key)
}

// RemoveKey remembers the call and returns Keys.
func (b *Backend) RemoveKey(_ context.Context, key string) (api.KeyResponse, error) {
	return b.Keys, b.call("RemoveKey %s", key)
}

// ListKeys remembers the call and returns Keys.
func (b *Backend) ListKeys(context.Context) (api.KeyResponse, error) {
	return b.Keys, b.call("ListKeys")
}

// Coordinate looks into Coords.
func (b *Backend) Coordinate(node string) (api.Coordinate, bool) {
	c, ok := b.Coords[node]
	return c, ok
}

// Stats returns Stat.
func (b *Backend) Stats() api.Stats { return b.Stat }

// Server is a server with what feeds it.
type Server struct {
	*rpc.Server
	Events  *event.Log
	Log     *logs.Log // monitors read its ring, and the server logs there
	Backend *Backend

	listener *Listener
}

// Start serves in memory until the test ends.
func Start(t testing.TB, cfg rpc.Config, b *Backend) *Server {
	t.Helper()
	s := &Server{Events: event.NewLog(0), Log: logs.New(logs.Options{}), Backend: b, listener: NewListener()}
	if cfg.Logger == nil {
		cfg.Logger = s.Log.Logger("agent.ipc")
	}
	s.Server = rpc.New(cfg, b, s.Events, s.Log.Ring())
	served := make(chan error, 1)
	go func() { served <- s.Serve(s.listener) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s
}

// Dial connects to the server. It fits client.Config.Dialer.
func (s *Server) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return s.listener.Dial(ctx)
}

// Listener is a net.Listener in memory.
type Listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// NewListener returns a Listener.
func NewListener() *Listener {
	return &Listener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial returns the other end of a connection that Accept returned.
func (l *Listener) Dial(ctx context.Context) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case l.conns <- there:
		return here, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (l *Listener) Addr() net.Addr { return &net.UnixAddr{Net: "memory", Name: "memory"} }
