package dnsserver

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// memConn is a packet connection in memory: what is sent to in is read by the server, which answers to out.
type memConn struct {
	in, out chan []byte
	closed  chan struct{}
}

func newMemConn() *memConn {
	return &memConn{in: make(chan []byte), out: make(chan []byte, 16), closed: make(chan struct{})}
}

func (c *memConn) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case p := <-c.in:
		return copy(b, p), &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5353}, nil
	case <-c.closed:
		return 0, nil, net.ErrClosed
	}
}

func (c *memConn) WriteTo(b []byte, _ net.Addr) (int, error) {
	c.out <- append([]byte(nil), b...)
	return len(b), nil
}

func (c *memConn) Close() error                     { close(c.closed); return nil }
func (c *memConn) LocalAddr() net.Addr              { return &net.UDPAddr{} }
func (c *memConn) SetDeadline(time.Time) error      { return nil }
func (c *memConn) SetReadDeadline(time.Time) error  { return nil }
func (c *memConn) SetWriteDeadline(time.Time) error { return nil }

// memListener accepts connections in memory.
type memListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newMemListener() *memListener {
	return &memListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memListener) Close() error   { close(l.closed); return nil }
func (l *memListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 53} }

func (l *memListener) dial() net.Conn {
	client, server := net.Pipe()
	l.conns <- server
	return client
}

// startInMemory starts a server on connections in memory, and closes it when the test ends.
func startInMemory(t *testing.T, cfg Config) (*Server, *memConn, *memListener) {
	t.Helper()
	udp, tcp := newMemConn(), newMemListener()
	z := testZone(t, 100, zone.OrderRandom)
	cfg.PacketConn, cfg.Listener = udp, tcp
	cfg.Source = func() *zone.Zone { return z }
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	return s, udp, tcp
}

func query(t *testing.T, name string, qtype uint16) []byte {
	t.Helper()
	packet, err := new(dns.Msg).SetQuestion(name, qtype).Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packet
}

func framed(packet []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)
}

func readFrame(t *testing.T, conn net.Conn) *dns.Msg {
	t.Helper()
	var prefix [2]byte
	if _, err := io.ReadFull(conn, prefix[:]); err != nil {
		t.Fatal(err)
	}
	packet := make([]byte, binary.BigEndian.Uint16(prefix[:]))
	if _, err := io.ReadFull(conn, packet); err != nil {
		t.Fatal(err)
	}
	m := new(dns.Msg)
	if err := m.Unpack(packet); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestUDPInMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, udp, _ := startInMemory(t, Config{})
		udp.in <- []byte("no query") // gets no reply, and harms nobody
		udp.in <- query(t, "web1.node.gossip.", dns.TypeA)
		m := new(dns.Msg)
		if err := m.Unpack(<-udp.out); err != nil || len(m.Answer) != 1 {
			t.Errorf("got %v, %v", m, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if got := s.Stats(); got.UDP != 2 || got.Silent != 1 {
			t.Errorf("stats %+v", got)
		}
	})
}

// Queries sent at once are answered in order, and long answers whole.
func TestTCPPipelining(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _, tcp := startInMemory(t, Config{})
		conn := tcp.dial()
		one, many := query(t, "web1.node.gossip.", dns.TypeA), query(t, "many.service.gossip.", dns.TypeSRV)
		go func() { _, _ = conn.Write(append(framed(many), framed(one)...)) }() // a failure shows below
		if m := readFrame(t, conn); len(m.Answer) != 100 || m.Truncated {
			t.Errorf("first: %d answers", len(m.Answer))
		}
		if m := readFrame(t, conn); len(m.Answer) != 1 {
			t.Errorf("second: %d answers", len(m.Answer))
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("after Close: %v, want EOF", err)
		}
	})
}

