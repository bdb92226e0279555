// Command gossip is the agent and its command line in one program: "gossip agent" runs on every host, all other
// commands talk to a running agent over RPC, and work against a stock Serf agent too. Names, flags, output and
// exit codes are those of Serf's command line (Serf reference 5), except that errors go to standard error, each
// on one line, and that lists are sorted.
package main

import (
	"context"
	"os"
)

func main() {
	c := &cli{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv}
	os.Exit(c.run(context.Background(), os.Args[1:]))
}
