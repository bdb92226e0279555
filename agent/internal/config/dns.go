package config

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// DNS says how the DNS server talks, and to whom; what it says is in the fields of Config that begin with DNS.
type DNS struct {
	// TLSAddr is where DNS over TLS listens: HOST:PORT or a template of that form; "" turns it off. TLSCert and TLSKey
	// are files in PEM.
	TLSAddr, TLSCert, TLSKey string
	// UDPSize is the longest reply over UDP in bytes, 512 to 65535.
	UDPSize int
	// MaxConnections bounds open TCP connections, TLS included, MaxConnectionsPerClient those of one client. They end
	// after IdleTimeout without a query.
	MaxConnections, MaxConnectionsPerClient int
	IdleTimeout                             time.Duration
	// Cookies is one of CookiePolicies; CookieFile names a file of secrets for them, "" means random ones.
	Cookies, CookieFile string
	// RateLimit is how many replies of one kind a network gets over UDP in a second, 0 without limit; of those over it
	// one in RateSlip goes out truncated, 0 for none. RateExempt lists networks without limit, as ParseNetworks reads it.
	RateLimit, RateSlip int
	RateExempt          string
	// NSID and Version are what the server says of itself: "" for nothing, Tell for the node's name and the program's
	// version, or any other text.
	NSID, Version string
	// SigningKeys are files of keys that sign the zone (DNSSEC), each with or without .key or .private at its end; none
	// means that it is not signed.
	SigningKeys []string
}

// Tell is the value of NSID and Version that stands for the true one.
const Tell = "on"

// The policies for DNS cookies.
const (
	CookiesOn      = "on"
	CookiesOff     = "off"
	CookiesRequire = "require"
)

// CookiePolicies lists them.
func CookiePolicies() []string { return []string{CookiesOn, CookiesOff, CookiesRequire} }

// privateNetworks is the word for networks that no attacker on the internet can aim at through us.
const privateNetworks = "private"

func private() []netip.Prefix {
	var list []netip.Prefix
	for _, text := range []string{"127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16",
		"100.64.0.0/10", "::1/128", "fc00::/7", "fe80::/10"} {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// ParseNetworks reads a list of networks with commas between: ADDR/BITS, ADDR, or "private".
func ParseNetworks(text string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	for item := range strings.SplitSeq(text, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		if item == privateNetworks {
			list = append(list, private()...)
			continue
		}
		if addr, err := netip.ParseAddr(item); err == nil && addr.Zone() == "" {
			addr = addr.Unmap()
			list = append(list, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(item)
		if err != nil {
			return nil, fmt.Errorf("%q is not a network such as 10.0.0.0/8, nor an address, nor %q", item, privateNetworks)
		}
		list = append(list, p.Masked())
	}
	return list, nil
}

func defaultDNS() DNS {
	return DNS{
		UDPSize:                 1232,
		MaxConnections:          256,
		MaxConnectionsPerClient: 64,
		IdleTimeout:             10 * time.Second,
		Cookies:                 CookiesOn,
		RateLimit:               200,
		RateSlip:                2,
		RateExempt:              privateNetworks,
	}
}

// The ranges of UDPSize, and of NSID and Version in bytes.
const (
	minUDPSize    = 512
	maxUDPSize    = 65535
	maxIdentifier = 128
)

func (d *DNS) validate() error {
	if (d.TLSCert == "") != (d.TLSKey == "") || d.TLSAddr != "" && d.TLSCert == "" {
		return errors.New("DNS over TLS wants dns_tls_cert and dns_tls_key, the files of a certificate and its key")
	}
	if d.UDPSize < minUDPSize || d.UDPSize > maxUDPSize {
		return fmt.Errorf("dns_udp_size is %d, but must be %d to %d bytes", d.UDPSize, minUDPSize, maxUDPSize)
	}
	for _, n := range []struct {
		key          string
		value, least int
	}{
		{"dns_max_connections", d.MaxConnections, 1},
		{"dns_max_connections_per_client", d.MaxConnectionsPerClient, 1},
		{"dns_rate_limit", d.RateLimit, 0},
		{"dns_rate_slip", d.RateSlip, 0},
	} {
		if n.value < n.least {
			return fmt.Errorf("%s is %d, but must be at least %d", n.key, n.value, n.least)
		}
	}
	if d.IdleTimeout <= 0 {
		return fmt.Errorf("dns_idle_timeout is %v, but must be above zero", d.IdleTimeout)
	}
	if !slices.Contains(CookiePolicies(), d.Cookies) {
		return fmt.Errorf("dns_cookies is %q, but must be one of %s", d.Cookies, strings.Join(CookiePolicies(), ", "))
	}
	if _, err := ParseNetworks(d.RateExempt); err != nil {
		return fmt.Errorf("dns_rate_exempt: %w", err)
	}
	for _, s := range []struct{ key, value string }{{"dns_nsid", d.NSID}, {"dns_version", d.Version}} {
		if len(s.value) > maxIdentifier {
			return fmt.Errorf("%s has %d bytes, but may have %d at most", s.key, len(s.value), maxIdentifier)
		}
	}
	return nil
}
