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

// LastPacket returns when anything was last heard by UDP, whoever sent it; zero if never, or if the transport does not say.
func (g *Gossip) LastPacket() time.Time {
	t, ok := g.ml.Transport.(interface{ LastPacket() time.Time })
	if w, watching := g.ml.Transport.(watched); watching {
		t, ok = w.Transport.(interface{ LastPacket() time.Time })
	}
	if !ok {
		return time.Time{}
	}
	return t.LastPacket()
}

// ProbeInterval is the pause between probes of a member's own: it has one answered, and is itself probed, about that
// often.
func (g *Gossip) ProbeInterval() time.Duration { return g.ml.ProbeInterval }
