package config

import (
	"net"
	"net/netip"
	"strings"
	"testing"
)

func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		bind, advertise         string
		wantBind, wantAdvertise string
	}{
		{"0.0.0.0:7946", "", "0.0.0.0:7946", "invalid AddrPort"},
		{"127.0.0.1", "10.1.2.3", "127.0.0.1:7946", "10.1.2.3:7946"},
		{"127.0.0.1:0", "10.1.2.3:99", "127.0.0.1:0", "10.1.2.3:99"},
		{":99", "", "0.0.0.0:99", "invalid AddrPort"},
		{"[::1]", "[fe80::1]:5", "[::1]:7946", "[fe80::1]:5"},
		{"[::1]:99", "", "[::1]:99", "invalid AddrPort"},
		{"::1", "", "[::1]:7946", "invalid AddrPort"},
		{"::ffff:127.0.0.1", "", "127.0.0.1:7946", "invalid AddrPort"},
		{`{{ "127.0.0.9" }}`, `{{ "127.0.0.8" }}:80`, "127.0.0.9:7946", "127.0.0.8:80"},
		{`{{ GetAllInterfaces | include "network" "127.0.0.0/8" | limit 1 | attr "address" }}:1`, "", "127.0.0.1:1", "invalid AddrPort"},
	} {
		c := Default()
		c.Bind, c.Advertise = tc.bind, tc.advertise
		c.RPCAddr, c.DNSAddr = `{{ "127.0.0.1" }}:1`, ""
		a, err := c.Addresses(t.Context())
		if err != nil {
			t.Errorf("%s, %s: %v", tc.bind, tc.advertise, err)
			continue
		}
		if a.Bind.String() != tc.wantBind || a.Advertise.String() != tc.wantAdvertise || a.RPC != "127.0.0.1:1" || a.DNS != "" {
			t.Errorf("%s, %s: got %v, %v, %q, %q", tc.bind, tc.advertise, a.Bind, a.Advertise, a.RPC, a.DNS)
		}
	}
}

func TestAddressErrors(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Config){
		"invalid bind address: address 127.0.0.1:x: port \"x\" is not a number from 0 to 65535":         func(c *Config) { c.Bind = "127.0.0.1:x" },
		"invalid bind address: address 127.0.0.1:70000: port \"70000\" is not a number from 0 to 65535": func(c *Config) { c.Bind = "127.0.0.1:70000" },
		"invalid bind address: address 1:2:3: too many colons in address":                               func(c *Config) { c.Bind = "1:2:3" },
		"invalid bind address: lookup no.such.invalid":                                                  func(c *Config) { c.Bind = "no.such.invalid" },
		`invalid bind address: template {{ "" }}:80 finds no address`:                                   func(c *Config) { c.Bind = `{{ "" }}:80` },
		`invalid bind address: template {{ "1.1.1.1 2.2.2.2" }} finds several`:                          func(c *Config) { c.Bind = `{{ "1.1.1.1 2.2.2.2" }}` },
		"invalid bind address: template {{ Nope }}:":                                                    func(c *Config) { c.Bind = "{{ Nope }}" },
		"invalid advertise address: 0.0.0.0:1 is not an address that others":                            func(c *Config) { c.Advertise = "0.0.0.0:1" },
		`invalid RPC address "127.0.0.1": address 127.0.0.1: missing port`:                              func(c *Config) { c.RPCAddr = "127.0.0.1" },
		`invalid DNS address "x:y": port "y" is not a number from 0 to 65535`:                           func(c *Config) { c.DNSAddr = "x:y" },
		"invalid network interface \"nope0\": route ip+net: no such network interface":                  func(c *Config) { c.Interface = "nope0" },
		`invalid RPC address "{{ \"\" }}": template {{ "" }} finds no address `:                         func(c *Config) { c.RPCAddr = `{{ "" }}` },
	} {
		c := Default()
		change(&c)
		if _, err := c.Addresses(t.Context()); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf(" got %v\nwant %s", err, want)
		}
	}
}

func TestChooseAddr(t *testing.T) {
	t.Parallel()
	addrs := func(cidrs ...string) []net.Addr {
		var list []net.Addr
		for _, cidr := range cidrs {
			ip, ipnet, err := net.ParseCIDR(cidr)
			if err != nil {
				t.Fatal(err)
			}
			ipnet.IP = ip
			list = append(list, ipnet)
		}
		return list
	}
	eth := addrs("169.254.1.1/16", "fe80::1/64", "10.0.0.5/24", "10.0.0.6/24", "2001:db8::5/64")
	for _, tc := range []struct {
		bind    string
		addrs   []net.Addr
		want    string
		wantErr string
	}{
		{"0.0.0.0", eth, "10.0.0.5", ""},
		{"10.0.0.6", eth, "10.0.0.6", ""},
		{"2001:db8::5", eth, "2001:db8::5", ""},
		{"169.254.1.1", eth, "169.254.1.1", ""},
		{"10.0.0.9", eth, "", "interface 'eth' has no '10.0.0.9' address (change -bind or -iface)"},
		{"0.0.0.0", eth[:2], "", "failed to find usable address for interface 'eth' (give one with -bind)"},
	} {
		got, err := chooseAddr("eth", netip.MustParseAddr(tc.bind), tc.addrs)
		if tc.wantErr != "" {
			if err == nil || err.Error() != tc.wantErr {
				t.Errorf("%s: got %v, want %s", tc.bind, err, tc.wantErr)
			}
		} else if err != nil || got.String() != tc.want {
			t.Errorf("%s: got %v, %v, want %s", tc.bind, got, err, tc.want)
		}
	}
}

func TestInterfaceLoopback(t *testing.T) {
	t.Parallel()
	lo := ""
	list, err := net.Interfaces()
	if err != nil {
		t.Skip(err)
	}
	for _, ifi := range list {
		if ifi.Flags&net.FlagLoopback != 0 {
			lo = ifi.Name
		}
	}
	c := Default()
	c.Interface, c.Bind = lo, "127.0.0.1:5"
	a, err := c.Addresses(t.Context())
	if err != nil || a.Bind.String() != "127.0.0.1:5" || a.Interface.Name != lo || a.Notice != "" {
		t.Errorf("got %+v, %v", a, err)
	}
	c.Bind = "0.0.0.0:5"
	a, err = c.Addresses(t.Context())
	if err != nil || !a.Bind.Addr().IsLoopback() || a.Notice != "Using interface '"+lo+"' address '"+a.Bind.Addr().String()+"'" {
		t.Errorf("got %+v, %v", a, err)
	}
}
