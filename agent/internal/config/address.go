package config

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Addresses are the addresses of a configuration, resolved.
type Addresses struct {
	// Bind is where gossip listens.
	Bind netip.AddrPort
	// Advertise is what other members are told; invalid if it is the bound address.
	Advertise netip.AddrPort
	// RPC, DNS and DNSTLS are HOST:PORT as net.Listen takes it. DNS is "" if DNS is off, DNSTLS if DNS over TLS is.
	RPC    string
	DNS    string
	DNSTLS string
	// Interface is the network interface of -iface; nil if none was named.
	Interface *net.Interface
	// Notice is a line for people about an address that was chosen for them; may be "".
	Notice string
}

// Addresses evaluates templates, adds default ports, looks up host names and reads the network interface. It
// asks the operating system, and the resolver for host names, so it may take as long as ctx allows.
func (c Config) Addresses(ctx context.Context) (Addresses, error) {
	var a Addresses
	var err error
	if a.Bind, err = resolve(ctx, "bind", c.Bind); err != nil {
		return Addresses{}, err
	}
	if c.Interface != "" {
		if err := a.useInterface(c.Interface); err != nil {
			return Addresses{}, err
		}
	}
	if c.Advertise != "" {
		if a.Advertise, err = resolve(ctx, "advertise", c.Advertise); err != nil {
			return Addresses{}, err
		}
		if a.Advertise.Addr().IsUnspecified() {
			return Addresses{}, fmt.Errorf("invalid advertise address: %s is not an address that others can reach (give another with -advertise)", c.Advertise)
		}
	}
	if a.RPC, err = listenAddr("RPC", c.RPCAddr); err != nil {
		return Addresses{}, err
	}
	if a.DNS, a.DNSTLS, err = c.DNSListen(); err != nil {
		return Addresses{}, err
	}
	return a, nil
}

// DNSListen returns where DNS and DNS over TLS listen, HOST:PORT as net.Listen takes it; "" for what is off.
func (c Config) DNSListen() (dns, tls string, err error) {
	if c.DNSAddr == "" {
		return "", "", nil
	}
	if dns, err = listenAddr("DNS", c.DNSAddr); err != nil {
		return "", "", err
	}
	if c.DNS.TLSAddr != "" {
		tls, err = listenAddr("DNS-TLS", c.DNS.TLSAddr)
	}
	return dns, tls, err
}

// useInterface picks or checks the bound address (Serf reference 3.2, interface).
func (a *Addresses) useInterface(name string) error {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return fmt.Errorf("invalid network interface %q: %w (name another with -iface)", name, err)
	}
	addrs, err := ifi.Addrs()
	if err != nil {
		return fmt.Errorf("failed to get interface addresses: %w", err)
	}
	a.Interface = ifi
	ip, err := chooseAddr(name, a.Bind.Addr(), addrs)
	if err != nil {
		return err
	}
	if ip != a.Bind.Addr() {
		a.Bind = netip.AddrPortFrom(ip, a.Bind.Port())
		a.Notice = fmt.Sprintf("Using interface '%s' address '%s'", name, ip)
	}
	return nil
}

// chooseAddr returns bind if it is among the interface's addresses, or the first usable one if bind is 0.0.0.0.
func chooseAddr(name string, bind netip.Addr, addrs []net.Addr) (netip.Addr, error) {
	any4 := bind == netip.IPv4Unspecified()
	for _, addr := range addrs {
		prefix, err := netip.ParsePrefix(addr.String())
		if err != nil {
			continue
		}
		ip := prefix.Addr().Unmap()
		if any4 && !ip.IsLinkLocalUnicast() || !any4 && ip == bind {
			return ip, nil
		}
	}
	if any4 {
		return netip.Addr{}, fmt.Errorf("failed to find usable address for interface '%s' (give one with -bind)", name)
	}
	return netip.Addr{}, fmt.Errorf("interface '%s' has no '%s' address (change -bind or -iface)", name, bind)
}

// resolve turns HOST[:PORT] into an address; what names the setting and its flag in errors.
func resolve(ctx context.Context, what, addr string) (netip.AddrPort, error) {
	fault := func(err error) (netip.AddrPort, error) {
		return netip.AddrPort{}, fmt.Errorf("invalid %s address: %w (-%s takes HOST[:PORT], or a template such as '{{ GetPrivateIP }}')", what, err, what)
	}
	text, err := expandTemplate(addr)
	if err != nil {
		return fault(err)
	}
	host, port, err := splitHostPort(text, DefaultBindPort)
	if err != nil {
		return fault(err)
	}
	if host == "" {
		host = "0.0.0.0"
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return netip.AddrPortFrom(ip.Unmap(), port), nil
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return fault(err)
	}
	best := ips[0].Unmap()
	for _, ip := range ips { // as Go's own dialling does: IPv4 first
		if ip.Unmap().Is4() {
			best = ip.Unmap()
			break
		}
	}
	return netip.AddrPortFrom(best, port), nil
}

// listenAddr checks HOST:PORT without looking up the host.
func listenAddr(what, addr string) (string, error) {
	text, err := expandTemplate(addr)
	if err == nil {
		var port string
		if _, port, err = net.SplitHostPort(text); err == nil {
			_, err = parsePort(port)
		}
	}
	if err != nil {
		return "", fmt.Errorf("invalid %s address %q: %w (-%s-addr takes HOST:PORT)", what, addr, err, strings.ToLower(what))
	}
	return text, nil
}

// splitHostPort splits HOST, HOST:PORT, [V6], [V6]:PORT and a bare V6.
func splitHostPort(addr string, defaultPort uint16) (string, uint16, error) {
	if ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(addr, "["), "]")); err == nil {
		return ip.String(), defaultPort, nil
	}
	host, port, err := net.SplitHostPort(addr)
	if ae := (*net.AddrError)(nil); errors.As(err, &ae) && ae.Err == "missing port in address" {
		return addr, defaultPort, nil
	}
	if err != nil {
		return "", 0, err
	}
	n, err := parsePort(port)
	if err != nil {
		return "", 0, fmt.Errorf("address %s: %w", addr, err)
	}
	return host, n, nil
}

func parsePort(port string) (uint16, error) {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("port %q is not a number from 0 to 65535", port)
	}
	return uint16(n), nil
}
