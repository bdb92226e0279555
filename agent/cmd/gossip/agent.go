package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/seed-645ce708/gossip/agent"
	"github.com/seed-645ce708/gossip/agent/internal/config"
	"github.com/seed-645ce708/gossip/agent/internal/telemetry"
)

const (
	// leaveSpare is how long a leave on a signal may take beside the two broadcast timeouts in it. Serf gives up after 3 s
	// (Serf reference 3.5), so that a busy host's agent seems to have failed.
	leaveSpare = 5 * time.Second
	// gcPercent is how much the heap may grow between two collections, in place of Go's 100. Small agents have less
	// than 1 MiB of live data, but Go lets any heap grow to 4 MiB, scaled by this. In a cluster of 30 it saves 2 of
	// 16 MiB resident, at no processor time that shows (docs/performance.md).
	gcPercent = 50
	// startGCPercent takes its place for startGCTime: an agent that joins hears of everything at once, and would collect
	// all the time while others wait for it.
	startGCPercent = 400
	startGCTime    = 10 * time.Second
	// stopTimeout is how long taking the agent down may take once it has left, or is to go at once.
	stopTimeout = 5 * time.Second
)

func agentCommand() *command {
	return &command{
		name:     "agent",
		args:     "[options]",
		synopsis: "Runs an agent",
		help: `Runs an agent, which is this host's member of the cluster, until it is interrupted or told to leave.

Settings come from files, then from flags. SIGHUP reads them again; SIGINT leaves the cluster gracefully; SIGTERM ends
the agent at once, unless leave_on_terminate is set. docs/configuration.md describes every
setting, also those that only files have.

An event handler is [FILTER=]COMMAND. FILTER is a comma-separated list of member-join, member-leave, member-failed,
member-update, member-reap, user, user:NAME, query, query:NAME, or * for all events.`,
		setup: func(c *cli, fs *flag.FlagSet) action {
			src := config.Flags(fs)
			return func(ctx context.Context, args []string) error {
				if len(args) > 0 {
					fmt.Fprintf(c.stderr, "gossip agent: ignoring what is not a flag: %s\n", strings.Join(args, " "))
				}
				return c.runAgent(ctx, src)
			}
		},
		options: func(w io.Writer, _ *flag.FlagSet) error {
			if _, err := io.WriteString(w, "\nOptions:\n\n"); err != nil {
				return err
			}
			return config.PrintFlags(w)
		},
		signals: true,
	}
}

// process is one run of "gossip agent".
type process struct {
	*cli
	src     *config.Source
	cfg     config.Config // as obeyed now
	agent   *agent.Agent
	signals chan os.Signal
}

// loadConfig reads files and flags.
func loadConfig(src *config.Source) (cfg config.Config, warnings []string, err error) {
	if cfg, err = src.Load(); err != nil {
		return cfg, nil, err
	}
	warnings, err = cfg.Complete()
	return cfg, warnings, err
}

// collectGarbage sets how eagerly that is done, until the returned function is called.
func collectGarbage() (stop func() bool) {
	debug.SetGCPercent(startGCPercent)
	return time.AfterFunc(startGCTime, func() {
		debug.SetGCPercent(gcPercent)
		debug.FreeOSMemory()
	}).Stop
}

