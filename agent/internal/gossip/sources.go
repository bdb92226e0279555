package gossip

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// maxSources bounds the addresses that are remembered.
	maxSources = 4096
	// sourceMemory is for how long they are, once there are too many.
	sourceMemory = time.Minute
)

// sources remembers from which addresses packets came, and when last. Safe for concurrent use; the zero value is empty.
type sources struct {
	mu   sync.Mutex
	last map[netip.AddrPort]time.Time
}

func (s *sources) saw(from netip.AddrPort, now time.Time) {
	addr := netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		s.last = map[netip.AddrPort]time.Time{}
	}
	if _, known := s.last[addr]; !known && len(s.last) >= maxSources {
		s.forget(now)
	}
	s.last[addr] = now
}

// forget makes room. The caller holds mu.
func (s *sources) forget(now time.Time) {
	for addr, at := range s.last {
		if now.Sub(at) > sourceMemory {
			delete(s.last, addr)
		}
	}
	if len(s.last) >= maxSources { // a flood of made-up addresses
		clear(s.last)
	}
}

// since returns the addresses from which packets came since then.
func (s *sources) since(then time.Time) map[netip.AddrPort]time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := map[netip.AddrPort]time.Time{}
	for addr, at := range s.last {
		if at.After(then) {
			found[addr] = at
		}
	}
	return found
}

// PacketSources returns from which addresses UDP packets came since then, and when last. It returns nil if that is not
// known, as with another transport than ours.
func (g *Gossip) PacketSources(then time.Time) map[netip.AddrPort]time.Time {
	if g.sources == nil {
		return nil
	}
	return g.sources.since(then)
}
