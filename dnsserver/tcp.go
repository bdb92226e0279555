package dnsserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"
)

// serveTCP accepts connections until the listener is closed; with TLS if config is set.
func (s *Server) serveTCP(listener net.Listener, config *tls.Config) {
	stats := s.tally.counters()
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			stats.errors.Add(1)
			if !s.pause() {
				return
			}
			continue
		}
		s.admit(conn, config, stats)
	}
}

// admit starts to serve a connection, unless there are as many as may be.
func (s *Server) admit(conn net.Conn, config *tls.Config, stats *counters) {
	client := addrOf(conn)
	session, evicted := s.conns.add(conn, client, time.Now())
	if evicted != nil {
		stats.tcpEvicted.Add(1)
		_ = evicted.Close() // nothing was under way on it
	}
	if session == nil {
		stats.tcpRefused.Add(1)
		_ = conn.Close() // too many already, or we are closing; nothing was said on it yet
		return
	}
	s.wg.Go(func() {
		s.serveConn(&stream{server: s, session: session, conn: conn, client: client, tls: config != nil, stats: stats}, config)
		_ = conn.Close() // whatever it says, we are done with it
		s.conns.remove(session)
	})
}

// addrOf returns whom a connection is with; the zero address if it is not one of TCP.
func addrOf(conn net.Conn) netip.Addr {
	if tcp, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// stream is one connection as messages.
type stream struct {
	server  *Server
	session *session
	conn    net.Conn
	client  netip.Addr
	tls     bool
	stats   *counters
	in      *bufio.Reader
	out     []byte // replies that have not been sent
	// patience is how long the client may take for them, if that is longer than for any message.
	patience time.Duration
}

func (s *Server) serveConn(c *stream, config *tls.Config) {
	if config != nil {
		conn := tls.Server(c.conn, config)
		ctx, cancel := context.WithTimeout(context.Background(), s.cfg.ReadTimeout)
		defer cancel()
		if err := conn.HandshakeContext(ctx); err != nil {
			c.stats.tlsFailed.Add(1)
			return
		}
		c.conn = conn
	}
	c.in = bufio.NewReader(c.conn)
	c.serve()
}

// maxUnsent is how many octets of replies to pipelined queries are gathered before they are sent.
const maxUnsent = 16 << 10

// serve answers the queries of one connection in the order in which they come, until the client ends it, falls silent
// or breaks the framing (RFC 7766). Queries may be pipelined: as answers come from memory, none waits for another.
// Replies to queries that came together leave together.
func (c *stream) serve() {
	r := c.server.responder(c.stats)
	p := path{tcp: true, tls: c.tls, client: c.client, idle: c.server.cfg.IdleTimeout, send: c.send}
	received := &c.stats.tcp
	if c.tls {
		received = &c.stats.tls
	}
	var packet []byte
	for {
		var ok bool
		if packet, ok = c.readMessage(packet); !ok {
			return
		}
		received.Add(1)
		c.patience = 0
		p.now = time.Now()
		reply := r.respond(packet, p)
		if reply == nil {
			_ = c.flush() // what came before it was well
			return        // no client of ours: it sent something that is not a query
		}
		c.queue(reply)
		if (len(c.out) > maxUnsent || !c.pending()) && !c.flush() {
			return
		}
	}
}

// queue puts a message behind those that have not been sent.
func (c *stream) queue(packet []byte) {
	c.out = binary.BigEndian.AppendUint16(c.out, uint16(len(packet)))
	c.out = append(c.out, packet...)
}

// transferTimeout is how long a secondary may take for the next messages of a transfer: it has work to do with those
// that it got.
const transferTimeout = 30 * time.Second

// send sends a message that is not the last of a reply.
func (c *stream) send(packet []byte) error {
	c.queue(packet)
	c.patience = transferTimeout
	if len(c.out) > maxUnsent && !c.flush() {
		return net.ErrClosed
	}
	return nil
}

// pending reports whether a whole message has arrived already.
func (c *stream) pending() bool {
	if c.in.Buffered() < prefixSize {
		return false
	}
	prefix, err := c.in.Peek(prefixSize)
	return err == nil && c.in.Buffered() >= prefixSize+int(binary.BigEndian.Uint16(prefix))
}

// prefixSize is the length of the length before each message.
const prefixSize = 2

// flush sends what is unsent.
func (c *stream) flush() bool {
	if len(c.out) == 0 {
		return true
	}
	if c.conn.SetWriteDeadline(time.Now().Add(max(c.patience, c.server.cfg.ReadTimeout))) != nil {
		return false
	}
	_, err := c.conn.Write(c.out) // in one, so that it leaves in as few segments as can be
	if err != nil {
		c.stats.errors.Add(1)
	}
	c.out = c.out[:0]
	if cap(c.out) > 2*maxUnsent {
		c.out = nil
	}
	return err == nil
}

// readMessage returns the next message, in b if that is long enough.
func (c *stream) readMessage(b []byte) (_ []byte, ok bool) {
	var prefix [prefixSize]byte
	if c.in.Buffered() == 0 {
		c.server.conns.mark(c.session, time.Now())
		ok = c.readFull(prefix[:1], c.server.cfg.IdleTimeout)
		c.server.conns.mark(c.session, time.Time{})
	} else {
		ok = c.readFull(prefix[:1], c.server.cfg.ReadTimeout)
	}
	if !ok || !c.readFull(prefix[1:], c.server.cfg.ReadTimeout) {
		return nil, false
	}
	size := int(binary.BigEndian.Uint16(prefix[:]))
	if cap(b) < size {
		b = make([]byte, size)
	}
	return b[:size], c.readFull(b[:size], c.server.cfg.ReadTimeout)
}

// readFull fills b within the time limit. What is in the buffer already costs no system call.
func (c *stream) readFull(b []byte, limit time.Duration) bool {
	if c.in.Buffered() < len(b) && c.conn.SetReadDeadline(time.Now().Add(limit)) != nil {
		return false
	}
	_, err := io.ReadFull(c.in, b)
	return err == nil
}
