package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/go-metrics"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/api/frame"
)

const (
	maxHeader = 4 << 10 // bytes of a request header
	// writeChunk is what has to get through within Config.WriteTimeout.
	writeChunk = 256 << 10
	// lastGasp is how long a connection that ends may still take to hand over what was written or is being written.
	lastGasp = 250 * time.Millisecond
)

// conn is one client. Its serve goroutine reads; that one and those of the streams write.
type conn struct {
	srv    *Server
	nc     net.Conn
	name   string // for the log
	ctx    context.Context
	cancel context.CancelFunc

	// Only serve uses these.
	in             *frame.Reader
	greeted, ready bool // the handshake is done; authentication, too

	writing sync.Mutex // keeps header and body together
	out     []byte     // reused under writing

	mu      sync.Mutex
	closing bool
	streams streams
	queries pendingQueries
	tasks   sync.WaitGroup // goroutines of streams and queries
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{srv: s, nc: nc, name: nc.RemoteAddr().String(), in: frame.NewReader(nc)}
	c.ctx, c.cancel = context.WithCancel(s.ctx)
	return c
}

// serve works off requests until the client hangs up, does what ends the connection, or the server closes.
func (c *conn) serve() {
	c.readDeadline(time.Now().Add(c.srv.cfg.RequestTimeout))
	for c.ctx.Err() == nil && c.request() {
	}
	c.cancel()
	c.tasks.Wait()
	c.linger()
	c.abort()
}

// abort ends the connection at once.
func (c *conn) abort() {
	c.cancel()
	_ = c.nc.Close() // nothing is left that could be lost
}

// shutdown makes serve end soon.
func (c *conn) shutdown() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closing = true
	c.cancel()
	// On a connection that is closed already these fail, and that is as good.
	_ = c.nc.SetReadDeadline(time.Unix(1, 0))
	_ = c.nc.SetWriteDeadline(time.Now().Add(lastGasp))
}

// readDeadline sets until when the client may take to say something; zero means for ever.
func (c *conn) readDeadline(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		_ = c.nc.SetReadDeadline(t) // fails on a closed connection only, and then reading does, too
	}
}

// linger lets the client read the last answer: closing with unread requests pending would reset the connection and
// could take the answer away.
func (c *conn) linger() {
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	if c.nc.SetReadDeadline(time.Now().Add(lastGasp)) == nil {
		_, _ = io.CopyN(io.Discard, c.nc, int64(c.srv.cfg.MaxBody)) // its end is all that matters
	}
}

// request takes one request and answers it. It returns false if it was the last.
func (c *conn) request() bool {
	if c.ready {
		c.readDeadline(time.Time{})
	}
	if err := c.in.Wait(); err != nil {
		c.hungUp(err)
		return false
	}
	if c.ready {
		c.readDeadline(time.Now().Add(c.srv.cfg.RequestTimeout))
	}

	raw, err := c.in.Next(nil, maxHeader)
	var h api.RequestHeader
	if err == nil {
		err = frame.Decode(raw, &h)
	}
	if err != nil {
		c.srv.cfg.Logger.Error(fmt.Sprintf("failed to decode request header: %v: client: %s", err, c.name))
		return false
	}

	refusal := c.gate(h.Command)
	if refusal == api.ErrHandshakeRequired || refusal == api.ErrUnsupportedCommand {
		c.reply(h.Seq, answer{err: refusal})
		return false
	}
	cmd := commands[h.Command]
	var body []byte
	if cmd.body {
		if body, err = c.in.Next(nil, c.srv.cfg.MaxBody); err != nil {
			return c.undecodable(h, err)
		}
	}
	if refusal != "" {
		return c.reply(h.Seq, answer{err: refusal})
	}
	metrics.IncrCounter([]string{"agent", "ipc", "command"}, 1)
	a, err := cmd.run(c, h, body)
	if err != nil {
		return c.undecodable(h, err)
	}
	ok := c.reply(h.Seq, a)
	if a.then != nil {
		a.then()
	}
	return ok
}

// gate refuses what does not exist, and what comes before handshake and authentication (Serf reference 4.2). A name
// that nobody knows may be followed by a body or not, so it ends the connection even before authentication.
func (c *conn) gate(command string) api.ProtocolError {
	_, known := commands[command]
	switch {
	case !c.greeted && command != api.CommandHandshake:
		return api.ErrHandshakeRequired
	case !known:
		return api.ErrUnsupportedCommand
	case !c.ready && command != api.CommandAuth && command != api.CommandHandshake:
		c.srv.cfg.Logger.Warn("Client sending commands before auth: client: " + c.name)
		return api.ErrAuthRequired
	}
	return ""
}

// hungUp logs why there is no further request, unless that is in the nature of things.
func (c *conn) hungUp(err error) {
	var ne net.Error
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe), c.ctx.Err() != nil:
	case errors.As(err, &ne) && ne.Timeout():
		c.srv.cfg.Logger.Warn("Closed client that neither shook hands nor authenticated: " + c.name)
	default:
		c.srv.cfg.Logger.Debug(fmt.Sprintf("Client is gone: %v: client: %s", err, c.name))
	}
}

// undecodable answers a body that makes no sense. What follows it on the connection would make none either.
func (c *conn) undecodable(h api.RequestHeader, err error) bool {
	c.srv.cfg.Logger.Error(fmt.Sprintf("Failed to evaluate request: decode failed: %v: client: %s", err, c.name))
	c.reply(h.Seq, answer{err: fmt.Errorf("decode failed: %w", err)})
	return false
}

// answer is what a command makes of a request.
type answer struct {
	err  error
	body any    // nil: none follows; []byte: encoded already
	then func() // runs after the answer was written, or could not be
}

// reply writes an answer.
func (c *conn) reply(seq uint64, a answer) bool {
	text := ""
	if a.err != nil {
		text = a.err.Error()
	}
	return c.send(api.ResponseHeader{Seq: seq, Error: text}, a.body)
}

// record writes a record of the stream that was started by the request numbered seq.
func (c *conn) record(seq uint64, body any) bool {
	return c.send(api.ResponseHeader{Seq: seq}, body)
}

// send writes header and body in one piece. If that fails it ends the connection and returns false.
func (c *conn) send(h api.ResponseHeader, body any) bool {
	c.writing.Lock()
	defer c.writing.Unlock()
	msg, err := frame.Append(c.out[:0], h)
	var tail []byte
	switch body := body.(type) {
	case nil:
	case []byte:
		if len(body) > writeChunk {
			tail = body // shared with others: not worth a copy
		} else {
			msg = append(msg, body...)
		}
	default:
		if err == nil {
			msg, err = frame.Append(msg, body)
		}
	}
	if cap(msg) <= writeChunk {
		c.out = msg
	}
	if err == nil {
		err = c.write(msg)
	}
	if err == nil {
		err = c.write(tail)
	}
	if err != nil {
		if c.ctx.Err() == nil {
			c.srv.cfg.Logger.Warn(fmt.Sprintf("Failed to write, closing client: %v: client: %s", err, c.name))
		}
		c.abort()
		return false
	}
	return true
}

func (c *conn) write(b []byte) error {
	for len(b) > 0 {
		chunk := b[:min(len(b), writeChunk)]
		b = b[len(chunk):]
		c.writeDeadline()
		if _, err := c.nc.Write(chunk); err != nil {
			return err
		}
	}
	return nil
}

func (c *conn) writeDeadline() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing { // else shutdown has set the last one
		_ = c.nc.SetWriteDeadline(time.Now().Add(c.srv.cfg.WriteTimeout)) // Write fails if this does
	}
}
