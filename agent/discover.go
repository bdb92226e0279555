package agent

import (
	"context"
	"fmt"
	"net"

	"github.com/seed-645ce708/gossip/agent/internal/mdns"
)

// startDiscovery lets members of the same mDNS cluster find each other, if that is configured.
func (a *Agent) startDiscovery() error {
	if a.cfg.Discover == "" {
		return nil
	}
	ifi := a.addrs.Interface
	if name := a.cfg.MDNS.Interface; name != "" {
		var err error
		if ifi, err = net.InterfaceByName(name); err != nil {
			return fmt.Errorf("invalid network interface %s for mDNS: %w", name, err)
		}
	}
	d, err := mdns.Start(mdns.Config{
		Cluster:     a.cfg.Discover,
		Node:        a.cfg.NodeName,
		Addr:        a.gossip.Addr(),
		Interface:   ifi,
		DisableIPv4: a.cfg.MDNS.DisableIPv4,
		DisableIPv6: a.cfg.MDNS.DisableIPv6,
		Join: func(ctx context.Context, addrs []string) {
			// Join logs what comes of it; whoever could not be reached is contacted again: see heal.
			_, _ = a.Join(ctx, addrs, a.cfg.ReplayOnJoin)
			a.healer.addSeeds(addrs)
		},
		Log: a.logs.Logger("agent.mdns"),
	})
	if err != nil {
		return fmt.Errorf("error starting mDNS listener: %w", err)
	}
	a.onStop("mDNS", func(context.Context) error { return d.Stop() })
	a.spawn(func() { d.Run(a.life) })
	return nil
}
