package dnspath

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/seed-645ce708/gossip/dnsserver/dnsclient"
)

// Hop is a part of the path.
type Hop string

// The hops, from the agent to the program that asks.
const (
	Agent    Hop = "agent"    // its DNS, asked directly
	Resolver Hop = "resolver" // a server in resolv.conf
	System   Hop = "system"   // what programs call
)

// Level says how a hop does.
type Level string

// The levels.
const (
	OK      Level = "ok"
	Skipped Level = "skipped" // cannot be tested
	Warning Level = "warning" // will do harm some day
	Fault   Level = "fault"
)

// Finding is what was found of a hop.
type Finding struct {
	Hop    Hop
	Level  Level
	Text   string
	Remedy string // what to do about it
}

// Config is what to test, and by what.
type Config struct {
	Server string // host:port of the agent's DNS
	Zone   string // with the last dot
	// Resolvers are those that the host asks, in order, as host:port; Unknown says why they are not known.
	Resolvers []string
	Unknown   string
	// Host is a name with addresses to look up; "" means that of the zone's primary server.
	Host string
	Ask  func(context.Context, dnsclient.Question) (dnsclient.Answer, error)
	// Lookup is the system's look-up of a host's addresses.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
}

// Codes tell in an exit code where the path ends.
const (
	CodeOK       = 0
	CodeNoAgent  = 2 // the agent's DNS does not answer
	CodeNotReady = 3 // it does, but with nothing to go by
	CodeResolver = 4 // a resolver of the host does not lead there
	CodeSystem   = 5 // the system's look-up does not
)

// Check tests the hops in order. It goes on as far as there is something to be learnt.
func Check(ctx context.Context, cfg Config) (findings []Finding, code int) {
	c := &check{cfg: cfg}
	if code = c.agent(ctx); code != CodeOK {
		return c.findings, code
	}
	c.resolvers(ctx)
	c.system(ctx)
	for _, f := range c.findings {
		switch {
		case f.Level != Fault:
		case f.Hop == Resolver:
			return c.findings, CodeResolver
		default:
			code = CodeSystem
		}
	}
	return c.findings, code
}

type check struct {
	cfg      Config
	findings []Finding
	soa      string // primary and mailbox, by which the zone is known again
	host     string
	addrs    []netip.Addr // of the host
}

func (c *check) add(h Hop, l Level, remedy, format string, args ...any) {
	c.findings = append(c.findings, Finding{h, l, fmt.Sprintf(format, args...), remedy})
}

// agent asks the agent's DNS over UDP and TCP.
func (c *check) agent(ctx context.Context) (code int) {
	q := dnsclient.Question{Server: c.cfg.Server, Name: c.cfg.Zone, Type: "SOA"}
	a, err := c.cfg.Ask(ctx, q)
	switch {
	case err != nil:
		c.add(Agent, Fault, "see that an agent runs here and answers DNS ('gossip info', section dns), or name its address with -dns-addr",
			"nothing answers at %s: %v", c.cfg.Server, cause(err))
		return CodeNoAgent
	case a.Rcode == "SERVFAIL":
		c.add(Agent, Fault, "have the agent join its cluster: 'gossip join', or -retry-join at its start",
			"%s answers, but has nothing to go by yet%s", c.cfg.Server, because(a))
		return CodeNotReady
	case a.Rcode == "REFUSED":
		c.add(Agent, Fault, "name the agent's zone with -dns-zone, or its address with -dns-addr",
			"%s answers, but not for %s%s", c.cfg.Server, c.cfg.Zone, because(a))
		return CodeNotReady
	case a.Rcode != "NOERROR" || soaOf(a) == "":
		c.add(Agent, Fault, "name the address of the agent's DNS with -dns-addr: what answers there is something else",
			"%s does not know %s (%s)%s", c.cfg.Server, c.cfg.Zone, a.Rcode, because(a))
		return CodeNotReady
	}
	c.soa = soaOf(a)
	q.TCP = true
	if _, err := c.cfg.Ask(ctx, q); err != nil {
		c.add(Agent, Warning, "let TCP through to the port of DNS: long answers need it", "%s answers over UDP, but not over TCP: %v", c.cfg.Server, cause(err))
	} else {
		c.add(Agent, OK, "", "%s answers for %s over UDP and TCP", c.cfg.Server, c.cfg.Zone)
	}
	return c.pickHost(ctx)
}

// pickHost finds a name whose addresses the agent knows.
func (c *check) pickHost(ctx context.Context) (code int) {
	if c.host = c.cfg.Host; c.host == "" {
		c.host, _, _ = strings.Cut(c.soa, " ")
	}
	for _, t := range []string{"A", "AAAA"} {
		a, err := c.cfg.Ask(ctx, dnsclient.Question{Server: c.cfg.Server, Name: c.host, Type: t})
		if err != nil {
			continue // it answered a moment ago; the other type may do
		}
		for _, r := range a.Records {
			if addr, err := netip.ParseAddr(r.Data); err == nil {
				c.addrs = append(c.addrs, addr)
			}
		}
	}
	if len(c.addrs) == 0 && c.cfg.Host != "" {
		c.add(Agent, Fault, "name another with -name", "%s has no address for %s", c.cfg.Server, c.host)
		return CodeNotReady
	}
	return CodeOK
}

