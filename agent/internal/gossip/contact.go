package gossip

import (
	"net"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

// watched is a transport that tells how attempts to connect end: a refusal is a sign of life from a host whose agent
// is gone.
type watched struct {
	memberlist.Transport
	dialed func(to netip.AddrPort, err error)
}

// DialTimeout connects and tells of it.
func (w watched) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	conn, err := w.Transport.DialTimeout(addr, timeout)
	if to, bad := netip.ParseAddrPort(addr); bad == nil {
		w.dialed(netip.AddrPortFrom(to.Addr().Unmap(), to.Port()), err)
	}
	return conn, err
}

// ProbeInterval is the pause between probes of a member's own: it has one answered, and is itself probed, about that
// often.
func (g *Gossip) ProbeInterval() time.Duration { return g.ml.ProbeInterval }
