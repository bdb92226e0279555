package dnsserver

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed-645ce708/gossip/dnsserver/internal/certfile"
	"github.com/seed-645ce708/gossip/dnsserver/internal/cookie"
	"github.com/seed-645ce708/gossip/dnsserver/internal/rrl"
)

// ErrTLS is in errors that are about DNS over TLS alone.
var ErrTLS = errors.New("dns over TLS")

// Server answers DNS queries over UDP, TCP and TLS. Use New, then Start, then Close.
type Server struct {
	cfg    Config
	policy policy
	cert   *certfile.Pair // nil without TLS
	// ownSecrets: the secrets of cookies are random, and not those of a file.
	ownSecrets atomic.Bool
	tally      tally
	conns      *conns

	mu       sync.Mutex
	started  bool
	closed   bool
	udp      udpServer
	listener net.Listener
	tls      net.Listener // nil without TLS

	done chan struct{} // closed by Close
	wg   sync.WaitGroup
}

// New checks the configuration, reads the files that it names, and returns a server that does not listen yet.
func New(cfg Config) (*Server, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, conns: newConns(cfg.MaxTCP, cfg.MaxTCPPerClient), done: make(chan struct{})}
	s.policy = policy{
		requireCookie: cfg.Cookies == CookiesRequire, origin: time.Now(), nsid: cfg.NSID, version: cfg.Version,
		identity: newIdentityRef(identity{cfg.Keys, cfg.Signer}), transfers: cfg.Transfers, status: cfg.Status,
		notReady: cmp.Or(cfg.NotReady, DefaultNotReady),
	}
	if cfg.RateLimit > 0 {
		s.policy.limiter = rrl.New(rrl.Config{Rate: cfg.RateLimit, Slip: cfg.RateSlip, Exempt: cfg.RateExempt})
	}
	if cfg.Cookies != CookiesOff {
		s.policy.cookies = cookie.NewJar(cookie.Random())
		s.ownSecrets.Store(cfg.CookieFile == "")
		secrets, err := s.readSecrets(cfg.CookieFile)
		if err != nil {
			return nil, err
		}
		if secrets != nil {
			s.policy.cookies.Set(secrets)
		}
	}
	if cfg.tls() {
		var err error
		if s.cert, err = certfile.Load(cfg.TLSCert, cfg.TLSKey, cfg.Report); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrTLS, err)
		}
	}
	return s, nil
}

// secretLife is how long a random secret makes cookies. The one before it is accepted for as long again, which is
// longer than any cookie is good.
const secretLife = 24 * time.Hour

// rollSecrets puts a new secret in place each day, while they are our own.
func (s *Server) rollSecrets() {
	tick := time.NewTicker(secretLife)
	defer tick.Stop()
	for {
		select {
		case <-s.done:
			return
		case <-tick.C:
			if s.ownSecrets.Load() {
				s.policy.cookies.Roll(cookie.Random())
			}
		}
	}
}

// Start listens and begins to answer. If the address is taken, on any protocol, errors.Is finds
// syscall.EADDRINUSE in the error and nothing is left listening.
func (s *Server) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started || s.closed {
		return errors.New("dns server: started before, or closed")
	}
	tlsListener := s.cfg.TLSListener
	if tlsListener == nil && s.cfg.TLSAddr != "" {
		var err error
		if tlsListener, err = net.Listen("tcp", s.cfg.TLSAddr); err != nil {
			return fmt.Errorf("%w: listen: %w", ErrTLS, err)
		}
	}
	if s.cfg.PacketConn != nil {
		s.udp, s.listener = packetServer{s.cfg.PacketConn}, s.cfg.Listener
	} else {
		var err error
		if s.udp, s.listener, err = listen(s.cfg.Addr); err != nil {
			if tlsListener != nil {
				_ = tlsListener.Close() // it served nobody yet
			}
			return err
		}
	}
	s.tls = tlsListener
	s.started = true
	s.udp.start(s)
	s.wg.Go(func() { s.serveTCP(s.listener, nil) })
	if s.tls != nil {
		config := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.cert.Certificate, NextProtos: []string{"dot"}}
		s.wg.Go(func() { s.serveTCP(s.tls, config) })
	}
	if s.policy.cookies != nil {
		s.wg.Go(s.rollSecrets)
	}
	return nil
}

// portTries bounds the search for a port that is free on both protocols.
const portTries = 20

func listen(addr string) (udpServer, net.Listener, error) {
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
		udp, err := listenUDP(net.JoinHostPort(host, strconv.Itoa(chosen)))
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
	return addrText(s.listener)
}

// TLSAddr returns the address that the server listens on for TLS, or "" if it does not.
func (s *Server) TLSAddr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return addrText(s.tls)
}

func addrText(l net.Listener) string {
	if l == nil {
		return ""
	}
	return l.Addr().String()
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
		udp, listeners := s.udp, []net.Listener{s.listener, s.tls}
		if !s.started {
			listeners = []net.Listener{s.cfg.Listener, s.cfg.TLSListener}
			if s.cfg.PacketConn != nil {
				udp = packetServer{s.cfg.PacketConn}
			}
		}
		if udp != nil {
			errs = append(errs, udp.Close())
		}
		for _, l := range listeners {
			if l != nil {
				errs = append(errs, l.Close())
			}
		}
		for _, c := range s.conns.close() {
			if err := c.Close(); !errors.Is(err, net.ErrClosed) { // it may have ended just now
				errs = append(errs, err)
			}
		}
	}
	s.mu.Unlock()
	s.wg.Wait()
	return errors.Join(errs...)
}

// Stats returns what the server has done so far.
func (s *Server) Stats() Stats {
	stats := s.tally.read()
	stats.Connections = s.conns.len()
	return stats
}

// responder returns one that counts with stats.
func (s *Server) responder(stats *counters) *responder {
	return &responder{
		source: s.cfg.Source, policy: s.policy, stats: stats, quick: newQuick(&s.policy, stats),
		picker: picker{distances: s.cfg.Distances},
	}
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