// resolvers asks each of the host's.
func (c *check) resolvers(ctx context.Context) {
	if len(c.cfg.Resolvers) == 0 {
		c.add(Resolver, Skipped, "", "the host's resolvers are not known: %s", c.cfg.Unknown)
		return
	}
	for i, server := range c.cfg.Resolvers {
		c.resolver(ctx, server, i)
	}
}

func (c *check) resolver(ctx context.Context, server string, place int) {
	q := dnsclient.Question{Server: server, Name: c.cfg.Zone, Type: "SOA", Recursive: true}
	a, err := c.cfg.Ask(ctx, q)
	switch {
	case err != nil && place == 0:
		c.add(Resolver, Fault, "start it, or take it out of resolv.conf", "%s, the first that this host asks, does not answer: %v", server, cause(err))
	case err != nil:
		c.add(Resolver, Warning, "start it, or take it out of resolv.conf: it is asked when those before it fail", "%s does not answer: %v", server, cause(err))
	case soaOf(a) == c.soa:
		c.add(Resolver, OK, "", "%s leads to the agent", server)
	case soaOf(a) != "":
		c.add(Resolver, Fault, "choose another name for the zone, or have the resolver forward this one to "+c.cfg.Server,
			"%s knows another zone %s, of %s", server, c.cfg.Zone, first(soaOf(a)))
	case a.Rcode == "NXDOMAIN" || a.Rcode == "NOERROR":
		c.add(Resolver, Fault, c.forward(server), "%s has not heard of %s (%s): it does not forward the zone", server, c.cfg.Zone, a.Rcode)
	case a.Rcode == "REFUSED":
		c.add(Resolver, Fault, "have it answer for this host, and forward the zone: "+c.forward(server), "%s refuses to answer%s", server, because(a))
	case c.bogus(ctx, q):
		c.add(Resolver, Fault, "exempt the zone, or give the resolver the zone's key: 'gossip dns snippet' has the lines for both",
			"%s forwards %s, but drops the answer since its signatures do not validate%s", server, c.cfg.Zone, because(a))
	default:
		c.add(Resolver, Fault, "see that the address it forwards to is "+c.cfg.Server+", and that it can be reached from there: "+c.forward(server),
			"%s fails to get an answer about %s (%s)%s", server, c.cfg.Zone, a.Rcode, because(a))
	}
}

// bogus tells whether the resolver has the answer, and finds it wrong.
func (c *check) bogus(ctx context.Context, q dnsclient.Question) bool {
	q.Unchecked = true
	a, err := c.cfg.Ask(ctx, q)
	return err == nil && soaOf(a) == c.soa
}

// forward says how to have a resolver forward the zone.
func (c *check) forward(server string) string {
	host, _, _ := net.SplitHostPort(server)
	addr, err := netip.ParseAddr(host)
	switch {
	case err == nil && addr == netip.AddrFrom4([4]byte{127, 0, 0, 53}):
		return "put what 'gossip dns snippet systemd-resolved' prints where its first line says"
	case err == nil && addr.IsLoopback():
		return "put what 'gossip dns snippet dnsmasq' (or unbound, or bind: whichever runs here) prints where its first line says"
	}
	text := "have whoever runs it forward the zone to an agent that it can reach, or run a resolver on this host that does ('gossip dns snippet -h')"
	if host, _, _ := net.SplitHostPort(c.cfg.Server); strings.HasPrefix(host, "127.") || host == "::1" {
		text += "; this agent answers programs on its own host alone (dns_addr)"
	}
	return text
}

// system looks a name up as programs do.
func (c *check) system(ctx context.Context) {
	if len(c.addrs) == 0 {
		c.add(System, Skipped, "", "the agent knows no addresses of %s to look up; name another with -name", c.host)
		return
	}
	host := strings.TrimSuffix(c.host, ".")
	found, err := c.cfg.Lookup(ctx, host)
	good := slices.ContainsFunc(found, func(a netip.Addr) bool { return slices.Contains(c.addrs, a.Unmap()) })
	broken := slices.ContainsFunc(c.findings, func(f Finding) bool { return f.Hop == Resolver && f.Level == Fault })
	remedy := "look at the line hosts of /etc/nsswitch.conf, which must have dns (or resolve), and at caches such as nscd"
	if broken {
		remedy = "mend the resolver first"
	}
	switch {
	case good:
		c.add(System, OK, "", "programs on this host find %s", host)
	case err != nil:
		c.add(System, Fault, remedy, "programs on this host do not find %s: %v", host, err)
	default:
		c.add(System, Fault, remedy, "programs on this host find %s at %v, but the agent has it at %v", host, found, c.addrs)
	}
}

// soaOf returns what stays the same in the SOA record of an answer; "" if there is none.
func soaOf(a dnsclient.Answer) string {
	for _, r := range a.Records {
		if f := strings.Fields(r.Data); r.Type == "SOA" && len(f) >= 2 {
			return strings.ToLower(f[0] + " " + f[1])
		}
	}
	return ""
}

func first(soa string) string {
	name, _, _ := strings.Cut(soa, " ")
	return name
}

// cause leaves out what the error of dnsclient says of the server, which was said.
func cause(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}

func because(a dnsclient.Answer) string {
	if a.Reason == "" {
		return ""
	}
	return ": " + a.Reason
}
