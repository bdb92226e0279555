package gossip

import (
	"net/netip"

	"github.com/hashicorp/memberlist"
)

// SendReliable passes one message straight to a member, by TCP. It returns when all is written, or what went wrong;
// Stop ends it.
func (g *Gossip) SendReliable(to netip.AddrPort, node string, msg []byte) error {
	return g.list.SendReliable(&memberlist.Node{Name: node, Addr: to.Addr().AsSlice(), Port: to.Port()}, msg)
}

// PacketOverhead returns how many bytes the UDP packet that carries a message of Send is longer than the message, if that
// is not compressed.
func (g *Gossip) PacketOverhead() int {
	if !g.sealed() {
		return 1
	}
	return g.ml.UDPBufferSize - g.pushRoom()
}
