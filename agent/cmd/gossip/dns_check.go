package main

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/dnspath"
	"github.com/seed-645ce708/gossip/dnsserver/dnsclient"
)

// checkTimeout is how long all of 'gossip dns check' may take; a resolver that is silent takes some seconds of it.
const checkTimeout = 40 * time.Second

func dnsCheckCommand() *command {
	return &command{
		name:     "dns check",
		args:     "[options]",
		synopsis: "Proves the path from this host's resolver to the agent",
		help: `Asks about the zone at the agent's DNS directly, through each resolver that this host is told to ask, and as programs do.
It says which hop fails, and what to do about it. Exit codes:

    0   programs on this host find the names of the zone
    1   it could not be tested
    2   the agent's DNS does not answer
    3   it answers, but has not joined its cluster yet, or serves another zone
    4   a resolver in resolv.conf does not lead to the agent
    5   the resolvers do, but the system's own look-up does not`,
		setup: func(c *cli, fs *flag.FlagSet) action {
			where := dnsWhereFlags(c, fs)
			form := formatFlag(fs)
			resolvConf := fs.String("resolv-conf", "/etc/resolv.conf", "`FILE` that names the host's resolvers (default /etc/resolv.conf)")
			host := fs.String("name", "", "`NAME` in the zone to look up (default: the zone's primary server)")
			return func(ctx context.Context, args []string) error {
				if len(args) > 0 {
					return usagef("unexpected argument %q", args[0])
				}
				server, zone, err := where.find(ctx)
				if err != nil {
					return err
				}
				cfg := dnspath.Config{
					Server: server, Zone: strings.TrimSuffix(zone, ".") + ".", Ask: dnsclient.Ask, Lookup: dnspath.Lookup,
				}
				if *host != "" {
					cfg.Host = qualify(*host, zone)
				}
				if cfg.Resolvers, err = dnspath.Resolvers(*resolvConf); err != nil {
					cfg.Unknown = oneLine(err)
				}
				ctx, cancel := context.WithTimeout(ctx, checkTimeout)
				defer cancel()
				findings, code := dnspath.Check(ctx, cfg)
				if err := c.printPath(*form, findings, code); err != nil {
					return err
				}
				if code != dnspath.CodeOK {
					return codeError(code)
				}
				return nil
			}
		},
	}
}

func (c *cli) printPath(form format, findings []dnspath.Finding, code int) error {
	if form == formatJSON {
		list := []map[string]string{}
		for _, f := range findings {
			hop := map[string]string{"hop": string(f.Hop), "level": string(f.Level), "text": f.Text}
			if f.Remedy != "" {
				hop["remedy"] = f.Remedy
			}
			list = append(list, hop)
		}
		return c.printJSON(map[string]any{"healthy": code == dnspath.CodeOK, "code": code, "hops": list})
	}
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "%-8s %-8s %s\n", f.Level, f.Hop, clean(oneLine(fmt.Errorf("%s", f.Text))))
		if f.Remedy != "" {
			fmt.Fprintf(&b, "%-8s %-8s -> %s\n", "", "", f.Remedy)
		}
	}
	return c.printf("%s", b.String())
}
