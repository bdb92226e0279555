// Package client speaks the RPC protocol with an agent, of gossip or stock Serf: calls, streams, and a Watcher that
// keeps a correct member list through restarts of the agent. It imports package api and the standard library, with
// msgpack for the encoding, so that it costs its users next to nothing.
//
// A Client is one connection. When that is gone the Client is, too; dial a new one, or use a Watcher, which does.
// Everything may be used from several goroutines at a time. The agent works off the requests of one connection
// strictly in order, so a slow call (Join, Leave) holds up those behind it: use several clients where that matters.
package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/api/frame"
)

// DefaultTimeout is the limit for dialling, writing and calls unless Config says otherwise.
const DefaultTimeout = 10 * time.Second

// slowFactor stretches the limit of calls that wait for the cluster and not just for the agent.
const slowFactor = 6

// Limits of what a client takes from an agent.
const (
	maxHeader = 64 << 10 // bytes of a response header, thus of an error text
	maxBody   = 64 << 20 // bytes of a body: some 200,000 members with tags
)

// Config says where the agent is and how long to wait for it.
type Config struct {
	// Addr is host:port, tcp://host:port or unix:///path; empty means api.DefaultAddr.
	Addr string
	// AuthKey is the agent's rpc_auth token; empty means none.
	AuthKey string
	// Timeout limits dialling with handshake, each write, and each call whose context has no deadline; calls that
	// wait for the cluster (join, leave, force-leave and the key commands) get six times as much. 0 means
	// DefaultTimeout.
	Timeout time.Duration
	// Dialer makes the connection in place of net.Dialer; network is "tcp" or "unix". Optional.
	Dialer func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Client is a connection to an agent.
type Client struct {
	addr    string
	timeout time.Duration
	conn    net.Conn

	writing chan struct{} // holds a token while nobody writes
	done    chan struct{} // closed when the connection is gone
	reader  sync.WaitGroup

	mu      sync.Mutex
	seq     uint64
	pending map[uint64]*pending // unanswered requests, and streams
	err     error               // why the connection is gone; set before done is closed
}

// pending is what the reader knows about a request.
type pending struct {
	command  string
	body     bool       // a body follows the answer
	answered bool       // what comes now are records
	reply    chan reply // buffered: nobody may wait any more
	sink     sink       // takes the records; nil for plain calls
	after    func()     // runs when the answer is there; nil for most
}

type reply struct {
	body []byte
	err  error
}

// sink takes the records of one stream. Its methods are called by the reader alone and never block.
type sink interface {
	// record takes one body, valid during the call only, and tells whether it was the last.
	record(body []byte) (last bool)
	// end is called once when the connection is gone or the last record was taken (err is nil).
	end(err error)
}

// Dial connects to the agent, shakes hands and authenticates. ctx bounds this alone and not the connection.
// A refused token is ErrAuth.
func Dial(ctx context.Context, cfg Config) (*Client, error) {
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	network, addr := splitAddr(cfg.Addr)
	dial := cfg.Dialer
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	conn, err := dial(ctx, network, addr)
	if err != nil {
		return nil, err // net's errors name operation and address
	}
	c := &Client{
		addr:    addr,
		timeout: cfg.Timeout,
		conn:    conn,
		writing: make(chan struct{}, 1),
		done:    make(chan struct{}),
		pending: make(map[uint64]*pending),
	}
	c.writing <- struct{}{}
	c.reader.Go(c.read)
	if err := c.greet(ctx, cfg.AuthKey); err != nil {
		_ = c.Close() // the reason to close matters more
		return nil, err
	}
	return c, nil
}

// splitAddr turns a Config.Addr into what net.Dial takes.
func splitAddr(s string) (network, addr string) {
	if s == "" {
		return "tcp", api.DefaultAddr
	}
	if path, ok := strings.CutPrefix(s, "unix://"); ok {
		return "unix", path
	}
	return "tcp", strings.TrimPrefix(s, "tcp://")
}

func (c *Client) greet(ctx context.Context, authKey string) error {
	if err := c.call(ctx, api.CommandHandshake, api.HandshakeRequest{Version: api.Version}, nil); err != nil {
		return err
	}
	if authKey == "" {
		return nil
	}
	return c.call(ctx, api.CommandAuth, api.AuthRequest{AuthKey: authKey}, nil)
}

// Close ends the connection, and with it all calls and streams. It may be called more than once.
func (c *Client) Close() error {
	c.fail(ErrClosed)
	c.reader.Wait()
	return nil
}

// Done is closed when the connection is gone, whoever ended it.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err tells why the connection is gone; it is nil before Done is closed. It is ErrClosed by errors.Is.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// fail ends the connection for the given reason, which is ErrClosed or wraps it. Only the first reason counts.
func (c *Client) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = err
	close(c.done)
	_ = c.conn.Close() // the reader notices; nothing is left to be lost
}

