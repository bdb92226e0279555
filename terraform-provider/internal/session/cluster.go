package session

import (
	"context"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/client"
)

// ForceLeave makes the cluster regard a failed member as one that left; with prune it is forgotten at once. It may be
// repeated. A name that nobody knows is no error.
func (a *Agent) ForceLeave(ctx context.Context, node string, prune bool) error {
	return a.read(ctx, "force the member "+node+" to leave", func(ctx context.Context, c *client.Client) error {
		return c.ForceLeave(ctx, node, prune)
	})
}

// Coordinates returns the network coordinates of nodes, those that the agent has; the first result is the name of the
// agent, whose own is among them.
func (a *Agent) Coordinates(ctx context.Context, nodes []string) (self string, found map[string]api.Coordinate, err error) {
	err = a.read(ctx, "read network coordinates", func(ctx context.Context, c *client.Client) error {
		stats, err := c.Stats(ctx)
		if err != nil {
			return err
		}
		self, found = stats["agent"]["name"], map[string]api.Coordinate{}
		for _, node := range append([]string{self}, nodes...) {
			coordinate, ok, err := c.Coordinate(ctx, node)
			if err != nil {
				return err
			}
			if ok {
				found[node] = coordinate
			}
		}
		return nil
	})
	return self, found, err
}
