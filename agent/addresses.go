package agent

import "net/netip"

// BindAddr returns the address at which gossip listens, with the port that the kernel chose if it was to. It may be
// 0.0.0.0; GossipAddr is what the others are told.
func (a *Agent) BindAddr() string {
	return netip.AddrPortFrom(a.addrs.Bind.Addr(), uint16(a.gossip.BindPort())).String()
}
