package main

import (
	"context"
	"flag"
	"fmt"
	"strings"

	"github.com/seed-645ce708/gossip/agent/internal/config"
	"github.com/seed-645ce708/gossip/dnsserver/dnssec"
)

func dnsKeygenCommand() *command {
	return &command{
		name:     "dns keygen",
		args:     "[options]",
		synopsis: "Generates a key that signs the zone (DNSSEC)",
		help: `Generates a key for DNSSEC and writes it into two files, in BIND's format: .key with the public half, and .private, which
is for its owner alone. It prints their path without those ends, as -dns-dnssec-key takes it. All who answer for the
zone need the same key.`,
		setup: func(c *cli, fs *flag.FlagSet) action {
			form := formatFlag(fs)
			zone := fs.String("dns-zone", config.DefaultDNSZone, "`ZONE` that the key signs (default "+config.DefaultDNSZone+")")
			algorithm := fs.String("algorithm", "ecdsap256sha256", "`ecdsap256sha256|ed25519`; all resolvers know the first")
			dir := fs.String("dir", ".", "`DIR` to write into (default: the working directory)")
			return func(_ context.Context, args []string) error {
				if len(args) > 0 {
					return usagef("unexpected argument %q", args[0])
				}
				a, err := dnssec.ParseAlgorithm(*algorithm)
				if err != nil {
					return usagef("%v", err)
				}
				key, err := dnssec.Generate(*zone, a)
				if err != nil {
					return err
				}
				base, err := key.Save(*dir)
				if err != nil {
					return err
				}
				if *form == formatJSON {
					return c.printJSON(map[string]any{
						"file": base, "zone": key.Zone(), "tag": key.Tag(), "algorithm": key.Algorithm().String(), "ds": key.DS(),
					})
				}
				return c.printf("%s\n", base)
			}
		},
	}
}

func dnsDSCommand() *command {
	return &command{
		name:     "dns ds",
		args:     "[options] FILE...",
		synopsis: "Prints what the parent zone publishes of a key (DNSSEC)",
		help: `Prints the DS record of each key, for the zone above to publish. Where there is none, as for 'gossip.', resolvers
are told to trust the key itself: 'gossip dns snippet -dnssec-key FILE' has that. The private half is not needed.`,
		setup: func(c *cli, fs *flag.FlagSet) action {
			form := formatFlag(fs)
			return func(_ context.Context, args []string) error {
				if len(args) == 0 {
					return usagef("name a key file, as -dns-dnssec-key takes it")
				}
				list := []map[string]any{}
				for _, file := range args {
					key, err := dnssec.LoadPublic(file)
					if err != nil {
						return err
					}
					f := strings.Fields(key.Anchor())
					list = append(list, map[string]any{
						"zone": key.Zone(), "tag": key.Tag(), "algorithm": key.Algorithm().String(), "digest": f[3], "ds": key.DS(),
					})
				}
				if *form == formatJSON {
					return c.printJSON(list)
				}
				for _, key := range list {
					if err := c.printf("%s\n", strings.Join(strings.Fields(fmt.Sprint(key["ds"])), " ")); err != nil {
						return err
					}
				}
				return nil
			}
		},
	}
}
