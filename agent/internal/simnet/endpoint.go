package simnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"
)

// ErrAddrInUse answers Listen for an address that has an endpoint.
var ErrAddrInUse = errors.New("address already in use")

// Endpoint is one agent's access to a network. Safe for concurrent use.
type Endpoint struct {
	net     *Network
	addr    netip.AddrPort
	packets chan *memberlist.Packet // never closed: memberlist reads until it has shut down
	streams chan net.Conn
	heard   atomic.Pointer[time.Time] // when the last packet came
	done    chan struct{}
	once    sync.Once

	mu    sync.Mutex
	conns map[*conn]bool
}

var _ memberlist.Transport = (*Endpoint)(nil)

// Listen returns the endpoint of an address that has none.
func (n *Network) Listen(addr netip.AddrPort) (*Endpoint, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.endpoints[addr] != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, ErrAddrInUse)
	}
	e := &Endpoint{
		net: n, addr: addr,
		packets: make(chan *memberlist.Packet, packetDepth),
		streams: make(chan net.Conn, streamDepth),
		done:    make(chan struct{}),
		conns:   map[*conn]bool{},
	}
	n.endpoints[addr] = e
	return e, nil
}

// FinalAdvertiseAddr returns the endpoint's address, whatever is asked for.
func (e *Endpoint) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return e.addr.Addr().AsSlice(), int(e.addr.Port()), nil
}

// WriteTo sends a packet.
func (e *Endpoint) WriteTo(packet []byte, addr string) (time.Time, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return time.Time{}, err
	}
	select {
	case <-e.done:
		return time.Time{}, net.ErrClosed
	default:
	}
	e.net.send(e.addr, to, packet)
	return time.Now(), nil
}

// PacketCh implements memberlist.Transport.
func (e *Endpoint) PacketCh() <-chan *memberlist.Packet { return e.packets }

// LastPacket returns when a packet was last received; the zero time means never.
func (e *Endpoint) LastPacket() time.Time {
	if at := e.heard.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// StreamCh implements memberlist.Transport.
func (e *Endpoint) StreamCh() <-chan net.Conn { return e.streams }

// DialTimeout connects to a peer, which takes a round trip.
func (e *Endpoint) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return fail(err)
	}
	limit := time.NewTimer(timeout)
	defer limit.Stop()
	there, ok := e.net.segment(e.addr, to)
	back, ok2 := e.net.segment(to, e.addr)
	arrived := time.NewTimer(there + back)
	defer arrived.Stop()
	if !ok || !ok2 {
		arrived.Stop()
	}
	select {
	case <-arrived.C:
	case <-limit.C:
		return fail(os.ErrDeadlineExceeded)
	case <-e.done:
		return fail(net.ErrClosed)
	}
	ours, err := e.net.connect(e, to)
	if err != nil {
		return fail(err)
	}
	return ours, nil
}

// connect makes the two ends of a connection and hands one to the peer.
func (n *Network) connect(e *Endpoint, to netip.AddrPort) (*conn, error) {
	n.mu.Lock()
	n.counters.Dials++
	peer := n.endpoints[to]
	n.mu.Unlock()
	if peer == nil {
		return nil, syscall.ECONNREFUSED
	}
	there, back := newFlow(n, e.addr, to), newFlow(n, to, e.addr)
	ours, theirs := newConn(e, back, there, to), newConn(peer, there, back, e.addr)
	if !e.keep(ours) {
		return nil, net.ErrClosed
	}
	if !peer.keep(theirs) {
		_ = ours.Close() // cannot fail
		return nil, syscall.ECONNREFUSED
	}
	select {
	case peer.streams <- theirs:
		return ours, nil
	default:
		n.mu.Lock()
		n.counters.Overflowed++
		n.mu.Unlock()
		_, _ = ours.Close(), theirs.Close() // cannot fail
		return nil, syscall.ECONNREFUSED
	}
}

// keep remembers a connection until it is closed. It returns false if the endpoint is shut down.
func (e *Endpoint) keep(c *conn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-e.done:
		return false
	default:
		e.conns[c] = true
		return true
	}
}

func (e *Endpoint) drop(c *conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.conns, c)
}

// Shutdown takes the address off the network and closes all connections.
func (e *Endpoint) Shutdown() error {
	e.once.Do(func() {
		e.net.mu.Lock()
		delete(e.net.endpoints, e.addr)
		e.net.mu.Unlock()
		e.mu.Lock()
		close(e.done)
		var conns []*conn
		for c := range e.conns {
			conns = append(conns, c)
		}
		e.mu.Unlock()
		for _, c := range conns {
			_ = c.Close() // cannot fail
		}
	})
	return nil
}
