package main

import (
	"context"
	"flag"
	"maps"
	"slices"
	"strings"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/client"
)

func infoCommand() *command {
	return &command{
		name:     "info",
		args:     "[options]",
		synopsis: "Shows figures of the agent",
		help:     "Shows what a running agent says of itself: its tags, handlers, queues and clocks.",
		setup: func(c *cli, fs *flag.FlagSet) action {
			rpc := c.rpcFlags(fs)
			form := formatFlag(fs)
			return func(ctx context.Context, _ []string) error {
				return rpc.with(ctx, func(cl *client.Client) error {
					stats, err := cl.Stats(ctx)
					if err != nil {
						return failed("Error querying agent", err)
					}
					if *form == formatJSON {
						return c.printJSON(stats)
					}
					return c.printf("%s", statsText(stats))
				})
			}
		},
	}
}

func statsText(stats api.Stats) string {
	var b strings.Builder
	for _, section := range slices.Sorted(maps.Keys(stats)) {
		b.WriteString(clean(section) + ":\n")
		for _, key := range slices.Sorted(maps.Keys(stats[section])) {
			b.WriteString("\t" + clean(key) + " = " + clean(stats[section][key]) + "\n")
		}
	}
	return b.String()
}
