package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/seed-645ce708/gossip/agent/client"
	"github.com/seed-645ce708/gossip/agent/internal/config"
	"github.com/seed-645ce708/gossip/agent/internal/dnssnippet"
	"github.com/seed-645ce708/gossip/dnsserver/dnssec"
)

func dnsSnippetCommand() *command {
	kinds := strings.Join(dnssnippet.Kinds(), "|")
	return &command{
		name:     "dns snippet",
		args:     "[options] " + kinds,
		synopsis: "Prints ready configuration that makes a resolver or HAProxy ask us",
		words:    dnssnippet.Kinds(),
		help: `Prints configuration that makes the host's resolver forward the zone, or HAProxy find its servers by DNS. Where and for
which zone DNS is answered is asked from the agent, unless the flags say it.`,
		setup: func(c *cli, fs *flag.FlagSet) action {
			where := dnsWhereFlags(c, fs)
			var keys stringList
			fs.Var(&keys, "dnssec-key", "`FILE` of a key that signs the zone, for resolvers to check by; may be repeated")
			service := fs.String("service", "web", "`NAME` of the service in HAProxy's configuration")
			return func(ctx context.Context, args []string) error {
				args, err := flagsBehind(fs, args)
				if err != nil {
					return err
				}
				if len(args) != 1 {
					return usagef("name one of %s", kinds)
				}
				server, zone, err := where.find(ctx)
				if err != nil {
					return err
				}
				addr, err := netip.ParseAddrPort(server)
				if err != nil {
					return fmt.Errorf("-dns-addr %q must be an IP address with a port: a resolver cannot look up its own servers", server)
				}
				params := dnssnippet.Params{Zone: zone, Addr: addr, Service: *service}
				for _, file := range keys {
					key, err := dnssec.LoadPublic(file)
					if err != nil {
						return err
					}
					if strings.TrimSuffix(key.Zone(), ".") != strings.ToLower(strings.TrimSuffix(zone, ".")) {
						return fmt.Errorf("key %s is for the zone %s and not for %s", file, key.Zone(), zone)
					}
					params.Anchor = append(params.Anchor, key.Anchor())
				}
				text, err := dnssnippet.Render(args[0], params)
				if err != nil {
					return err
				}
				return c.printf("%s", text)
			}
		},
	}
}

// flagsBehind parses the flags that come behind an argument, where people like to put them.
func flagsBehind(fs *flag.FlagSet, args []string) ([]string, error) {
	var plain []string
	for len(args) > 0 {
		if strings.HasPrefix(args[0], "-") {
			if err := fs.Parse(args); err != nil {
				return nil, usagef("%v", err)
			}
			args = fs.Args()
			continue
		}
		plain, args = append(plain, args[0]), args[1:]
	}
	return plain, nil
}

// dnsWhere finds out where DNS is answered, and for which zone.
type dnsWhere struct {
	cli        *cli
	rpc        *rpcOptions
	addr, zone string
}

func dnsWhereFlags(c *cli, fs *flag.FlagSet) *dnsWhere {
	w := &dnsWhere{cli: c, rpc: c.rpcFlags(fs)}
	fs.StringVar(&w.addr, "dns-addr", "", "`HOST:PORT` where DNS is answered (default $GOSSIP_DNS_ADDR, else the agent is asked)")
	fs.StringVar(&w.zone, "dns-zone", "", "`ZONE` that is answered (default: the agent is asked)")
	return w
}

// askTimeout is how long the agent may take to say where it answers.
const askTimeout = 3 * time.Second

// find returns the address and the zone. What neither flags nor the agent tell is the default, with a note.
func (w *dnsWhere) find(ctx context.Context) (addr, zone string, err error) {
	addr, zone = cmp.Or(w.addr, w.cli.getenv("GOSSIP_DNS_ADDR")), w.zone
	if addr == "" || zone == "" {
		askedAddr, askedZone, err := w.ask(ctx)
		if err != nil {
			fmt.Fprintf(w.cli.stderr, "Note: taking %s and %s, since the agent does not say: %s\n",
				cmp.Or(addr, config.DefaultDNSAddr), cmp.Or(zone, config.DefaultDNSZone), oneLine(err))
		}
		addr, zone = cmp.Or(addr, askedAddr, config.DefaultDNSAddr), cmp.Or(zone, askedZone, config.DefaultDNSZone)
	}
	addr, err = reachable(addr)
	return addr, zone, err
}

// ask asks the agent.
func (w *dnsWhere) ask(ctx context.Context) (addr, zone string, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	err = w.rpc.with(ctx, func(cl *client.Client) error {
		stats, err := cl.Stats(ctx)
		if err != nil {
			return err
		}
		addr, zone = stats["dns"]["addr"], stats["dns"]["zone"]
		if addr == "" {
			return errors.New("it answers no DNS (it runs Serf, or its dns_addr is empty)")
		}
		return nil
	})
	return addr, zone, err
}

// reachable turns an address to listen on into one to ask: that of all addresses into the loopback one.
func reachable(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("-dns-addr %q is not HOST:PORT: %w", addr, err)
	}
	switch ip, err := netip.ParseAddr(host); {
	case host == "" || err == nil && ip.Unmap() == netip.IPv4Unspecified():
		host = "127.0.0.1"
	case err == nil && ip == netip.IPv6Unspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port), nil
}
