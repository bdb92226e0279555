package dnsbridge

import (
	"github.com/seed-645ce708/gossip/agent/internal/config"
	"github.com/seed-645ce708/gossip/dnsserver"
	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// Settings returns what a bridge takes from an agent's settings, given the program's version. The rest, where to listen,
// what is ready and where to log, is the caller's.
func Settings(c config.Config, version string) (Config, error) {
	exempt, err := config.ParseNetworks(c.DNS.RateExempt)
	if err != nil {
		return Config{}, err
	}
	reverse, err := c.DNSReverseNetworks()
	if err != nil {
		return Config{}, err
	}
	policies, err := c.DNSServicePolicies()
	if err != nil {
		return Config{}, err
	}
	services := make(map[string]zone.Policy, len(policies))
	for name, p := range policies {
		services[name] = zone.Policy{TTL: p.TTL, Order: orders[p.Order], Answers: p.Answers}
	}
	return Config{
		Addr:        c.DNSAddr,
		Zone:        c.DNSZone,
		NodeTTL:     c.DNSNodeTTL,
		ServiceTTL:  c.DNSServiceTTL,
		NegativeTTL: c.DNSNegativeTTL,
		Order:       orders[c.DNSOrder],
		Answers:     c.DNSAnswers,
		Services:    services,
		Reverse:     reverse,
		Band:        c.DNSNearestBand,
		StaleLimit:  c.DNSStaleLimit,
		Server: dnsserver.Config{
			TLSAddr:         c.DNS.TLSAddr,
			TLSCert:         c.DNS.TLSCert,
			TLSKey:          c.DNS.TLSKey,
			UDPSize:         c.DNS.UDPSize,
			MaxTCP:          c.DNS.MaxConnections,
			MaxTCPPerClient: c.DNS.MaxConnectionsPerClient,
			IdleTimeout:     c.DNS.IdleTimeout,
			Cookies:         dnsserver.CookiePolicy(c.DNS.Cookies),
			CookieFile:      c.DNS.CookieFile,
			RateLimit:       c.DNS.RateLimit,
			RateSlip:        c.DNS.RateSlip,
			RateExempt:      exempt,
			NSID:            tell(c.DNS.NSID, c.NodeName),
			Version:         tell(c.DNS.Version, "gossip "+version),
		},
		SigningKeys: c.DNS.SigningKeys,
		Outward: Outward{
			Keys:     c.Outward.Keys,
			Transfer: c.Outward.Transfer,
			Notify:   c.Outward.Notify,
			Server:   c.Outward.UpdateServer,
			Zone:     c.Outward.UpdateZone,
			Name:     c.Outward.UpdateName,
			Key:      c.Outward.UpdateKey,
			Owner:    c.Outward.UpdateOwner,
		},
	}, nil
}

var orders = map[string]zone.Order{
	config.OrderRandom:  zone.OrderRandom,
	config.OrderStable:  zone.OrderStable,
	config.OrderNearest: zone.OrderNearest,
}

// tell returns the text, or the truth if that is what it asks for.
func tell(text, truth string) string {
	if text == config.Tell {
		return truth
	}
	return text
}
