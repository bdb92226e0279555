package simnet

import (
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"
)

// window is how many bytes of a flow may be under way or unread.
const window = 1 << 20

// flow is one direction of a connection.
type flow struct {
	net      *Network
	from, to netip.AddrPort

	mu      sync.Mutex
	pieces  []piece
	size    int
	ended   bool          // by the writer, or the reader is gone
	changed chan struct{} // closed and replaced at each change
}

// piece is what one Write wrote.
type piece struct {
	ready time.Time // when it arrives
	data  []byte
	cut   bool // it never arrives
}

func newFlow(n *Network, from, to netip.AddrPort) *flow {
	return &flow{net: n, from: from, to: to, changed: make(chan struct{})}
}

// change wakes whoever waits. The flow is locked.
func (f *flow) change() {
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *flow) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ended {
		f.ended = true
		f.change()
	}
}

// write appends a piece, as soon as there is room.
func (f *flow) write(b []byte, deadline time.Time) (int, error) {
	f.net.mu.Lock()
	f.net.counters.StreamBytes += uint64(len(b))
	f.net.mu.Unlock()
	delay, ok := f.net.segment(f.from, f.to)
	for {
		f.mu.Lock()
		switch {
		case f.ended:
			f.mu.Unlock()
			return 0, io.ErrClosedPipe
		case f.size == 0 || f.size+len(b) <= window:
			p := piece{ready: time.Now().Add(delay), data: slices.Clone(b), cut: !ok}
			if k := len(f.pieces); k > 0 && p.ready.Before(f.pieces[k-1].ready) {
				p.ready = f.pieces[k-1].ready // nothing overtakes
			}
			f.pieces = append(f.pieces, p)
			f.size += len(b)
			f.change()
			f.mu.Unlock()
			return len(b), nil
		}
		changed := f.changed
		f.mu.Unlock()
		if !wait(changed, time.Time{}, deadline) {
			return 0, os.ErrDeadlineExceeded
		}
	}
}

func (f *flow) read(b []byte, deadline func() time.Time) (int, error) {
	for {
		limit := deadline()
		if !limit.IsZero() && !time.Now().Before(limit) {
			return 0, os.ErrDeadlineExceeded
		}
		f.mu.Lock()
		var next time.Time
		if len(f.pieces) > 0 {
			p := &f.pieces[0]
			switch {
			case p.cut:
				// Nothing comes any more, not even the end.
			case time.Now().Before(p.ready):
				next = p.ready
			default:
				k := copy(b, p.data)
				p.data = p.data[k:]
				f.size -= k
				if len(p.data) == 0 {
					f.pieces = f.pieces[1:]
				}
				f.change()
				f.mu.Unlock()
				return k, nil
			}
		} else if f.ended {
			f.mu.Unlock()
			return 0, io.EOF
		}
		changed := f.changed
		f.mu.Unlock()
		wait(changed, next, limit)
	}
}

// wait returns when something changed, or at one of the times, and false if that was the deadline.
func wait(changed <-chan struct{}, next, deadline time.Time) bool {
	var at, limit <-chan time.Time
	if !next.IsZero() {
		t := time.NewTimer(time.Until(next))
		defer t.Stop()
		at = t.C
	}
	if !deadline.IsZero() {
		t := time.NewTimer(time.Until(deadline))
		defer t.Stop()
		limit = t.C
	}
	select {
	case <-changed:
		return true
	case <-at:
		return true
	case <-limit:
		return false
	}
}

// conn is one end of a connection.
type conn struct {
	endpoint *Endpoint
	in, out  *flow
	peer     netip.AddrPort

	mu     sync.Mutex
	closed bool
	rd, wr time.Time
}

func newConn(e *Endpoint, in, out *flow, peer netip.AddrPort) *conn {
	return &conn{endpoint: e, in: in, out: out, peer: peer}
}

// Read returns os.ErrDeadlineExceeded after the deadline, and net.ErrClosed after Close.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.in.read(b, func() time.Time {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.rd
	})
	return n, c.failed("read", err)
}

// Write returns as soon as all is on its way.
func (c *conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	deadline := c.wr
	c.mu.Unlock()
	n, err := c.out.write(b, deadline)
	return n, c.failed("write", err)
}

func (c *conn) failed(op string, err error) error {
	if err == nil || err == io.EOF { //nolint:errorlint // as readers compare it
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		err = net.ErrClosed
	}
	return &net.OpError{Op: op, Net: "tcp", Addr: c.RemoteAddr(), Err: err}
}

// Close ends both directions; what is under way to the peer still arrives.
func (c *conn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.out.end()
	c.in.end()
	c.endpoint.drop(c)
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(c.endpoint.addr) }
func (c *conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.peer) }

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	c.set(&c.rd, t)
	c.set(&c.wr, t)
	return nil
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.set(&c.rd, t)
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.set(&c.wr, t)
	return nil
}

// set changes a deadline and lets a reader that waits see it.
func (c *conn) set(deadline *time.Time, t time.Time) {
	c.mu.Lock()
	*deadline = t
	c.mu.Unlock()
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	c.in.change()
}
