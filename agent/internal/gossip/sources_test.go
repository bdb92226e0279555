package gossip

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

func TestSources(t *testing.T) {
	t.Parallel()
	var s sources
	now := time.Now()
	s.saw(&net.UDPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 7}, now) // 16 bytes, unmapped
	s.saw(&net.UDPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 7}, now.Add(-time.Hour))
	s.saw(&net.TCPAddr{IP: net.IPv4(10, 0, 0, 3), Port: 7}, now)
	got := s.since(now.Add(-time.Second))
	if at, ok := got[netip.MustParseAddrPort("10.0.0.1:7")]; len(got) != 1 || !ok || !at.Equal(now) {
		t.Errorf("got %v", got)
	}
	for port := range 3 * maxSources {
		s.saw(&net.UDPAddr{IP: net.IPv4(10, 0, 1, byte(port>>16)), Port: port & 0xffff}, now)
		if len(s.last) > maxSources {
			t.Fatalf("%d addresses are remembered", len(s.last))
		}
	}
}
