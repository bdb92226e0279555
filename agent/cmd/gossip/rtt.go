package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"github.com/seed-645ce708/gossip/agent/client"
	"github.com/seed-645ce708/gossip/agent/internal/coordinate"
)

func rttCommand() *command {
	return &command{
		name:     "rtt",
		args:     "[options] node1 [node2]",
		synopsis: "Estimates the round trip time between members",
		help:     "Estimates the round trip time between two members from their network coordinates, without sending a packet.\nThe second member is the agent's own unless given.",
		setup: func(c *cli, fs *flag.FlagSet) action {
			rpc := c.rpcFlags(fs)
			form := formatFlag(fs)
			return func(ctx context.Context, nodes []string) error {
				if len(nodes) < 1 || len(nodes) > 2 {
					return usagef("one or two node names must be specified")
				}
				return rpc.with(ctx, func(cl *client.Client) error {
					if len(nodes) == 1 {
						stats, err := cl.Stats(ctx)
						if err != nil {
							return failed("Error querying agent", err)
						}
						nodes = append(nodes, stats["agent"]["name"])
					}
					rtt, err := estimate(ctx, cl, nodes[0], nodes[1])
					if err != nil {
						return err
					}
					ms := rtt.Seconds() * 1000
					if *form == formatJSON {
						return c.printJSON(map[string]any{"from": nodes[0], "to": nodes[1], "rtt_ms": ms})
					}
					return c.printf("Estimated %s <-> %s rtt: %.3f ms\n", clean(nodes[0]), clean(nodes[1]), ms)
				})
			}
		},
	}
}

// estimate asks for both coordinates and returns the time between them.
func estimate(ctx context.Context, cl *client.Client, from, to string) (time.Duration, error) {
	var coords [2]coordinate.Coordinate
	for i, node := range []string{from, to} {
		got, ok, err := cl.Coordinate(ctx, node)
		if err != nil {
			return 0, failed("Error getting coordinates", err)
		}
		if !ok {
			//nolint:staticcheck // Serf's words
			return 0, fmt.Errorf("Could not find a coordinate for node %q (see 'gossip members')", node)
		}
		c := &coords[i]
		if len(got.Vec) != len(c.Vec) {
			return 0, fmt.Errorf("the coordinate of node %q has %d dimensions and not %d: it cannot be compared", node, len(got.Vec), len(c.Vec))
		}
		copy(c.Vec[:], got.Vec)
		c.Error, c.Adjustment, c.Height = got.Error, got.Adjustment, got.Height
	}
	return coords[0].DistanceTo(coords[1]), nil
}
