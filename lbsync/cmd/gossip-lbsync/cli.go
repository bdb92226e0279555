package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/override"
	"github.com/seed-645ce708/gossip/lbsync/internal/record"
)

// The exit codes.
const (
	exitOK      = 0
	exitError   = 1
	exitChanges = 2  // diff: there is something to do
	exitHeld    = 3  // once: in step, but something is held for safety's sake
	exitLocked  = 4  // another process owns the state folder or a target
	exitUsage   = 64 // the command line cannot be understood
)

const usage = `gossip-lbsync keeps load balancers in step with the members of a gossip or Serf cluster.

Usage: gossip-lbsync COMMAND -config PATH [flags] [arguments]

Commands:
  run                     follow the agent until SIGTERM or SIGINT
  once                    wait until the view has settled, make one pass, and exit
  diff                    show what a pass would change
  check                   check the configuration, its templates, and what they render, without an agent
  render TARGET           print what would be written for a target
  status                  show how everything stands
  why SERVICE MEMBER      say which rule keeps a member in a service or out of it
  ack SERVICE             let held removals go: those of -set, as status shows it
  hold SERVICE|TARGET     remove nothing from a service, or do nothing to a target
  drain SERVICE MEMBER    send a member nothing new
  resume SERVICE [MEMBER], resume TARGET
                          end what ack, hold and drain ordered
  version, help

A TARGET is KIND/NAME, such as haproxy/edge.

Flags:
  -config PATH        the configuration: a file, HCL or (by the suffix .json) JSON, or a folder of them; may be repeated
  -format FORMAT      once, diff, check, status, why: text or json; default text
  -timeout DURATION   once, diff, render, why, check -live: how long to wait for the agent; default 1m
  -target TARGET      once, diff, check: only this one
  -from FILE          diff, render: take the members from a file, as "gossip members -format=json" prints them
  -no-reload          once: write files but tell no balancer; a later run will
  -dry-run            run: change nothing, and log what would be done
  -live               check: also see whether the agent and the balancers answer
  -set HASH           ack: the held removals that may go
  -ahead              drain: also a member that does not serve it yet
  -for DURATION       ack, hold, drain: for how long; default 1h
  -log-level LEVEL    run: debug, info, warn or error; default info
  -log-format FORMAT  run: text or json; default text

Signals: HUP reads the configuration and templates anew, USR1 looks at everything at once.

Exit codes: 0 done, in step, no difference; 1 error; 2 diff: something to do; 3 once: something is held for safety's
sake; 4 another gossip-lbsync owns the state folder or a target; 64 the command line cannot be understood.
`

// options are the flags of all commands, and their arguments.
type options struct {
	config    []string
	logLevel  string
	logFormat string
	format    string
	timeout   time.Duration
	target    string
	from      string
	set       string
	length    time.Duration // -for
	noReload  bool
	dryRun    bool
	live      bool
	ahead     bool
	args      []string
}

// verb is one of the commands that need a configuration.
type verb struct {
	flags    []string // that it knows besides -config
	min, max int      // arguments
	run      func(context.Context, invocation) (int, error)
}

// invocation is a command line that was understood.
type invocation struct {
	cfg            *config.Config
	opt            options
	stdout, stderr io.Writer
}

var commands = map[string]verb{
	"run":    {[]string{"log-level", "log-format", "dry-run"}, 0, 0, run},
	"once":   {[]string{"timeout", "no-reload", "target", "format"}, 0, 0, once},
	"diff":   {[]string{"timeout", "format", "target", "from"}, 0, 0, diff},
	"check":  {[]string{"live", "timeout", "target", "format"}, 0, 0, check},
	"render": {[]string{"timeout", "from"}, 1, 1, renderTarget},
	"status": {[]string{"format"}, 0, 0, status},
	"why":    {[]string{"format", "timeout"}, 2, 2, why},
	"ack":    {[]string{"set", "for"}, 1, 1, ack},
	"hold":   {[]string{"for"}, 1, 1, hold},
	"drain":  {[]string{"for", "ahead"}, 2, 2, drain},
	"resume": {nil, 1, 2, resume},
}

