package dnsbridge

import "github.com/seed-645ce708/gossip/agent/internal/config"

// Settings returns what a bridge takes from an agent's settings. The rest, what is ready and where to log, is the
// caller's.
func Settings(c config.Config) Config {
	return Config{
		Addr:        c.DNSAddr,
		Zone:        c.DNSZone,
		NodeTTL:     c.DNSNodeTTL,
		ServiceTTL:  c.DNSServiceTTL,
		NegativeTTL: c.DNSNegativeTTL,
		StaleLimit:  c.DNSStaleLimit,
	}
}