// A client that says nothing, dawdles in the middle of a message, sends what is no query, or does not take its
// answer, is cut off.
func TestTCPLimits(t *testing.T) {
	t.Parallel()
	q := query(t, "web1.node.gossip.", dns.TypeA)
	tests := []struct {
		name  string
		send  []byte
		after time.Duration // of virtual time
	}{
		{"idle", nil, 10 * time.Second},
		{"idle after half a length", framed(q)[:1], 2 * time.Second},
		{"half a message", framed(q)[:9], 2 * time.Second},
		{"no query", framed([]byte("nonsense")), 0},
		{"empty message", []byte{0, 0}, 0},
		{"does not take its answer", framed(q), 2 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, _, tcp := startInMemory(t, Config{})
				defer func() { _ = s.Close() }()
				start := time.Now()
				conn := tcp.dial()
				if tt.send != nil {
					if _, err := conn.Write(tt.send); err != nil {
						t.Fatal(err)
					}
				}
				for open := true; open; time.Sleep(time.Millisecond) {
					synctest.Wait()
					open = s.conns.len() > 0
				}
				if got := time.Since(start); got < tt.after || got > tt.after+10*time.Millisecond {
					t.Errorf("cut off after %v, want %v", got, tt.after)
				}
			})
		})
	}
}

// A connection too many takes the place of the one that has been idle for longest; if none is idle, it is refused.
func TestTCPConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _, tcp := startInMemory(t, Config{MaxTCP: 2})
		defer func() { _ = s.Close() }()
		q := framed(query(t, "web1.node.gossip.", dns.TypeA))
		closed := func(conn net.Conn) bool {
			_ = conn.SetReadDeadline(time.Now().Add(time.Millisecond)) // in memory it never fails
			_, err := conn.Read(make([]byte, 1))
			return errors.Is(err, io.EOF)
		}
		write := func(conn net.Conn, b []byte) {
			if _, err := conn.Write(b); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		first := tcp.dial()
		time.Sleep(time.Second)
		second := tcp.dial()
		time.Sleep(time.Second)
		write(first, q)
		readFrame(t, first) // second is idle for longer now
		third := tcp.dial()
		if !closed(second) || closed(first) || closed(third) {
			t.Error("it was not the one idle for longest that made room")
		}
		write(first, q[:5])
		write(third, q[:5])
		fourth := tcp.dial()
		if !closed(fourth) || closed(first) || closed(third) {
			t.Error("a connection with a query under way made room")
		}
		if got := s.Stats(); got.TCPRefused != 1 || got.TCPEvicted != 1 || got.Connections != 2 {
			t.Errorf("stats %+v", got)
		}
		for _, conn := range []net.Conn{first, third} {
			write(conn, q[5:])
			_ = conn.SetReadDeadline(time.Time{})
			readFrame(t, conn)
		}
	})
}

// addressed is a connection with somebody.
type addressed struct {
	net.Conn
	addr net.Addr
}

func (c addressed) RemoteAddr() net.Addr { return c.addr }

// TestTCPPerClient: one client, which is a /64 of IPv6, gets its share of the connections and no more.
func TestTCPPerClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _, tcp := startInMemory(t, Config{MaxTCPPerClient: 2})
		defer func() { _ = s.Close() }()
		var open []net.Conn
		dial := func(addr string) {
			client, server := net.Pipe()
			tcp.conns <- addressed{server, net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(addr), 1))}
			synctest.Wait()
			open = append(open, client)
		}
		for _, tt := range []struct {
			addr string
			open int
		}{
			{"192.0.2.1", 1}, {"::ffff:192.0.2.1", 2}, {"192.0.2.1", 2}, {"192.0.2.2", 3},
			{"2001:db8::1", 4}, {"2001:db8::ffff:0:0:1", 5}, {"2001:db8::2", 5}, {"2001:db8:0:1::1", 6}, {"fe80::1%eth0", 7}, {"fe80::2%eth1", 8}, {"fe80::3", 8},
		} {
			if dial(tt.addr); s.Stats().Connections != tt.open {
				t.Errorf("after one more from %s: %d open, want %d", tt.addr, s.Stats().Connections, tt.open)
			}
		}
		_ = open[0].Close()
		synctest.Wait()
		if dial("192.0.2.1"); s.Stats().Connections != 8 {
			t.Errorf("a closed connection made no room")
		}
	})
}

// brokenListener fails until it is closed, as when the process is out of files.
type brokenListener struct {
	memListener
	fails atomic.Int64
}

func (l *brokenListener) Accept() (net.Conn, error) {
	l.fails.Add(1)
	return nil, syscall.EMFILE
}

