package session

import (
	"net/netip"
	"strings"
)

// defaultGossipPort is assumed by agents where a peer has none.
const defaultGossipPort = 7946

// isSelf reports whether peer is, literally, the gossip endpoint of the agent itself. A host name is not
// looked up: the agent may resolve it differently.
func isSelf(peer string, self netip.AddrPort) bool {
	if ap, err := netip.ParseAddrPort(peer); err == nil {
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()) == self
	}
	if addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(peer, "["), "]")); err == nil {
		return netip.AddrPortFrom(addr.Unmap(), defaultGossipPort) == self
	}
	return false
}
