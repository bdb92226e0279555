package dnsbridge

import (
	"github.com/seed-645ce708/gossip/agent/internal/config"
	"github.com/seed-645ce708/gossip/dnsserver"
)

// Settings returns what a bridge takes from an agent's settings, given the program's version. The rest, where to listen,
// what is ready and where to log, is the caller's.
func Settings(c config.Config, version string) (Config, error) {
	exempt, err := config.ParseNetworks(c.DNS.RateExempt)
	if err != nil {
		return Config{}, err
	}
	return Config{
		Addr:        c.DNSAddr,
		Zone:        c.DNSZone,
		NodeTTL:     c.DNSNodeTTL,
		ServiceTTL:  c.DNSServiceTTL,
		NegativeTTL: c.DNSNegativeTTL,
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
			Keys:        c.Outward.Keys,
			Transfer:    c.Outward.Transfer,
			Notify:      c.Outward.Notify,
			ClockSerial: c.Outward.Serial == config.SerialClock,
			Server:      c.Outward.UpdateServer,
			Zone:        c.Outward.UpdateZone,
			Name:        c.Outward.UpdateName,
			Key:         c.Outward.UpdateKey,
			Owner:       c.Outward.UpdateOwner,
		},
	}, nil
}

// tell returns the text, or the truth if that is what it asks for.
func tell(text, truth string) string {
	if text == config.Tell {
		return truth
	}
	return text
}