func TestAcceptErrorsDoNotSpin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &brokenListener{memListener: *newMemListener()}
		s, err := New(Config{Source: func() *zone.Zone { return nil }, PacketConn: newMemConn(), Listener: l})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // virtual
		if n := l.fails.Load(); n > 101 {
			t.Errorf("%d tries in a second", n)
		}
		_ = s.Close()
	})
}

// start serves on real sockets. A slow machine may take long over a message or a handshake.
func start(t testing.TB, cfg Config) *Server {
	t.Helper()
	if cfg.ReadTimeout == 0 {
		cfg.ReadTimeout = time.Minute
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAddressTaken(t *testing.T) {
	t.Parallel()
	source := func() *zone.Zone { return nil }
	first := start(t, Config{Addr: "127.0.0.1:0", Source: source})
	second, err := New(Config{Addr: first.Addr(), Source: source})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Start(); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), first.Addr()) {
		t.Errorf("got %v, want address in use", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	// UDP alone taken is taken as well, and leaves TCP free, if no other program has that by chance.
	for attempt := 1; ; attempt++ {
		udp, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = udp.Close() }()
		third, err := New(Config{Addr: udp.LocalAddr().String(), Source: source})
		if err != nil {
			t.Fatal(err)
		}
		if err := third.Start(); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("got %v, want address in use", err)
		}
		l, err := net.Listen("tcp", udp.LocalAddr().String())
		if err == nil {
			_ = l.Close()
			break
		}
		if attempt == 10 {
			t.Fatalf("TCP was left taken: %v", err)
		}
	}
}

func TestLife(t *testing.T) {
	t.Parallel()
	s, err := New(Config{Addr: "127.0.0.1:0", Source: func() *zone.Zone { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	if s.Addr() != "" {
		t.Errorf("address %q before Start", s.Addr())
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err == nil {
		t.Error("started twice")
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := s.Start(); err == nil {
		t.Error("started after Close")
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	source := func() *zone.Zone { return nil }
	tests := []struct {
		cfg  Config
		want string
	}{
		{Config{Addr: "127.0.0.1:0"}, "source"},
		{Config{Source: source}, "host:port"},
		{Config{Source: source, Addr: "127.0.0.1"}, "host:port"},
		{Config{Source: source, Addr: "127.0.0.1:dns"}, `port "dns"`},
		{Config{Source: source, Addr: "127.0.0.1:70000"}, `port "70000"`},
		{Config{Source: source, Addr: ":0", UDPSize: 100}, "udp size"},
		{Config{Source: source, Addr: ":0", MaxTCP: -1}, "negative"},
		{Config{Source: source, PacketConn: newMemConn()}, "together"},
	}
	for _, tt := range tests {
		if _, err := New(tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: got %v, want an error with %q", tt.cfg, err, tt.want)
		}
	}
}

// A server on all addresses replies from the one that was asked: a connected socket takes nothing else.
func TestReplyComesFromWhereItWasAsked(t *testing.T) {
	t.Parallel()
	z := testZone(t, 0, zone.OrderRandom)
	for _, listen := range []string{"0.0.0.0:0", "[::]:0"} {
		s, err := New(Config{Addr: listen, Source: func() *zone.Zone { return z }})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(); err != nil {
			t.Skipf("this machine cannot listen on %s: %v", listen, err)
		}
		port := netip.MustParseAddrPort(s.Addr()).Port()
		for _, host := range []string{"127.0.0.1", "127.0.0.77", "::1"} {
			if host == "::1" && listen == "0.0.0.0:0" || host == "127.0.0.77" && runtime.GOOS != "linux" {
				continue
			}
			conn, err := net.Dial("udp", netip.AddrPortFrom(netip.MustParseAddr(host), port).String())
			if err != nil {
				t.Logf("no %s on this machine: %v", host, err)
				continue
			}
			client := &dns.Client{Timeout: 30 * time.Second}
			reply, _, err := client.ExchangeWithConn(new(dns.Msg).SetQuestion("web1.node.gossip.", dns.TypeA), &dns.Conn{Conn: conn})
			if err != nil || len(reply.Answer) != 1 {
				t.Errorf("listening on %s, asked at %s: %v, %v", listen, host, reply, err)
			}
			_ = conn.Close()
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
