package gossip

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-metrics"
	"github.com/hashicorp/go-sockaddr"
	"github.com/hashicorp/memberlist"
)

const (
	// portTries bounds the attempts to find one port that is free for TCP and UDP alike when the kernel chooses.
	portTries = 10
	// maxPacket is the largest UDP packet there can be.
	maxPacket = 64 << 10
	// udpBuffer is what we ask the kernel to keep of unread packets; it may grant less.
	udpBuffer = 2 << 20
	// minPause and maxPause bound the wait after a failed accept, such as for want of file descriptors.
	minPause, maxPause = 5 * time.Millisecond, time.Second
)

// transport is UDP and TCP for memberlist. It differs from memberlist's own in two ways. It can be cut short:
// memberlist dials with time-outs of up to half a minute and takes no context, so a stop would have to wait for
// a join that runs into a black hole. And a packet takes as much memory as it is long, not a fresh buffer of 64
// KiB, which halves the garbage collections of an idle agent.
type transport struct {
	tcp     *net.TCPListener
	udp     *net.UDPConn
	log     *log.Logger
	packets chan *memberlist.Packet
	streams chan net.Conn
	born    time.Time
	heard   atomic.Int64 // when the last packet came, in nanoseconds since born; 0 means never
	alive   context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	// direct, if not nil, takes user messages that come in a packet of their own in the clear, as agents of ours send
	// them. The slice is valid during the call only. memberlist would pass them through two goroutines and a stack,
	// from which the newest come first.
	direct func(msg []byte)
	// sources is where packets came from.
	sources sources
}

var _ memberlist.Transport = (*transport)(nil)

// newTransport binds TCP and UDP to one port, which the kernel chooses if it is 0.
func newTransport(bindAddr string, bindPort int, logger *log.Logger, direct func([]byte)) (*transport, error) {
	t := &transport{
		log:     logger,
		direct:  direct,
		packets: make(chan *memberlist.Packet),
		streams: make(chan net.Conn),
		born:    time.Now(),
	}
	err := t.listen(bindAddr, bindPort)
	for range portTries - 1 {
		if bindPort != 0 || !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
		err = t.listen(bindAddr, bindPort)
	}
	if err != nil {
		return nil, &BindError{Addr: net.JoinHostPort(bindAddr, fmt.Sprint(bindPort)), Err: err}
	}
	t.alive, t.cancel = context.WithCancel(context.Background())
	t.running.Go(t.accept)
	t.running.Go(t.receive)
	return t, nil
}

func (t *transport) listen(bindAddr string, bindPort int) error {
	ip := net.ParseIP(bindAddr)
	if ip == nil {
		return fmt.Errorf("%q is not an IP address", bindAddr)
	}
	tcp, err := net.ListenTCP("tcp", &net.TCPAddr{IP: ip, Port: bindPort})
	if err != nil {
		return err
	}
	t.tcp = tcp
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: ip, Port: t.port()})
	if err != nil {
		_ = tcp.Close() // nothing came of it
		return err
	}
	t.udp = udp
	for size := udpBuffer; udp.SetReadBuffer(size) != nil && size > maxPacket; { // some systems refuse, others cut
		size /= 2
	}
	return nil
}

// BindError tells that the gossip address could not be bound.
type BindError struct {
	Addr string
	Err  error
}

func (e *BindError) Error() string {
	cause := e.Err
	if errors.Is(cause, syscall.EADDRINUSE) {
		cause = fmt.Errorf("the address is taken by another program (%w)", syscall.EADDRINUSE)
	}
	return fmt.Sprintf("cannot listen for gossip on %s: %v; choose another address with -bind", e.Addr, cause)
}

// Unwrap returns the cause, such as syscall.EADDRINUSE.
func (e *BindError) Unwrap() error { return e.Err }

// port returns the bound port, which is the same for UDP and TCP.
func (t *transport) port() int { return t.tcp.Addr().(*net.TCPAddr).Port }

