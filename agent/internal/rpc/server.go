// Package rpc serves Serf's RPC protocol (Serf reference section 4) with a few extensions of package api: it turns
// requests into calls of a Backend, member snapshots into lists, and the event log and the log ring into streams. It
// imports package view and the readers' side of event and logs, and knows nothing of how the agent gets there.
//
// Each connection has one goroutine that works off its requests in order, and one for each of its streams and queries.
// A client that does not read costs its connection, never a goroutine for longer than the write time limit.
// Deviations from Serf, all of them unseen by its clients: bodies of refused requests are taken off the connection,
// filters of members are grouped before they are anchored, what cannot be understood is answered before the server
// hangs up, and there are limits (Config).
package rpc

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-metrics"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/logs"
	"github.com/seed-645ce708/gossip/agent/internal/view"
)

// Backend is the agent as the server sees it. Its methods are called from many goroutines at a time. The text of
// their errors goes to the client as it is, so Serf's texts must come from here. A context that ends means that the
// client is gone or the server closes.
type Backend interface {
	// View holds the members.
	View() *view.Store
	// Join returns how many of the addresses were reached; with one at least there is no error.
	Join(ctx context.Context, addrs []string, replay bool) (int, error)
	// Leave leaves the cluster. It does not end the agent: see Server.Left.
	Leave(ctx context.Context) error
	ForceLeave(ctx context.Context, node string, prune bool) error
	UserEvent(name string, payload []byte, coalesce bool) error
	// EventReceipts sends a user event and waits for what becomes of it on the members. An error means that it was not sent.
	EventReceipts(ctx context.Context, req api.EventReceiptsRequest) (api.EventReceiptsResponse, error)
	// Why tells what happened to a member.
	Why(ctx context.Context, req api.WhyRequest) (api.WhyResponse, error)
	// Doctor tests the network between the agent and one member, or all if node is "".
	Doctor(ctx context.Context, node string) (api.DoctorResponse, error)
	// UpdateTags deletes the tags named in del, then sets those in set.
	UpdateTags(ctx context.Context, set map[string]string, del []string) error
	// Query starts a query. The channel brings acks, responses, and at the end one record of type
	// api.QueryRecordDone, and is then closed. If ctx ends nobody reads the channel any more.
	Query(ctx context.Context, req api.QueryRequest) (<-chan api.QueryRecord, error)
	// The key commands fill the response as far as they got even if they fail.
	InstallKey(ctx context.Context, key string) (api.KeyResponse, error)
	UseKey(ctx context.Context, key string) (api.KeyResponse, error)
	RemoveKey(ctx context.Context, key string) (api.KeyResponse, error)
	ListKeys(ctx context.Context) (api.KeyResponse, error)
	// Coordinate returns a member's network coordinate if it is known.
	Coordinate(node string) (api.Coordinate, bool)
	Stats() api.Stats
}

// Config sets up a Server. Zero values mean the defaults.
type Config struct {
	// AuthKey is the token that clients have to show; empty means none.
	AuthKey string
	// MaxConns is how many connections may be open; further ones are closed at once. Default 1024.
	MaxConns int
	// RequestTimeout is how long a client may take to shake hands and authenticate after it connected, and then for
	// each request from its first byte to its last. Default 10 s.
	RequestTimeout time.Duration
	// WriteTimeout is how long 256 KiB of answer may take to be read by the client. Default 10 s.
	WriteTimeout time.Duration
	// MaxBody bounds the bytes of a request's body. Default 1 MiB.
	MaxBody int
	// Logger is the one called agent.ipc. Default: none.
	Logger hclog.Logger
}

// Server serves RPC on any number of listeners.
type Server struct {
	cfg     Config
	auth    [sha256.Size]byte // of Config.AuthKey
	backend Backend
	events  *event.Log
	logs    *logs.Ring
	members memberCache

	left     chan struct{}
	leftOnce sync.Once

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // Serve calls and connections

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
}

