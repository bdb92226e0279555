package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapters"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/reconcile"
	"github.com/seed-645ce708/gossip/lbsync/internal/record"
	"github.com/seed-645ce708/gossip/lbsync/internal/source"
	"github.com/seed-645ce708/gossip/lbsync/internal/target"
)

// The exit codes.
const (
	exitOK      = 0
	exitError   = 1
	exitChanges = 2 // diff: there is something to do
	exitHeld    = 3 // once: in step, but something is held for safety's sake
	exitLocked  = 4 // run, once: another process owns the state folder
)

const usage = `gossip-lbsync keeps load balancers in step with the members of a gossip or Serf cluster.

Usage: gossip-lbsync COMMAND -config FILE [flags]

Commands:
  run      follow the agent until SIGTERM or SIGINT
  once     wait until the view has settled, make one pass, and exit
  check    check the configuration, its templates, and what they render, without an agent
  diff     show what a pass would change
  version  print the version
  help     print this

Flags:
  -config FILE        the configuration, HCL or (by the suffix .json) JSON
  -log-level LEVEL    run: debug, info, warn or error; default info
  -log-format FORMAT  run: text or json; default text
  -timeout DURATION   once, diff: how long to wait for the agent and its view; default 1m
  -no-reload          once: write files but tell no balancer; a later run will
  -format FORMAT      diff: text or json; default text

Exit codes: 0 done, in step, no difference; 1 error; 2 diff: something to do;
3 once: something is held for safety's sake; 4 another gossip-lbsync owns the state folder.
`

// options are the flags of all commands.
type options struct {
	config    string
	logLevel  string
	logFormat string
	format    string
	timeout   time.Duration
	noReload  bool
}

// accepts lists the flags that a command knows besides -config.
var accepts = map[string][]string{
	"run":   {"log-level", "log-format"},
	"once":  {"timeout", "no-reload"},
	"check": {},
	"diff":  {"timeout", "format"},
}

// execute runs the command line and returns the exit code.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	code, err := dispatch(ctx, args, stdout, stderr)
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			_, _ = fmt.Fprintf(stderr, "gossip-lbsync: %s\n", strings.TrimSuffix(line, "\n")) // nowhere else to say it
		}
	}
	return code
}

func dispatch(ctx context.Context, args []string, stdout, stderr io.Writer) (int, error) {
	cmd, opt, err := parse(args)
	if err != nil {
		return exitError, err
	}
	switch cmd {
	case "help":
		return write(stdout, usage)
	case "version":
		return write(stdout, "gossip-lbsync "+productVersion()+"\n")
	}
	cfg, err := config.Load(opt.config)
	if err != nil {
		return exitError, err
	}
	switch cmd {
	case "run":
		return run(ctx, cfg, opt, stderr)
	case "once":
		return once(ctx, cfg, opt, stdout, stderr)
	case "check":
		return check(ctx, cfg, stdout)
	default:
		return diff(ctx, cfg, opt, stdout, stderr)
	}
}

// parse reads the command line; flags may stand before and after the command.
func parse(args []string) (string, options, error) {
	var opt options
	flags := flag.NewFlagSet("gossip-lbsync", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	flags.StringVar(&opt.config, "config", "", "")
	flags.StringVar(&opt.logLevel, "log-level", "info", "")
	flags.StringVar(&opt.logFormat, "log-format", "text", "")
	flags.StringVar(&opt.format, "format", "text", "")
	flags.DurationVar(&opt.timeout, "timeout", time.Minute, "")
	flags.BoolVar(&opt.noReload, "no-reload", false, "")

	cmd := ""
	for rest := args; ; {
		if err := flags.Parse(rest); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return "help", opt, nil
			}
			return "", opt, fmt.Errorf("%w; see: gossip-lbsync help", err)
		}
		if rest = flags.Args(); len(rest) == 0 {
			break
		}
		if cmd != "" {
			return "", opt, fmt.Errorf("%q is one argument too many; see: gossip-lbsync help", rest[0])
		}
		cmd, rest = rest[0], rest[1:]
	}
	known, ok := accepts[cmd]
	switch {
	case cmd == "":
		return "", opt, errors.New("no command given; see: gossip-lbsync help")
	case cmd == "help" || cmd == "version":
		return cmd, opt, nil
	case !ok:
		return "", opt, fmt.Errorf("unknown command %q; see: gossip-lbsync help", cmd)
	case opt.config == "":
		return "", opt, fmt.Errorf("%s needs -config FILE", cmd)
	case opt.format != "text" && opt.format != "json":
		return "", opt, fmt.Errorf("-format is %q; want text or json", opt.format)
	case opt.logFormat != "text" && opt.logFormat != "json":
		return "", opt, fmt.Errorf("-log-format is %q; want text or json", opt.logFormat)
	case opt.timeout <= 0:
		return "", opt, fmt.Errorf("-timeout is %v; want a time above 0", opt.timeout)
	}
	var misplaced error
	flags.Visit(func(f *flag.Flag) {
		for _, name := range append(known, "config") {
			if f.Name == name {
				return
			}
		}
		misplaced = fmt.Errorf("-%s has no effect on %s; see: gossip-lbsync help", f.Name, cmd)
	})
	return cmd, opt, misplaced
}

func write(w io.Writer, text string) (int, error) {
	if _, err := io.WriteString(w, text); err != nil {
		return exitError, err
	}
	return exitOK, nil
}