// FinalAdvertiseAddr returns what peers are told: the given address, or the bound one, or if that is all of this
// host's a private one of them.
func (t *transport) FinalAdvertiseAddr(host string, port int) (net.IP, int, error) {
	bound := t.tcp.Addr().(*net.TCPAddr)
	ip := bound.IP
	if host == "" {
		port = bound.Port
		if ip.IsUnspecified() {
			var err error
			if host, err = sockaddr.GetPrivateIP(); err != nil {
				return nil, 0, fmt.Errorf("look for a private address of this host: %w", err)
			}
			if host == "" {
				return nil, 0, errors.New("no private IP address found; name the address that peers can reach with -advertise")
			}
		}
	}
	if host != "" {
		if ip = net.ParseIP(host); ip == nil {
			return nil, 0, fmt.Errorf("the advertise address %q is not an IP address", host)
		}
	}
	if ip4 := ip.To4(); ip4 != nil {
		ip = ip4
	}
	return ip, port, nil
}

// WriteTo sends a packet and returns when that was, from which the round trip is measured.
func (t *transport) WriteTo(packet []byte, addr string) (time.Time, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return time.Time{}, err
	}
	_, err = t.udp.WriteToUDPAddrPort(packet, netip.AddrPortFrom(to.Addr().Unmap(), to.Port()))
	return time.Now(), err
}

// PacketCh hands out what receive reads.
func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// StreamCh hands out what accept accepts.
func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

func (t *transport) receive() {
	buf := make([]byte, maxPacket)
	count := receivedCount{told: t.born}
	for t.alive.Err() == nil {
		n, from, err := t.udp.ReadFromUDPAddrPort(buf)
		now := time.Now()
		if err != nil {
			t.failed("Error reading UDP packet", err, minPause)
			continue
		}
		if n == 0 {
			t.log.Printf("[ERR] memberlist: UDP packet too short (0 bytes) from=%s", from)
			continue
		}
		t.heard.Store(int64(now.Sub(t.born)))
		count.add(n, now)
		t.sources.saw(from, now)
		if t.direct != nil && n > 1 && buf[0] == userMessage {
			t.direct(buf[1:n])
			continue
		}
		select {
		case t.packets <- &memberlist.Packet{Buf: slices.Clone(buf[:n]), From: net.UDPAddrFromAddrPort(from), Timestamp: now}:
		case <-t.alive.Done():
		}
	}
}

// countPause is for how long received bytes are summed up: to count each packet took a quarter of the time for it.
const countPause = time.Second

// receivedCount is the figure memberlist.udp.received.
type receivedCount struct {
	bytes int       // since told
	told  time.Time // when they were counted last
}

func (c *receivedCount) add(bytes int, now time.Time) {
	c.bytes += bytes
	if now.Sub(c.told) >= countPause {
		metrics.IncrCounter([]string{"memberlist", "udp", "received"}, float32(c.bytes))
		c.bytes, c.told = 0, now
	}
}

// LastPacket returns when a packet was last received; the zero time means never.
func (t *transport) LastPacket() time.Time {
	if d := t.heard.Load(); d != 0 {
		return t.born.Add(time.Duration(d))
	}
	return time.Time{}
}

func (t *transport) accept() {
	pause := minPause
	for t.alive.Err() == nil {
		conn, err := t.tcp.AcceptTCP()
		if err != nil {
			t.failed("Error accepting TCP connection", err, pause)
			pause = min(2*pause, maxPause)
			continue
		}
		pause = minPause
		select {
		case t.streams <- conn:
		case <-t.alive.Done():
			_ = conn.Close() // nobody takes it
		}
	}
}

// failed tells of an error, unless it is that of being shut down, and waits a little.
func (t *transport) failed(what string, err error, pause time.Duration) {
	if t.alive.Err() != nil {
		return
	}
	t.log.Printf("[ERR] memberlist: %s: %v", what, err)
	select {
	case <-time.After(pause):
	case <-t.alive.Done():
	}
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

// Shutdown closes the listeners and every outbound connection, and waits. It may be called again.
func (t *transport) Shutdown() error {
	t.cancel()
	_ = t.tcp.Close() // what is lost with them is lost anyhow
	_ = t.udp.Close()
	t.running.Wait()
	return nil
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