// New returns a server that streams events and lines to whoever asks for them.
func New(cfg Config, backend Backend, events *event.Log, lines *logs.Ring) *Server {
	if cfg.MaxConns <= 0 {
		cfg.MaxConns = 1024
	}
	if cfg.RequestTimeout <= 0 {
		cfg.RequestTimeout = 10 * time.Second
	}
	if cfg.WriteTimeout <= 0 {
		cfg.WriteTimeout = 10 * time.Second
	}
	if cfg.MaxBody <= 0 {
		cfg.MaxBody = 1 << 20
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	s := &Server{
		cfg:       cfg,
		auth:      sha256.Sum256([]byte(cfg.AuthKey)),
		backend:   backend,
		events:    events,
		logs:      lines,
		left:      make(chan struct{}),
		listeners: make(map[net.Listener]struct{}),
		conns:     make(map[*conn]struct{}),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Left is closed once a client asked the agent to leave, the leave is through, and the client has its answer. The
// agent then has to end, whether the leave succeeded or not, as Serf's does.
func (s *Server) Left() <-chan struct{} { return s.left }

// Serve accepts connections until Close, when it returns nil, or until the listener fails. It closes the listener.
func (s *Server) Serve(l net.Listener) error {
	if !s.track(l) {
		return l.Close()
	}
	defer s.untrack(l)
	const maxPause = time.Second
	pause := time.Duration(0)
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			s.accept(nc)
			continue
		case s.ctx.Err() != nil:
			return nil
		case !temporary(err):
			return err
		}
		pause = min(max(2*pause, 5*time.Millisecond), maxPause)
		s.cfg.Logger.Error("Failed to accept client: "+err.Error(), "retry_in", pause)
		select {
		case <-time.After(pause):
		case <-s.ctx.Done():
		}
	}
}

// temporary tells errors of accepting that pass, such as a lack of file descriptors.
func temporary(err error) bool {
	var ne interface{ Temporary() bool }
	return errors.As(err, &ne) && ne.Temporary()
}

// track registers a listener with its Serve unless the server is closed.
func (s *Server) track(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	s.wg.Add(1)
	s.listeners[l] = struct{}{}
	return true
}

func (s *Server) untrack(l net.Listener) {
	s.mu.Lock()
	delete(s.listeners, l)
	s.mu.Unlock()
	_ = l.Close() // closed already, or failed: nothing to be done
	s.wg.Done()
}

// accept gives a connection its goroutine, or turns it away.
func (s *Server) accept(nc net.Conn) {
	metrics.IncrCounter([]string{"agent", "ipc", "accept"}, 1)
	c := newConn(s, nc)
	s.mu.Lock()
	full, closed := len(s.conns) >= s.cfg.MaxConns, s.ctx.Err() != nil
	if !full && !closed {
		s.conns[c] = struct{}{}
		s.wg.Add(1)
	}
	s.mu.Unlock()
	switch {
	case closed:
		c.abort()
	case full:
		s.cfg.Logger.Warn("Refused client, all connections are taken: "+c.name, "limit", s.cfg.MaxConns)
		c.abort()
	default:
		s.cfg.Logger.Info("Accepted client: " + c.name)
		go func() {
			defer s.wg.Done()
			c.serve()
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		}()
	}
}

// Close ends all listeners, connections and streams and waits for their goroutines. Requests in progress see their
// context end and are answered, provided that the client reads. It may be called more than once, but not by the Backend
// within a request.
func (s *Server) Close() {
	s.mu.Lock()
	s.cancel()
	for l := range s.listeners {
		_ = l.Close() // Serve returns for that
	}
	for c := range s.conns {
		c.shutdown()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// authentic compares in a time that tells nothing about the token, not even its length.
func (s *Server) authentic(key string) bool {
	sum := sha256.Sum256([]byte(key))
	return subtle.ConstantTimeCompare(sum[:], s.auth[:]) == 1
}
