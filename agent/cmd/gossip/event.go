package main

import (
	"context"
	"flag"

	"github.com/seed-645ce708/gossip/agent/client"
)

func eventCommand() *command {
	return &command{
		name:     "event",
		args:     "[options] name [payload]",
		synopsis: "Sends a user event through the cluster",
		help:     "Sends a user event, with an optional payload, to all members.",
		setup: func(c *cli, fs *flag.FlagSet) action {
			rpc := c.rpcFlags(fs)
			form := formatFlag(fs)
			coalesce := fs.Bool("coalesce", true, "of several events of this name in a short time only the last one matters")
			return func(ctx context.Context, args []string) error {
				name, payload, err := nameAndPayload("an event", args)
				if err != nil {
					return err
				}
				return rpc.with(ctx, func(cl *client.Client) error {
					if err := cl.UserEvent(ctx, name, payload, *coalesce); err != nil {
						return failed("Error sending event", err)
					}
					if *form == formatJSON {
						return c.printJSON(map[string]any{"event": name, "coalesce": *coalesce})
					}
					return c.printf("Event '%s' dispatched! Coalescing enabled: %v\n", name, *coalesce)
				})
			}
		},
	}
}

// nameAndPayload reads the arguments of event and query. Without a payload it is nil.
func nameAndPayload(what string, args []string) (name string, payload []byte, err error) {
	switch len(args) {
	case 0:
		return "", nil, usagef("%s name must be specified", what)
	case 1:
		return args[0], nil, nil
	case 2:
		return args[0], []byte(args[1]), nil
	}
	return "", nil, usagef("too many command line arguments, only a name and payload must be specified")
}
