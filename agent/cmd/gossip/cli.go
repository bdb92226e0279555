package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// cli is what one invocation has around it, so that tests can give it something else.
type cli struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
}

// exitNoCommand is the code when no command, or an unknown one, was named (Serf reference 5.1).
const exitNoCommand = 127

// command is one command of the program.
type command struct {
	name     string // with that of its parent before it, such as "dns export"
	args     string // behind the name in its usage line
	synopsis string // one line for the list of commands
	help     string // paragraphs for its own help
	// setup defines the flags and returns what runs once they are parsed.
	setup func(c *cli, fs *flag.FlagSet) action
	// options writes the help of the flags; nil means as printOptions does.
	options func(w io.Writer, fs *flag.FlagSet) error
	// signals means that the command sees to signals itself. To others an interrupt is the end of their context.
	signals bool
	subs    []*command // those that may be named behind it, sorted by name
	words   []string   // what its first argument may be, for completion
}

// action carries a command out. Its error becomes one line on standard error and exit code 1.
type action func(ctx context.Context, args []string) error

// commands returns all commands, sorted by name.
func commands() []*command {
	return []*command{
		agentCommand(),
		completionCommand(),
		dnsCommand(),
		doctorCommand(),
		eventCommand(),
		forceLeaveCommand(),
		helpCommand(),
		infoCommand(),
		joinCommand(),
		keygenCommand(),
		keysCommand(),
		leaveCommand(),
		membersCommand(),
		monitorCommand(),
		queryCommand(),
		reachabilityCommand(),
		resolveCommand(),
		rttCommand(),
		tagsCommand(),
		versionCommand(),
		whyCommand(),
	}
}

func findCommand(name string) (*command, bool) {
	all := commands()
	i := slices.IndexFunc(all, func(cmd *command) bool { return cmd.name == name })
	if i < 0 {
		return nil, false
	}
	return all[i], true
}

// sub finds the command below cmd that the arguments name, if they do, and returns it with the rest of them.
func (cmd *command) sub(args []string) (*command, []string) {
	for _, s := range cmd.subs {
		if len(args) > 0 && s.name == cmd.name+" "+args[0] {
			return s, args[1:]
		}
	}
	return cmd, args
}

// usageError is a fault of the command line itself.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// errSilent ends a command with exit code 1 when all has been said.
var errSilent = errors.New("failed")

// codeError ends a command with an exit code of its own when all has been said.
type codeError int

func (e codeError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// run carries out the command line and returns the exit code.
func (c *cli) run(ctx context.Context, args []string) int {
	name, rest, help := split(args)
	switch {
	case name == "" && help:
		c.usage()
		return 0
	case name == "":
		c.usage()
		return exitNoCommand
	}
	cmd, ok := findCommand(name)
	if !ok {
		fmt.Fprintf(c.stderr, "gossip: there is no command %q\n\n", name)
		c.usage()
		return exitNoCommand
	}
	cmd, rest = cmd.sub(rest)
	return c.runCommand(ctx, cmd, rest, help)
}

// split finds the command in a command line, as Serf does: -v and --version anywhere are the command version,
// -h and --help anywhere ask for help.
func split(args []string) (name string, rest []string, help bool) {
	for i, arg := range args {
		if arg == "--" {
			return name, append(rest, args[i:]...), help
		}
		switch {
		case arg == "-v" || arg == "-version" || arg == "--version":
			return "version", nil, false
		case arg == "-h" || arg == "-help" || arg == "--help":
			help = true
		case name == "" && !strings.HasPrefix(arg, "-"):
			name = arg
		default:
			rest = append(rest, arg)
		}
	}
	return name, rest, help
}

func (c *cli) runCommand(ctx context.Context, cmd *command, args []string, help bool) int {
	fs := flag.NewFlagSet(cmd.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	act := cmd.setup(c, fs)
	if help {
		return c.exit(cmd, cmd.writeHelp(c.stderr, fs))
	}
	if err := fs.Parse(args); err != nil {
		return c.exit(cmd, usagef("%s", flagFault(err.Error())))
	}
	if !cmd.signals {
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
		defer stop()
		context.AfterFunc(ctx, stop) // the second signal ends the program at once
	}
	return c.exit(cmd, act(ctx, fs.Args()))
}

// flagFault puts package flag's words about a bad value so that they say what is wanted.
func flagFault(text string) string {
	if value, ok := strings.CutPrefix(text, "invalid boolean value "); ok {
		text = "invalid value " + strings.Replace(value, " for -", " for flag -", 1)
		text = strings.Replace(text, ": parse error", ": want true or false", 1)
	}
	return strings.Replace(text, ": parse error", ": want a duration such as 30s", 1) // other flags have words of their own
}

// none is for commands that take flags only.
func none(args []string, advice string) error {
	if len(args) == 0 {
		return nil
	}
	return usagef("unexpected argument %q%s", args[0], advice)
}

// exit reports err and returns the exit code.
func (c *cli) exit(cmd *command, err error) int {
	var usage *usageError
	var code codeError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errSilent):
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &usage):
		fmt.Fprintf(c.stderr, "gossip %s: %s (see 'gossip %s -h')\n", cmd.name, oneLine(err), cmd.name)
	default:
		fmt.Fprintln(c.stderr, oneLine(err))
	}
	return 1
}

// failed gives a command's error Serf's words in front.
func failed(what string, err error) error {
	return fmt.Errorf("%s: %w", what, err)
}

// oneLine puts an error of several lines on one.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

func (c *cli) printf(format string, args ...any) error {
	_, err := fmt.Fprintf(c.stdout, format, args...)
	return err
}

// usage writes the list of commands to standard error.
func (c *cli) usage() { _ = writeUsage(c.stderr) } // there is nowhere else to complain

func writeUsage(w io.Writer) error {
	var b strings.Builder
	b.WriteString("Usage: gossip [--version] [--help] <command> [<args>]\n\nAvailable commands are:\n")
	for _, cmd := range commands() {
		fmt.Fprintf(&b, "    %-15s %s\n", cmd.name, cmd.synopsis)
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// writeHelp writes what the command does and takes.
func (cmd *command) writeHelp(w io.Writer, fs *flag.FlagSet) error {
	if _, err := fmt.Fprintf(w, "Usage: %s\n\n%s\n", strings.TrimSpace("gossip "+cmd.name+" "+cmd.args), indent(cmd.help)); err != nil {
		return err
	}
	if len(cmd.subs) > 0 {
		var rows [][]string
		for _, s := range cmd.subs {
			rows = append(rows, []string{s.name, s.synopsis})
		}
		if _, err := fmt.Fprintf(w, "\nCommands below it:\n\n%s\n", indent(columns(rows))); err != nil {
			return err
		}
	}
	options := cmd.options
	if options == nil {
		options = printOptions
	}
	return options(w, fs)
}

func indent(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i, line := range lines {
		if line != "" {
			lines[i] = "  " + line
		}
	}
	return strings.Join(lines, "\n")
}

// printOptions writes one line for each flag, sorted by name.
func printOptions(w io.Writer, fs *flag.FlagSet) error {
	var rows [][]string
	fs.VisitAll(func(f *flag.Flag) {
		arg, usage := flag.UnquoteUsage(f)
		rows = append(rows, []string{strings.TrimSpace("-" + f.Name + " " + arg), usage})
	})
	if len(rows) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "\nOptions:\n\n%s\n", indent(columns(rows)))
	return err
}
