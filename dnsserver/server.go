package dnsserver

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// Defaults of Config.
const (
	DefaultUDPSize     = 1232
	DefaultMaxTCP      = 256
	DefaultIdleTimeout = 10 * time.Second
	DefaultReadTimeout = 2 * time.Second
)

// Config describes a Server.
type Config struct {
	// Addr is where to listen, on UDP and TCP alike: host:port. Port 0 lets the kernel choose one that is free
	// on both.
	Addr string
	// Source returns the zone to answer from, or nil if there is none to be trusted yet, which clients get to
	// hear as SERVFAIL. It is called once per query, by several goroutines, and must not block.
	Source func() *zone.Zone
	// Order is how records are ordered.
	Order Order
	// UDPSize is the longest reply over UDP in octets, 512 to 65535, for clients that take as much; 0 means
	// DefaultUDPSize. Clients on the loopback interface get what they ask for, since nothing between them and
	// us could break a long packet.
	UDPSize int
	// MaxTCP is how many TCP connections may be open; more are closed at once. 0 means DefaultMaxTCP.
	MaxTCP int
	// IdleTimeout is how long a TCP connection may be silent between queries, ReadTimeout how long one message
	// may take to arrive or to be taken. 0 means the default.
	IdleTimeout, ReadTimeout time.Duration
	// PacketConn and Listener are served instead of Addr if both are set. The server closes them.
	PacketConn net.PacketConn
	Listener   net.Listener
}

// Server answers DNS queries over UDP and TCP. Use New, then Start, then Close.
type Server struct {
	cfg   Config
	stats counters

	mu       sync.Mutex
	started  bool
	closed   bool
	udp      net.PacketConn
	listener net.Listener
	conns    map[net.Conn]struct{}

	done chan struct{} // closed by Close
	wg   sync.WaitGroup
}

// New checks the configuration and returns a server that does not listen yet.
func New(cfg Config) (*Server, error) {
	if cfg.Source == nil {
		return nil, errors.New("dns server: no source of zones")
	}
	if (cfg.PacketConn == nil) != (cfg.Listener == nil) {
		return nil, errors.New("dns server: PacketConn and Listener go together")
	}
	if cfg.PacketConn == nil {
		if _, _, err := splitAddr(cfg.Addr); err != nil {
			return nil, err
		}
	}
	if cfg.UDPSize == 0 {
		cfg.UDPSize = DefaultUDPSize
	}
	if cfg.UDPSize < minUDP || cfg.UDPSize > maxMessage {
		return nil, fmt.Errorf("dns server: udp size %d is not between %d and %d octets", cfg.UDPSize, minUDP, maxMessage)
	}
	if cfg.MaxTCP < 0 || cfg.IdleTimeout < 0 || cfg.ReadTimeout < 0 {
		return nil, errors.New("dns server: limits must not be negative")
	}
	if cfg.MaxTCP == 0 {
		cfg.MaxTCP = DefaultMaxTCP
	}
	if cfg.IdleTimeout == 0 {
		cfg.IdleTimeout = DefaultIdleTimeout
	}
	if cfg.ReadTimeout == 0 {
		cfg.ReadTimeout = DefaultReadTimeout
	}
	return &Server{cfg: cfg, conns: make(map[net.Conn]struct{}), done: make(chan struct{})}, nil
}

func splitAddr(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf("dns address %q is not host:port: %w", addr, err)
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("dns address %q: port %q is not a number from 0 to 65535", addr, text)
	}
	return host, port, nil
}

// Start listens and begins to answer. If the address is taken, on either protocol, errors.Is finds
// syscall.EADDRINUSE in the error and nothing is left listening.
func (s *Server) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started || s.closed {
		return errors.New("dns server: started before, or closed")
	}
	s.udp, s.listener = s.cfg.PacketConn, s.cfg.Listener
	if s.udp == nil {
		var err error
		if s.udp, s.listener, err = listen(s.cfg.Addr); err != nil {
			return err
		}
	}
	s.started = true
	udp := newPacketIO(s.udp)
	for range min(runtime.GOMAXPROCS(0), maxReaders) {
		s.wg.Go(func() { s.serveUDP(udp) })
	}
	s.wg.Go(s.serveTCP)
	return nil
}

// portTries bounds the search for a port that is free on both protocols.
const portTries = 20

func listen(addr string) (net.PacketConn, net.Listener, error) {
	host, port, err := splitAddr(addr)
	if err != nil {
		return nil, nil, err
	}
	for try := 1; ; try++ {
		listener, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, nil, fmt.Errorf("dns: listen: %w", err)
		}
		chosen := listener.Addr().(*net.TCPAddr).Port
		udp, err := net.ListenPacket("udp", net.JoinHostPort(host, strconv.Itoa(chosen)))
		if err == nil {
			return udp, listener, nil
		}
		_ = listener.Close() // it served nobody yet
		if port != 0 || try == portTries || !errors.Is(err, syscall.EADDRINUSE) {
			return nil, nil, fmt.Errorf("dns: listen: %w", err)
		}
	}
}

// Addr returns the address that the server listens on, or "" if it does not.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// Close stops listening, ends all connections, and returns once every goroutine of the server has ended. It may be
// called more than once.
func (s *Server) Close() error {
	s.mu.Lock()
	var errs []error
	if !s.closed {
		s.closed = true
		close(s.done)
		// Injected sockets are ours even if Start never took them up.
		udp, listener := s.udp, s.listener
		if !s.started {
			udp, listener = s.cfg.PacketConn, s.cfg.Listener
		}
		if udp != nil {
			errs = append(errs, udp.Close())
		}
		if listener != nil {
			errs = append(errs, listener.Close())
		}
		for c := range s.conns {
			errs = append(errs, c.Close())
		}
	}
	s.mu.Unlock()
	s.wg.Wait()
	return errors.Join(errs...)
}

// Stats returns what the server has done so far.
func (s *Server) Stats() Stats { return s.stats.read() }

func (s *Server) responder() *responder {
	return &responder{source: s.cfg.Source, order: s.cfg.Order, stats: &s.stats}
}

// errorPause keeps a socket that only fails from eating a core.
const errorPause = 10 * time.Millisecond

// pause waits a little after an error, and reports false if the server has been closed.
func (s *Server) pause() bool {
	timer := time.NewTimer(errorPause)
	defer timer.Stop()
	select {
	case <-s.done:
		return false
	case <-timer.C:
		return true
	}
}
