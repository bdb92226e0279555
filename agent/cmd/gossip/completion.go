package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
)

func completionCommand() *command {
	return &command{
		name:     "completion",
		args:     "bash|zsh|fish",
		synopsis: "Prints a script that completes commands and flags in a shell",
		help: `Prints a script that makes a shell complete the commands and flags of gossip. To use it:

    bash    source <(gossip completion bash)
    zsh     source <(gossip completion zsh)
    fish    gossip completion fish | source`,
		setup: func(c *cli, _ *flag.FlagSet) action {
			return func(_ context.Context, args []string) error {
				if len(args) != 1 {
					return usagef("name one shell: bash, zsh or fish")
				}
				switch args[0] {
				case "bash":
					return c.printf("%s", bashCompletion(c))
				case "zsh":
					return c.printf("autoload -U +X bashcompinit && bashcompinit\n%s", bashCompletion(c))
				case "fish":
					return c.printf("%s", fishCompletion(c))
				}
				return usagef("there is no completion for %q, only for bash, zsh and fish", args[0])
			}
		},
	}
}

// flagsOf returns the flags of a command, sorted by name.
func flagsOf(c *cli, cmd *command) []*flag.Flag {
	fs := flag.NewFlagSet(cmd.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	cmd.setup(c, fs)
	var flags []*flag.Flag
	fs.VisitAll(func(f *flag.Flag) { flags = append(flags, f) })
	return flags
}

func commandNames() string {
	var names []string
	for _, cmd := range commands() {
		names = append(names, cmd.name)
	}
	return strings.Join(names, " ")
}

// bashCompletion completes the command first, then its flags, and files for all else.
func bashCompletion(c *cli) string {
	var b strings.Builder
	b.WriteString("_gossip() {\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} words=\n\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n")
	fmt.Fprintf(&b, "\t\twords='%s'\n\telse\n\t\tcase ${COMP_WORDS[1]} in\n", commandNames())
	for _, cmd := range commands() {
		var words []string
		for _, f := range flagsOf(c, cmd) {
			words = append(words, "-"+f.Name)
		}
		switch cmd.name {
		case "help":
			words = strings.Fields(commandNames())
		case "completion":
			words = []string{"bash", "zsh", "fish"}
		}
		fmt.Fprintf(&b, "\t\t%s) words='%s' ;;\n", cmd.name, strings.Join(words, " "))
	}
	b.WriteString("\t\tesac\n\tfi\n\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\ncomplete -o default -F _gossip gossip\n")
	return b.String()
}

func fishCompletion(c *cli) string {
	quote := func(s string) string {
		return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
	}
	var b strings.Builder
	for _, cmd := range commands() {
		fmt.Fprintf(&b, "complete -c gossip -f -n __fish_use_subcommand -a %s -d %s\n", cmd.name, quote(cmd.synopsis))
	}
	for _, cmd := range commands() {
		for _, f := range flagsOf(c, cmd) {
			_, usage := flag.UnquoteUsage(f)
			fmt.Fprintf(&b, "complete -c gossip -n '__fish_seen_subcommand_from %s' -o %s -d %s\n", cmd.name, f.Name, quote(usage))
		}
	}
	fmt.Fprintf(&b, "complete -c gossip -f -n '__fish_seen_subcommand_from help' -a %s\n", quote(commandNames()))
	b.WriteString("complete -c gossip -f -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'\n")
	return b.String()
}
