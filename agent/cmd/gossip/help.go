package main

import (
	"context"
	"flag"
	"io"
)

func helpCommand() *command {
	return &command{
		name:     "help",
		args:     "[command]",
		synopsis: "Tells about the commands",
		help:     "Lists all commands, or tells what one command does and takes.",
		setup: func(c *cli, _ *flag.FlagSet) action {
			return func(_ context.Context, args []string) error {
				if len(args) == 0 {
					return writeUsage(c.stdout)
				}
				cmd, ok := findCommand(args[0])
				if !ok {
					return usagef("there is no command %q", args[0])
				}
				if cmd, args = cmd.sub(args[1:]); len(args) > 0 {
					return usagef("there is no command %q below %q", args[0], cmd.name)
				}
				fs := flag.NewFlagSet(cmd.name, flag.ContinueOnError)
				fs.SetOutput(io.Discard)
				cmd.setup(c, fs)
				return cmd.writeHelp(c.stdout, fs)
			}
		},
	}
}
