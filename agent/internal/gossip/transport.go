package gossip

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"
)

// transport is memberlist's own transport with one addition: it can be cut short. memberlist dials with
// time-outs of up to half a minute and takes no context, so without this a stop would have to wait for a
// join that runs into a black hole.
type transport struct {
	*memberlist.NetTransport
	alive  context.Context
	cancel context.CancelFunc
	stop   sync.Once
	err    error
}

// portTries bounds the attempts to find one port that is free for TCP and UDP alike when the kernel chooses.
const portTries = 10

func newTransport(bindAddr string, bindPort int, logger *log.Logger) (*transport, error) {
	var err error
	for range portTries {
		var nt *memberlist.NetTransport
		nt, err = memberlist.NewNetTransport(&memberlist.NetTransportConfig{
			BindAddrs: []string{bindAddr},
			BindPort:  bindPort,
			Logger:    logger,
		})
		if err == nil {
			t := &transport{NetTransport: nt}
			t.alive, t.cancel = context.WithCancel(context.Background())
			return t, nil
		}
		if bindPort != 0 {
			break
		}
	}
	return nil, bindError(bindAddr, bindPort, err)
}

// BindError tells that the gossip address could not be bound.
type BindError struct {
	Addr string
	Err  error
}

func (e *BindError) Error() string {
	return fmt.Sprintf("cannot listen for gossip on %s: %v; choose another address with -bind", e.Addr, e.Err)
}

// Unwrap returns the cause, such as syscall.EADDRINUSE.
func (e *BindError) Unwrap() error { return e.Err }

// bindError finds out why memberlist could not listen: its own error is text only, so the listen that failed
// is tried once more for an error that can be checked by type.
func bindError(addr string, port int, err error) error {
	hostPort := net.JoinHostPort(addr, fmt.Sprint(port))
	e := &BindError{Addr: hostPort, Err: err}
	l, lerr := net.Listen("tcp", hostPort)
	if lerr == nil {
		_ = l.Close() // only probed
		var p net.PacketConn
		if p, lerr = net.ListenPacket("udp", hostPort); lerr == nil {
			_ = p.Close() // only probed
		}
	}
	switch {
	case errors.Is(lerr, syscall.EADDRINUSE):
		e.Err = fmt.Errorf("the address is taken by another program (%w)", syscall.EADDRINUSE)
	case lerr != nil:
		e.Err = lerr
	}
	return e
}

// DialAddressTimeout connects to a peer; Shutdown ends an attempt under way.
func (t *transport) DialAddressTimeout(addr memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return t.DialTimeout(addr.Addr, timeout)
}

// DialTimeout connects to a peer; Shutdown ends an attempt under way.
func (t *transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(t.alive, timeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &outbound{Conn: conn}
	c.unwatch = context.AfterFunc(t.alive, func() { _ = conn.Close() })
	return c, nil
}

// Shutdown closes the listeners and every outbound connection.
func (t *transport) Shutdown() error {
	t.stop.Do(func() {
		t.cancel()
		t.err = t.NetTransport.Shutdown()
	})
	return t.err
}

// outbound is a connection that the transport's end closes.
type outbound struct {
	net.Conn
	unwatch func() bool
}

func (c *outbound) Close() error {
	c.unwatch()
	return c.Conn.Close()
}
