package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/seed-645ce708/gossip/agent/internal/config"
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

// wordsOf returns what the first argument of a command may be, besides flags.
func wordsOf(cmd *command) []string {
	switch cmd.name {
	case "help":
		return strings.Fields(commandNames())
	case "completion":
		return []string{"bash", "zsh", "fish"}
	}
	words := cmd.words
	for _, s := range cmd.subs {
		words = append(words, strings.TrimPrefix(s.name, cmd.name+" "))
	}
	return words
}

// takesValue tells whether a flag is followed by a value.
func takesValue(f *flag.Flag) bool {
	b, ok := f.Value.(interface{ IsBoolFlag() bool })
	return !ok || !b.IsBoolFlag()
}

// valuesOf returns the values of a flag that are known: of one whose argument is named as in text|json.
func valuesOf(f *flag.Flag) []string {
	arg, _ := flag.UnquoteUsage(f)
	if setting := config.FlagArg(f.Name); setting != "" && !strings.Contains(f.Usage, "`") {
		arg = setting
	}
	if !strings.Contains(arg, "|") || arg != strings.ToLower(arg) { // capitals stand for something else
		return nil
	}
	return strings.Split(arg, "|")
}

// withSubs returns all commands and those below them.
func withSubs() []*command {
	var all []*command
	for _, cmd := range commands() {
		all = append(append(all, cmd), cmd.subs...)
	}
	return all
}

// bashCompletion completes the command first, then what may be named behind it and its flags; values of flags where they
// are known, and files for all else.
func bashCompletion(c *cli) string {
	var names, values, words strings.Builder
	for _, cmd := range withSubs() {
		fmt.Fprintf(&names, "\t\t%q) command=$word ;;\n", cmd.name)
		list := wordsOf(cmd)
		var bare []string // flags whose value can be anything
		for _, f := range flagsOf(c, cmd) {
			list = append(list, "-"+f.Name)
			switch known := valuesOf(f); {
			case !takesValue(f):
			case known != nil:
				fmt.Fprintf(&values, "\t%q) words=%q ;;\n", cmd.name+" -"+f.Name, strings.Join(known, " "))
			default:
				bare = append(bare, fmt.Sprintf("%q", cmd.name+" -"+f.Name))
			}
		}
		if len(bare) > 0 {
			fmt.Fprintf(&values, "\t%s) ;;\n", strings.Join(bare, "|"))
		}
		fmt.Fprintf(&words, "\t\t%q) words=%q ;;\n", cmd.name, strings.Join(list, " "))
	}
	return `_gossip() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command= word= words= i
	for ((i = 1; i < COMP_CWORD; i++)); do
		word="$command${command:+ }${COMP_WORDS[i]}"
		case $word in
` + names.String() + `		*) break ;;
		esac
	done
	case "$command ${prev/#--/-}" in
` + values.String() + `	*)
		case $command in
		'') words='` + commandNames() + `' ;;
` + words.String() + `		esac
	esac
	COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _gossip gossip
`
}

func fishCompletion(c *cli) string {
	quote := func(s string) string {
		return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
	}
	var b strings.Builder
	for _, cmd := range commands() {
		fmt.Fprintf(&b, "complete -c gossip -f -n __fish_use_subcommand -a %s -d %s\n", cmd.name, quote(cmd.synopsis))
	}
	for _, cmd := range withSubs() {
		parent, name, below := strings.Cut(cmd.name, " ")
		seen := "__fish_seen_subcommand_from " + parent
		if below {
			seen += "; and __fish_seen_subcommand_from " + name
		}
		if words := wordsOf(cmd); len(words) > 0 {
			fmt.Fprintf(&b, "complete -c gossip -f -n %s -a %s\n", quote(seen), quote(strings.Join(words, " ")))
		}
		for _, f := range flagsOf(c, cmd) {
			_, usage := flag.UnquoteUsage(f)
			value := ""
			switch known := valuesOf(f); {
			case known != nil:
				value = " -x -a " + quote(strings.Join(known, " "))
			case takesValue(f):
				value = " -r"
			}
			fmt.Fprintf(&b, "complete -c gossip -n %s -o %s%s -d %s\n", quote(seen), f.Name, value, quote(usage))
		}
	}
	return b.String()
}
