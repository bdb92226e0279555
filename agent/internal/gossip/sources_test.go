package gossip

import (
	"net/netip"
	"testing"
	"time"
)

func TestSources(t *testing.T) {
	t.Parallel()
	var s sources
	now := time.Now()
	s.saw(netip.MustParseAddrPort("[::ffff:10.0.0.1]:7"), now)
	s.saw(netip.MustParseAddrPort("10.0.0.2:7"), now.Add(-time.Hour))
	got := s.since(now.Add(-time.Second))
	if at, ok := got[netip.MustParseAddrPort("10.0.0.1:7")]; len(got) != 1 || !ok || !at.Equal(now) {
		t.Errorf("got %v", got)
	}
	for port := range 3 * maxSources {
		s.saw(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 1, byte(port >> 16)}), uint16(port)), now)
		if len(s.last) > maxSources {
			t.Fatalf("%d addresses are remembered", len(s.last))
		}
	}
}
