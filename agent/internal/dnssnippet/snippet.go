// Package dnssnippet writes the few lines that make other programs ask us about our zone: resolvers that forward it, and
// HAProxy, which asks by itself. It is pure: what to write comes in, text goes out; golden files show it, and tests feed
// it to the programs.
package dnssnippet

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// Params are what the snippets are made for.
type Params struct {
	// Zone is the zone's name, with or without its last dot.
	Zone string
	// Addr is where DNS is answered.
	Addr netip.AddrPort
	// Service is the service in the example for HAProxy, as a label of DNS.
	Service string
	// Anchor are the zone's DS records, each as in a zone file: key tag, algorithm, digest type, digest. With them
	// resolvers are told to check the zone's signatures; without, that it has none.
	Anchor []string
}

// Kinds lists the programs there are snippets for, sorted.
func Kinds() []string { return slices.Sorted(maps.Keys(writers)) }

// Render returns the snippet for a program.
func Render(kind string, p Params) (string, error) {
	if !slices.Contains(Kinds(), kind) {
		return "", fmt.Errorf("there is no snippet for %q; there are: %s", kind, strings.Join(Kinds(), ", "))
	}
	zone := strings.ToLower(strings.TrimSuffix(p.Zone, "."))
	if zone == "" {
		return "", fmt.Errorf("zone %q: a resolver cannot forward the root to us", p.Zone)
	}
	for label := range strings.SplitSeq(zone, ".") {
		if !isLabel(label) {
			return "", fmt.Errorf("zone %q is not a DNS name", p.Zone)
		}
	}
	if !isLabel(p.Service) {
		return "", fmt.Errorf("service %q is not a DNS label: up to 63 letters, digits, hyphens and underscores", p.Service)
	}
	if !p.Addr.IsValid() {
		return "", errors.New("the snippet needs the address of the DNS server")
	}
	for _, ds := range p.Anchor {
		if len(strings.Fields(ds)) != 4 {
			return "", fmt.Errorf("%q is no DS record; it has a key tag, an algorithm, a digest type and a digest", ds)
		}
	}
	return writers[kind](values{
		Params: p, name: zone, id: strings.ReplaceAll(zone, ".", "-"),
		host: p.Addr.Addr().String(), port: p.Addr.Port(),
	}), nil
}

// isLabel keeps out what could end a line or a quote in a file of others.
func isLabel(text string) bool {
	odd := func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}
	return text != "" && len(text) <= 63 && !strings.ContainsFunc(text, odd)
}
