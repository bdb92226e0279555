package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/client"
	"github.com/seed-645ce708/gossip/agent/internal/config"
	"github.com/seed-645ce708/gossip/agent/internal/dnsbridge"
	"github.com/seed-645ce708/gossip/agent/internal/mirror"
	"github.com/seed-645ce708/gossip/dnsserver/masterfile"
	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

func dnsExportCommand() *command {
	return &command{
		name:     "dns export",
		args:     "[options] [ZONE]",
		synopsis: "Prints the zone as a master file",
		help: `Prints the zone as a master file, which other DNS servers can load, from the members that a running agent knows or that
a file lists. ZONE is one of the reverse zones, if that is wanted. The settings of DNS are those of the flags and of
the files named with -config-file, not those of the agent.`,
		setup: func(c *cli, fs *flag.FlagSet) action {
			src := zoneFlags(c, fs, config.ZoneFlags)
			return func(ctx context.Context, args []string) error {
				if len(args) > 1 {
					return usagef("name one zone, or none")
				}
				z, err := src.build(ctx, c)
				if err != nil {
					return err
				}
				if len(args) == 1 {
					if z, err = pickZone(z, args[0]); err != nil {
						return err
					}
				}
				return masterfile.Write(c.stdout, z)
			}
		},
		options: dnsOptions,
	}
}

// build makes the zone once.
func (s *zoneSource) build(ctx context.Context, c *cli) (*zone.Zone, error) {
	cfg, agent, err := s.load(c)
	if err != nil {
		return nil, err
	}
	var list []api.Member
	if s.members != "" {
		list, err = mirror.Open(s.members).Read()
	} else {
		list, err = s.ask(ctx, c, agent)
	}
	if err != nil {
		return nil, err
	}
	m := mirror.New(mirror.Config{Local: cmp.Or(s.node, anyAlive(list))})
	m.Show(list)
	settings, err := dnsbridge.Settings(cfg, productVersion())
	if err != nil {
		return nil, err
	}
	settings.Addr = config.DefaultDNSAddr // nobody listens there
	return dnsbridge.Build(settings, m.Store())
}

// ask lists the members of an agent that knows them, and fills in which one it is itself.
func (s *zoneSource) ask(ctx context.Context, c *cli, agent client.Config) (list []api.Member, err error) {
	err = withAgent(ctx, agent, func(cl *client.Client) error {
		stats, err := cl.Stats(ctx)
		if err != nil {
			return failed("Error querying agent", err)
		}
		if stats["view"]["synced"] == "false" {
			return errors.New("the agent has not joined its cluster yet, so it does not know the members")
		}
		if stats["view"]["isolated"] == "true" {
			fmt.Fprintf(c.stderr, "Note: the agent looks cut off from its cluster (%s), so members may be missing\n", stats["view"]["evidence"])
		}
		s.node = cmp.Or(s.node, stats["agent"]["name"])
		list, err = cl.Members(ctx)
		if err != nil {
			return failed("Error retrieving members", err)
		}
		return nil
	})
	return list, err
}

// anyAlive returns the first member, by name, that can stand for the server in the SOA record: a zone file must have
// addresses for its servers.
func anyAlive(list []api.Member) string {
	var names []string
	for _, m := range list {
		if m.Status == "alive" {
			names = append(names, m.Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return slices.Min(names)
}

func pickZone(z *zone.Zone, name string) (*zone.Zone, error) {
	name = strings.ToLower(strings.TrimSuffix(name, ".")) + "."
	var known []string
	for _, r := range append([]*zone.Zone{z}, z.Reverse()...) {
		if r.Origin() == name {
			return r, nil
		}
		known = append(known, r.Origin())
	}
	return nil, fmt.Errorf("there is no zone %s, only: %s", name, strings.Join(known, " "))
}