func (c *cli) runAgent(ctx context.Context, src *config.Source) error {
	if os.Getenv("GOGC") == "" {
		defer collectGarbage()()
	}
	p := &process{cli: c, src: src, signals: make(chan os.Signal, 8)}
	signal.Notify(p.signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(p.signals)

	cfg, warnings, err := loadConfig(src)
	for _, w := range warnings {
		p.say("%s", w)
	}
	if err != nil {
		return fatal("", err)
	}
	p.cfg = cfg
	p.say("Starting gossip agent...")
	p.agent, err = agent.New(cfg, agent.Options{LogOutput: p.logOutput(), HoldLog: true, Version: productVersion()})
	if err != nil {
		return fatal("Failed to setup the gossip agent: ", err)
	}
	figures, err := telemetry.Start(telemetry.Config{
		StatsiteAddr: cfg.StatsiteAddr,
		StatsdAddr:   cfg.StatsdAddr,
		Dump:         p.stderr,
		Log:          p.agent.Logger("metrics"),
	})
	if err != nil {
		return fatal("", err)
	}
	defer figures.Stop()
	if err := p.start(ctx); err != nil {
		return err
	}
	p.banner()
	if err := p.agent.ReleaseLog(); err != nil {
		return p.end(fatal("", err))
	}
	return p.end(p.wait(ctx))
}

// say prints a line about the state of things.
func (p *process) say(format string, args ...any) { _ = p.printf("==> "+format+"\n", args...) }

// complain prints an error that does not end the agent.
func (p *process) complain(format string, args ...any) {
	fmt.Fprintln(p.stderr, oneLine(fmt.Errorf("==> "+format, args...)))
}

// fatal gives an error that ends the agent Serf's form.
func fatal(prefix string, err error) error {
	text := err.Error()
	if prefix == "" {
		first, size := utf8.DecodeRuneInString(text)
		text = string(unicode.ToUpper(first)) + text[size:]
	}
	return fmt.Errorf("==> %s%s", prefix, text)
}

// logOutput indents log lines as Serf does, unless they are for programs.
func (p *process) logOutput() io.Writer {
	if p.cfg.LogFormat == config.LogJSON {
		return p.stdout
	}
	return indenter{p.stdout}
}

// indenter writes each line, which comes in one Write, behind four spaces.
type indenter struct{ w io.Writer }

func (i indenter) Write(line []byte) (int, error) {
	if _, err := i.w.Write(append([]byte("    "), line...)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// start starts the agent; a signal in the meantime ends the attempt.
func (p *process) start(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	started := make(chan error, 1)
	go func() { started <- p.agent.Start(ctx) }()
	for {
		select {
		case err := <-started:
			if errors.Is(err, agent.ErrSyslog) {
				return fatal("", err)
			}
			if err != nil {
				return fatal("Failed to start the gossip agent: ", err)
			}
			return nil
		case sig := <-p.signals:
			if sig == syscall.SIGHUP {
				continue // the settings are being read just now
			}
			p.say("Caught signal: %v", sig)
			cancel()
			if <-started == nil { // it was faster
				return p.end(errSilent)
			}
			return errSilent
		}
	}
}

// banner tells what runs where (Serf reference 3.1).
func (p *process) banner() {
	rows := [][2]string{
		{"Node name", quoted(p.cfg.NodeName)},
		{"Bind addr", quoted(p.agent.BindAddr())},
	}
	if told := p.agent.GossipAddr(); p.cfg.Advertise != "" || told != p.agent.BindAddr() { // such as that behind 0.0.0.0
		rows = append(rows, [2]string{"Advertise addr", quoted(told)})
	}
	rows = append(rows, [2]string{"RPC addr", quoted(p.agent.RPCAddr())})
	dns := "off"
	if addr := p.agent.DNSAddr(); addr != "" {
		dns = quoted(addr)
	}
	rows = append(rows,
		[2]string{"DNS addr", dns},
		[2]string{"Encrypted", fmt.Sprint(p.cfg.EncryptKey != "" || p.cfg.KeyringFile != "")},
		[2]string{"Snapshot", fmt.Sprint(p.cfg.SnapshotPath != "")},
		[2]string{"Profile", p.cfg.Profile},
		[2]string{"Message Compression Enabled", fmt.Sprint(p.cfg.EnableCompression)},
	)
	if p.cfg.Discover != "" {
		rows = append(rows, [2]string{"mDNS cluster", p.cfg.Discover})
	}
	p.say("gossip agent running!")
	for _, row := range rows {
		_ = p.printf("    %28s %s\n", row[0]+":", row[1])
	}
	if len(p.cfg.StartJoin) > 0 {
		p.say("Joining cluster...(replay: %v)", p.cfg.ReplayOnJoin)
		_ = p.printf("    Join completed. Synced with %d initial agents\n", p.agent.JoinedAtStart())
	}
	_ = p.printf("\n")
	p.say("Log data will now stream in as it occurs:")
	_ = p.printf("\n")
}

func quoted(text string) string { return "'" + text + "'" }

// wait returns when the agent is to be taken down: nil for exit code 0 (Serf reference 3.5).
func (p *process) wait(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return errSilent
		case <-p.agent.Done():
			if err := p.agent.Err(); err != nil {
				return fatal("", err)
			}
			return nil
		case sig := <-p.signals:
			p.say("Caught signal: %v", sig)
			var graceful bool
			switch sig {
			case syscall.SIGHUP:
				p.reload()
				continue
			case os.Interrupt:
				graceful = !p.cfg.SkipLeaveOnInterrupt
			default:
				graceful = p.cfg.LeaveOnTerminate
			}
			if !graceful {
				return errSilent
			}
			return p.leave(ctx)
		}
	}
}

// leave leaves the cluster, until it takes too long or the second signal comes.
func (p *process) leave(ctx context.Context) error {
	p.say("Gracefully shutting down agent...")
	ctx, cancel := context.WithTimeout(ctx, 2*p.cfg.BroadcastTimeout+leaveSpare)
	defer cancel()
	left := make(chan error, 1)
	go func() { left <- p.agent.Leave(ctx) }()
	for {
		select {
		case err := <-left:
			if err != nil {
				p.complain("Error: could not leave gracefully: %w", err)
				return errSilent
			}
			return nil
		case <-ctx.Done():
			return errSilent
		case sig := <-p.signals:
			if sig != syscall.SIGHUP {
				return errSilent
			}
		}
	}
}

// reload reads files and flags again. What cannot be read changes nothing.
func (p *process) reload() {
	p.say("Reloading configuration...")
	cfg, warnings, err := loadConfig(p.src)
	for _, w := range warnings {
		p.say("%s", w)
	}
	if err == nil {
		cfg, err = p.agent.Reload(cfg)
	}
	if err != nil {
		p.complain("Failed to reload configs: %w (the old ones stay)", err)
		return
	}
	p.cfg = cfg
}

// end takes the agent down and returns result, or what went wrong on the way if result is none. A signal that comes
// meanwhile ends the wait.
func (p *process) end(result error) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- p.agent.Stop(ctx) }()
	for {
		select {
		case err := <-stopped:
			if err != nil && result == nil {
				return fatal("", err)
			}
			return result
		case sig := <-p.signals:
			if sig != syscall.SIGHUP {
				return errSilent
			}
		}
	}
}
