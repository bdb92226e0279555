package dnsserver

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// conns are the open connections, with a limit for all and one for each client. At the limit, the connection that has
// been idle for longest makes room for a new one (RFC 7766 section 6.2.3 lets a server choose), so that clients who
// only keep connections open keep nobody out.
type conns struct {
	max, perClient int

	mu      sync.Mutex
	closed  bool
	all     map[*session]struct{}
	clients map[netip.Addr]int
}

// session is one connection.
type session struct {
	conn   net.Conn
	client netip.Addr // or its /64, for IPv6
	// idle is since when nothing is under way; zero while something is. Guarded by conns.mu.
	idle time.Time
}

func newConns(limit, perClient int) *conns {
	return &conns{max: limit, perClient: perClient, all: map[*session]struct{}{}, clients: map[netip.Addr]int{}}
}

// clientKey is what the limit for each client counts: one host has a whole /64 of IPv6.
func clientKey(addr netip.Addr) netip.Addr {
	if addr.Is6() {
		p, _ := addr.WithZone("").Prefix(64) // cannot fail: it has as many bits
		return p.Addr()
	}
	return addr
}

// add takes up a connection. It returns nil if there is no room, and the connection that had to make room, if any;
// the caller closes both.
func (c *conns) add(conn net.Conn, addr netip.Addr, now time.Time) (s *session, evicted net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := clientKey(addr)
	if c.closed || c.clients[key] >= c.perClient {
		return nil, nil
	}
	if len(c.all) >= c.max {
		oldest := c.longestIdle()
		if oldest == nil {
			return nil, nil
		}
		c.drop(oldest)
		evicted = oldest.conn
	}
	s = &session{conn: conn, client: key, idle: now}
	c.all[s] = struct{}{}
	c.clients[key]++
	return s, evicted
}

func (c *conns) longestIdle() *session {
	var oldest *session
	for s := range c.all {
		if !s.idle.IsZero() && (oldest == nil || s.idle.Before(oldest.idle)) {
			oldest = s
		}
	}
	return oldest
}

// drop forgets a connection; c.mu is held.
func (c *conns) drop(s *session) {
	if _, ok := c.all[s]; !ok {
		return
	}
	delete(c.all, s)
	if c.clients[s.client]--; c.clients[s.client] == 0 {
		delete(c.clients, s.client)
	}
}

// remove forgets a connection that has ended.
func (c *conns) remove(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(s)
}

// mark notes that a connection is idle since then, or, with the zero time, that it is not.
func (c *conns) mark(s *session, idle time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.idle = idle
}

// len returns how many connections are open.
func (c *conns) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all)
}

// close lets no more connections in, and returns those that there are.
func (c *conns) close() []net.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	var open []net.Conn
	for s := range c.all {
		open = append(open, s.conn)
	}
	return open
}
