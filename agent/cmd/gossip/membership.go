package main

import (
	"context"
	"flag"
	"slices"

	"github.com/seed-645ce708/gossip/agent/client"
)

func joinCommand() *command {
	return &command{
		name:     "join",
		args:     "[options] address ...",
		synopsis: "Makes the agent join a cluster",
		help:     "Makes a running agent join the cluster of the given members, by their gossip addresses HOST[:PORT],\nwhere PORT is by default the one that the agent itself has bound. One that can be reached is enough.",
		setup: func(c *cli, fs *flag.FlagSet) action {
			rpc := c.rpcFlags(fs)
			form := formatFlag(fs)
			replay := fs.Bool("replay", false, "deliver past user events")
			return func(ctx context.Context, addrs []string) error {
				if len(addrs) == 0 || slices.Contains(addrs, "") {
					return usagef("at least one address to join must be specified")
				}
				return rpc.with(ctx, func(cl *client.Client) error {
					n, err := cl.Join(ctx, addrs, *replay)
					if err != nil {
						return failed("Error joining the cluster", err)
					}
					if *form == formatJSON {
						return c.printJSON(map[string]int{"joined": n})
					}
					return c.printf("Successfully joined cluster by contacting %d nodes.\n", n)
				})
			}
		},
	}
}

func leaveCommand() *command {
	return &command{
		name:     "leave",
		args:     "[options]",
		synopsis: "Makes the agent leave the cluster and end",
		help:     "Makes a running agent leave the cluster gracefully, so that nobody takes it for failed, and end.",
		setup: func(c *cli, fs *flag.FlagSet) action {
			rpc := c.rpcFlags(fs)
			form := formatFlag(fs)
			return func(ctx context.Context, args []string) error {
				if err := none(args, ": only the agent itself leaves; for another member there is 'gossip force-leave'"); err != nil {
					return err
				}
				return rpc.with(ctx, func(cl *client.Client) error {
					if err := cl.Leave(ctx); err != nil {
						return failed("Error leaving", err)
					}
					if *form == formatJSON {
						return c.printJSON(map[string]bool{"left": true})
					}
					return c.printf("Graceful leave complete\n")
				})
			}
		},
	}
}

func forceLeaveCommand() *command {
	return &command{
		name:     "force-leave",
		args:     "[options] name",
		synopsis: `Forces a member of the cluster to enter the "left" state`,
		help: `Tells the cluster that a failed member is not coming back, so that nobody tries to reach it any more.
A member that is in fact alive says so, and is alive again moments later.`,
		setup: func(c *cli, fs *flag.FlagSet) action {
			rpc := c.rpcFlags(fs)
			form := formatFlag(fs)
			prune := fs.Bool("prune", false, "forget the member at once")
			return func(ctx context.Context, args []string) error {
				if len(args) != 1 || args[0] == "" {
					return usagef("a node name must be specified to force leave")
				}
				return rpc.with(ctx, func(cl *client.Client) error {
					if err := cl.ForceLeave(ctx, args[0], *prune); err != nil {
						return failed("Error force leaving", err)
					}
					if *form == formatJSON {
						return c.printJSON(map[string]any{"node": args[0], "pruned": *prune})
					}
					return nil // Serf says nothing either
				})
			}
		},
	}
}

func tagsCommand() *command {
	return &command{
		name:     "tags",
		args:     "[options]",
		synopsis: "Changes the tags of the agent",
		help:     "Changes the tags of a running agent: deletes first, then sets.",
		setup: func(c *cli, fs *flag.FlagSet) action {
			rpc := c.rpcFlags(fs)
			form := formatFlag(fs)
			var set tagMap
			var del stringList
			fs.Var(&set, "set", "`KEY=VALUE` to create or change; may be repeated")
			fs.Var(&del, "delete", "`KEY` to remove; may be repeated")
			return func(ctx context.Context, args []string) error {
				if err := none(args, ": give each tag its own -set or -delete"); err != nil {
					return err
				}
				if len(set) == 0 && len(del) == 0 {
					return usagef("give at least one -set or -delete")
				}
				return rpc.with(ctx, func(cl *client.Client) error {
					if err := cl.UpdateTags(ctx, set, del); err != nil {
						return failed("Error setting tags", err)
					}
					if *form == formatJSON {
						return c.printJSON(map[string]any{"set": orEmpty(set), "deleted": append([]string{}, del...)})
					}
					return c.printf("Successfully updated agent tags\n")
				})
			}
		},
	}
}

func orEmpty(m tagMap) tagMap {
	if m == nil {
		return tagMap{}
	}
	return m
}
