package gossip

import (
	"github.com/hashicorp/memberlist"
)

// What memberlist adds to a user message in a packet (Serf reference 1.3).
const (
	userMessage      = 8     // type byte
	crcOverhead      = 5     // before messages to members that understand it
	cryptOverhead    = 29    // version, nonce and tag of AES-GCM
	compoundHead     = 2     // before gossiped messages
	compoundOverhead = 2 + 1 // each of them
)

// sealed reports whether packets must pass through memberlist: to be encrypted, or to carry the cluster's label.
func (g *Gossip) sealed() bool { return g.cfg.Keyring != nil || g.ml.Label != "" }

// room returns how many bytes memberlist leaves of a packet.
func (g *Gossip) room() int {
	n := g.ml.UDPBufferSize
	if label := g.ml.Label; label != "" {
		n -= 2 + len(label)
	}
	if g.cfg.Keyring != nil {
		n -= cryptOverhead
	}
	return n
}

// pushRoom returns the size of the largest message that is sent by itself in a packet of normal size.
func (g *Gossip) pushRoom() int { return g.room() - crcOverhead - 1 }

// gossipRoom returns the size of the largest message that can be gossiped.
func (g *Gossip) gossipRoom() int { return g.room() - compoundHead - compoundOverhead }

// pushTo sends a message or a batch to a member.
func (g *Gossip) pushTo(to peer, msg []byte) {
	if err := g.sendPacket(to.addr, to.name, msg); err != nil {
		g.cfg.Log.Debug("cannot push a message", "node", to.name, "addr", to.addr, "err", err)
	}
}

// sendPacket sends a message by UDP. One in the clear is put into a packet here, which is quicker.
func (g *Gossip) sendPacket(addr, node string, msg []byte) error {
	if g.sealed() {
		return g.list.SendToAddress(memberlist.Address{Addr: addr, Name: node}, msg)
	}
	packet := append(make([]byte, 0, 1+len(msg)), userMessage)
	packet = append(packet, msg...)
	_, err := g.ml.Transport.WriteTo(packet, addr)
	return err
}