// usageError is a command line that cannot be understood.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// execute runs the command line and returns the exit code.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	code, err := dispatch(ctx, args, stdout, stderr)
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			_, _ = fmt.Fprintf(stderr, "gossip-lbsync: %s\n", strings.TrimSuffix(line, "\n")) // nowhere else to say it
		}
		if errors.As(err, &usageError{}) {
			return exitUsage
		}
		if errors.Is(err, record.ErrLocked) {
			return exitLocked
		}
	}
	return code
}

func dispatch(ctx context.Context, args []string, stdout, stderr io.Writer) (int, error) {
	name, opt, err := parse(args)
	if err != nil {
		return exitError, err
	}
	switch name {
	case "help":
		return write(stdout, usage)
	case "version":
		return write(stdout, "gossip-lbsync "+productVersion()+"\n")
	}
	cfg, err := config.Load(opt.config...)
	if err != nil {
		return exitError, err
	}
	if opt.target != "" {
		if cfg.Targets = slices.DeleteFunc(cfg.Targets, func(t config.Target) bool { return t.ID() != opt.target }); len(cfg.Targets) == 0 {
			return exitError, fmt.Errorf("there is no target %q", opt.target)
		}
	}
	return commands[name].run(ctx, invocation{cfg, opt, stdout, stderr})
}

// parse reads the command line; flags may stand before, among and after the arguments.
func parse(args []string) (string, options, error) {
	var opt options
	flags := flag.NewFlagSet("gossip-lbsync", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	flags.Func("config", "", func(path string) error { opt.config = append(opt.config, path); return nil })
	flags.StringVar(&opt.logLevel, "log-level", "info", "")
	flags.StringVar(&opt.logFormat, "log-format", "text", "")
	flags.StringVar(&opt.format, "format", "text", "")
	flags.StringVar(&opt.target, "target", "", "")
	flags.StringVar(&opt.from, "from", "", "")
	flags.StringVar(&opt.set, "set", "", "")
	flags.DurationVar(&opt.timeout, "timeout", time.Minute, "")
	flags.DurationVar(&opt.length, "for", time.Hour, "")
	flags.BoolVar(&opt.noReload, "no-reload", false, "")
	flags.BoolVar(&opt.dryRun, "dry-run", false, "")
	flags.BoolVar(&opt.live, "live", false, "")
	flags.BoolVar(&opt.ahead, "ahead", false, "")

	var words []string
	for rest := args; ; {
		if err := flags.Parse(rest); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return "help", opt, nil
			}
			return "", opt, usagef("%w; see: gossip-lbsync help", err)
		}
		if rest = flags.Args(); len(rest) == 0 {
			break
		}
		words, rest = append(words, rest[0]), rest[1:]
	}
	if len(words) == 0 {
		return "", opt, usagef("no command given; see: gossip-lbsync help")
	}
	name := words[0]
	opt.args = words[1:]
	cmd, ok := commands[name]
	switch {
	case name == "help" || name == "version":
		return name, opt, nil
	case !ok:
		return "", opt, usagef("unknown command %q; see: gossip-lbsync help", name)
	case len(opt.args) > cmd.max:
		return "", opt, usagef("%q is one argument too many; see: gossip-lbsync help", opt.args[cmd.max])
	case len(opt.args) < cmd.min:
		return "", opt, usagef("%s needs %d arguments; see: gossip-lbsync help", name, cmd.min)
	case len(opt.config) == 0:
		return "", opt, usagef("%s needs -config PATH", name)
	case opt.format != "text" && opt.format != "json":
		return "", opt, usagef("-format is %q; want text or json", opt.format)
	case opt.logFormat != "text" && opt.logFormat != "json":
		return "", opt, usagef("-log-format is %q; want text or json", opt.logFormat)
	case opt.timeout <= 0:
		return "", opt, usagef("-timeout is %v; want a time above 0", opt.timeout)
	case opt.length < time.Second || opt.length > override.MaxFor:
		return "", opt, usagef("-for is %v; want %v to %v", opt.length, time.Second, override.MaxFor)
	}
	var misplaced error
	flags.Visit(func(f *flag.Flag) {
		if f.Name != "config" && !slices.Contains(cmd.flags, f.Name) {
			misplaced = usagef("-%s has no effect on %s; see: gossip-lbsync help", f.Name, name)
		}
	})
	return name, opt, misplaced
}

func write(w io.Writer, text string) (int, error) {
	if _, err := io.WriteString(w, text); err != nil {
		return exitError, err
	}
	return exitOK, nil
}
