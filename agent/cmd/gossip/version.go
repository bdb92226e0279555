package main

import (
	"context"
	"flag"
	"runtime/debug"

	"github.com/seed-645ce708/gossip/agent/internal/config"
)

// version is set by the build (-ldflags "-X main.version=v1.2.3"); if it is not, the build information tells.
var version = ""

// productVersion never is empty.
func productVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "v0.0.0-dev"
}

func versionCommand() *command {
	return &command{
		name:     "version",
		args:     "[options]",
		synopsis: "Prints the version",
		help:     "Prints the version of this program and of the protocol that its agent speaks.",
		setup: func(c *cli, fs *flag.FlagSet) action {
			form := formatFlag(fs)
			return func(context.Context, []string) error {
				if *form == formatJSON {
					return c.printJSON(map[string]any{
						"version":  productVersion(),
						"protocol": map[string]int{"max": config.ProtocolMax, "min": config.ProtocolMin},
					})
				}
				return c.printf("gossip %s\nAgent Protocol: %d (Understands back to: %d)\n",
					productVersion(), config.ProtocolMax, config.ProtocolMin)
			}
		},
	}
}