// call sends a request and decodes the answer's body into resp, if that is not nil. When the answer is an error and
// has a body, resp is filled nevertheless.
func (c *Client) call(ctx context.Context, command string, req, resp any) error {
	limit := c.timeout
	switch command {
	case api.CommandJoin, api.CommandLeave, api.CommandForceLeave,
		api.CommandInstallKey, api.CommandUseKey, api.CommandRemoveKey, api.CommandListKeys:
		limit *= slowFactor
	}
	r, _, err := c.roundTrip(ctx, limit, &pending{command: command, body: resp != nil}, req)
	if err != nil {
		return err
	}
	if resp != nil && r.body != nil {
		if err := decode(r.body, resp); err != nil {
			return fmt.Errorf("%s: the agent's answer makes no sense: %w", command, err)
		}
	}
	return r.err
}

func decode(body []byte, resp any) error {
	if m, ok := resp.(*members); ok {
		return m.decode(body)
	}
	return frame.Decode(body, resp)
}

// roundTrip sends a request and waits for its answer. err tells that there was none; the agent's refusal is in the
// reply. An answer that comes too late is still taken off the connection by the reader.
func (c *Client) roundTrip(ctx context.Context, limit time.Duration, p *pending, req any) (r reply, seq uint64, err error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	p.reply = make(chan reply, 1)
	seq, err = c.send(ctx, p, req)
	if err != nil {
		return reply{}, seq, err
	}
	select {
	case r = <-p.reply:
		if errors.Is(r.err, ErrClosed) {
			return reply{}, seq, r.err
		}
		return r, seq, nil
	case <-ctx.Done():
		return reply{}, seq, fmt.Errorf("%s: waiting for the agent at %s: %w", p.command, c.addr, ctx.Err())
	}
}

// send registers p and writes the request. After an error p is forgotten.
func (c *Client) send(ctx context.Context, p *pending, req any) (seq uint64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("%s: %w", p.command, err)
	}
	c.mu.Lock()
	if c.err != nil {
		defer c.mu.Unlock()
		return 0, fmt.Errorf("%s: %w", p.command, c.err)
	}
	c.seq++
	seq = c.seq
	c.mu.Unlock()

	msg, err := frame.Append(nil, api.RequestHeader{Command: p.command, Seq: seq})
	if err == nil && req != nil {
		msg, err = frame.Append(msg, req)
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", p.command, err)
	}

	select {
	case <-c.writing:
	case <-c.done:
		return 0, fmt.Errorf("%s: %w", p.command, c.Err())
	case <-ctx.Done():
		return 0, fmt.Errorf("%s: %w", p.command, ctx.Err())
	}
	defer func() { c.writing <- struct{}{} }()
	c.mu.Lock()
	if c.err != nil {
		defer c.mu.Unlock()
		return 0, fmt.Errorf("%s: %w", p.command, c.err)
	}
	c.pending[seq] = p
	c.mu.Unlock()
	// The write is not cut short by ctx: half a request would be the end of the connection.
	_ = c.conn.SetWriteDeadline(time.Now().Add(c.timeout)) // fails on a closed connection only, as Write then does
	if _, err := c.conn.Write(msg); err != nil {
		c.fail(fmt.Errorf("%w: writing to the agent at %s: %w", ErrClosed, c.addr, err))
		return 0, fmt.Errorf("%s: %w", p.command, c.Err())
	}
	return seq, nil
}