func run(ctx context.Context, cfg *config.Config, opt options, stderr io.Writer) (int, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(opt.logLevel)); err != nil {
		return exitError, fmt.Errorf("-log-level is %q; want debug, info, warn or error", opt.logLevel)
	}
	how := &slog.HandlerOptions{Level: level}
	log := slog.New(slog.NewTextHandler(stderr, how))
	if opt.logFormat == "json" {
		log = slog.New(slog.NewJSONHandler(stderr, how))
	}
	store, code, err := openStore(cfg)
	if err != nil {
		return code, err
	}
	defer func() { _ = store.Close() }() // it only gives back the lock
	watcher := source.New(cfg.Source, log)
	loop, err := build(reconcile.Options{Config: cfg, Source: watcher, Store: store, Log: log}, store)
	if err != nil {
		return exitError, err
	}
	log.Info("following", "agent", cfg.Source.Address, "services", len(cfg.Services), "targets", len(cfg.Targets), "version", productVersion())
	var wg sync.WaitGroup
	wg.Go(func() { _ = watcher.Run(ctx) }) // ends with ctx only
	loop.Run(ctx)
	wg.Wait()
	log.Info("stopped; the balancers go on with what they have")
	return exitOK, nil
}

func once(ctx context.Context, cfg *config.Config, opt options, stdout, stderr io.Writer) (int, error) {
	store, code, err := openStore(cfg)
	if err != nil {
		return code, err
	}
	defer func() { _ = store.Close() }() // it only gives back the lock
	report, err := pass(ctx, cfg, opt, store, func(ctx context.Context, l *reconcile.Loop) (reconcile.Report, error) {
		return l.Once(ctx, !opt.noReload, progress(stderr))
	})
	if err != nil {
		return exitError, err
	}
	if _, err := write(stdout, text(report, false)); err != nil {
		return exitError, err
	}
	switch {
	case report.Err() != nil:
		return exitError, report.Err()
	case report.Held():
		return exitHeld, nil
	default:
		return exitOK, nil
	}
}

func diff(ctx context.Context, cfg *config.Config, opt options, stdout, stderr io.Writer) (int, error) {
	report, err := pass(ctx, cfg, opt, record.Peek(cfg.StateDir), func(ctx context.Context, l *reconcile.Loop) (reconcile.Report, error) {
		return l.Preview(ctx, progress(stderr))
	})
	if err != nil {
		return exitError, err
	}
	out := text(report, true)
	if opt.format == "json" {
		if out, err = asJSON(report); err != nil {
			return exitError, err
		}
	}
	if _, err := write(stdout, out); err != nil {
		return exitError, err
	}
	if report.Err() != nil {
		return exitError, report.Err()
	}
	for _, o := range report.Targets {
		if !o.Plan.Idle() {
			return exitChanges, nil
		}
	}
	return exitOK, nil
}

// progress says on w what a command waits for.
func progress(w io.Writer) func(string) {
	return func(text string) { _, _ = fmt.Fprintln(w, text) } // a courtesy
}

// pass runs the watcher while one pass is made.
func pass(ctx context.Context, cfg *config.Config, opt options, store *record.Store, do func(context.Context, *reconcile.Loop) (reconcile.Report, error)) (reconcile.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, opt.timeout)
	defer cancel()
	watcher := source.New(cfg.Source, nil)
	loop, err := build(reconcile.Options{Config: cfg, Source: watcher, Store: store}, store)
	if err != nil {
		return reconcile.Report{}, err
	}
	watching, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { _ = watcher.Run(watching) }) // ends with its context only
	defer wg.Wait()
	defer stop()
	return do(ctx, loop)
}

// openStore takes the state folder; the code is for the case that it cannot.
func openStore(cfg *config.Config) (*record.Store, int, error) {
	store, err := record.Open(cfg.StateDir)
	if errors.Is(err, record.ErrLocked) {
		return nil, exitLocked, err
	}
	return store, exitError, err
}

func build(o reconcile.Options, store *record.Store) (*reconcile.Loop, error) {
	targets, err := newTargets(o.Config, store)
	if err != nil {
		return nil, err
	}
	for _, t := range targets {
		o.Targets = append(o.Targets, t)
	}
	return reconcile.New(o)
}

func newTargets(cfg *config.Config, store *record.Store) ([]*target.Target, error) {
	var targets []*target.Target
	for _, t := range cfg.Targets {
		driver, err := adapters.New(t, store.Memory(t.ID()))
		if err != nil {
			return nil, err
		}
		targets = append(targets, target.New(t, driver, store))
	}
	return targets, nil
}

// check judges the configuration without an agent: each target is rendered for sample members and shown to
// its balancer.
func check(ctx context.Context, cfg *config.Config, stdout io.Writer) (int, error) {
	targets, err := newTargets(cfg, record.Peek(cfg.StateDir))
	if err != nil {
		return exitError, err
	}
	dir, err := os.MkdirTemp("", "gossip-lbsync-check-*")
	if err != nil {
		return exitError, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a leftover in the temporary folder harms nobody
	var errs []error
	for _, t := range targets {
		errs = append(errs, t.Check(ctx, samples(cfg), dir))
	}
	if err := errors.Join(errs...); err != nil {
		return exitError, err
	}
	return write(stdout, fmt.Sprintf("%s is good: %d services, %d targets\n", cfg.File, len(cfg.Services), len(cfg.Targets)))
}
