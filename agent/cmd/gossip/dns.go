package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/seed-645ce708/gossip/agent/client"
	"github.com/seed-645ce708/gossip/agent/internal/config"
	"github.com/seed-645ce708/gossip/agent/internal/dnsbridge"
	"github.com/seed-645ce708/gossip/agent/internal/logs"
	"github.com/seed-645ce708/gossip/agent/internal/mirror"
)

func dnsCommand() *command {
	return &command{
		name:     "dns",
		args:     "[options]",
		synopsis: "Answers DNS where no agent runs; exports, checks and connects the zone",
		help: `Answers DNS as an agent does, from the members that an agent elsewhere knows, of gossip or Serf, or from a file that
'gossip members -format json' wrote. It runs until it is interrupted; on SIGHUP it takes over keys, certificate and secrets, and who
may transfer the zone and is notified.

Until the agent has listed its members the answer is SERVFAIL. While it cannot be reached, what was known last is
answered, marked as stale, for -dns-stale-limit; then SERVFAIL again. The file is read anew when it changes; if it is
broken then, the last good content stays.`,
		setup: func(c *cli, fs *flag.FlagSet) action {
			src := zoneFlags(c, fs, config.DNSFlags)
			return func(ctx context.Context, args []string) error {
				if len(args) > 0 {
					return usagef("there is no 'gossip dns %s'", args[0])
				}
				return c.serveDNS(ctx, src)
			}
		},
		options: dnsOptions,
		subs: []*command{
			dnsCheckCommand(),
			dnsDSCommand(),
			dnsExportCommand(),
			dnsKeygenCommand(),
			dnsSnippetCommand(),
		},
	}
}

const (
	// maxPause is the longest pause before the next attempt to reach the agent: clients wait for its answers.
	maxPause = 2 * time.Second
	// notReady goes with SERVFAIL while there are no members to answer from.
	notReady = "the agent that tells of the members cannot be reached, or has not joined its cluster yet"
)

// zoneSource is where the members of a zone come from, and how the zone is made of them.
type zoneSource struct {
	rpc      *rpcOptions
	authFile string
	members  string // a file
	node     string
	settings *config.Source
}

// zoneFlags defines the flags of a source; settings defines those of the zone's settings.
func zoneFlags(c *cli, fs *flag.FlagSet, settings func(*flag.FlagSet) *config.Source) *zoneSource {
	s := &zoneSource{rpc: c.rpcFlags(fs)}
	fs.StringVar(&s.authFile, "rpc-auth-file", "", "`FILE` that holds the token of the agent's RPC")
	fs.StringVar(&s.members, "members-file", "", "`FILE` to take the members from instead of an agent, as 'gossip members -format json' writes it")
	fs.StringVar(&s.node, "node", "", "`NAME` of the member on whose host this runs; it is named in the SOA record")
	s.settings = settings(fs)
	return s
}

// dnsOptions is printOptions with what the flags of settings take.
func dnsOptions(w io.Writer, fs *flag.FlagSet) error {
	var rows [][]string
	fs.VisitAll(func(f *flag.Flag) {
		arg, usage := flag.UnquoteUsage(f)
		if setting := config.FlagArg(f.Name); setting != "" && !strings.Contains(f.Usage, "`") {
			arg = setting
		}
		rows = append(rows, []string{strings.TrimSpace("-" + f.Name + " " + arg), usage})
	})
	_, err := fmt.Fprintf(w, "\nOptions:\n\n%s\n", indent(columns(rows)))
	return err
}

// load reads what the settings' files, the flags and the token's file say.
func (s *zoneSource) load(c *cli) (config.Config, client.Config, error) {
	cfg, warnings, err := loadConfig(s.settings)
	for _, w := range warnings {
		fmt.Fprintln(c.stderr, w)
	}
	agent := s.rpc.config()
	if err != nil {
		return cfg, agent, err
	}
	if s.members != "" && s.rpc.addr != "" {
		return cfg, agent, usagef("-members-file and -rpc-addr exclude each other")
	}
	if s.authFile != "" {
		token, err := os.ReadFile(s.authFile)
		if err != nil {
			return cfg, agent, fmt.Errorf("-rpc-auth-file: %w", err)
		}
		if agent.AuthKey = strings.TrimSpace(string(token)); agent.AuthKey == "" {
			return cfg, agent, fmt.Errorf("-rpc-auth-file: %s is empty", s.authFile)
		}
	}
	return cfg, agent, nil
}

// serveDNS answers until ctx ends.
func (c *cli) serveDNS(ctx context.Context, src *zoneSource) error {
	// From the start, since a hang-up that nobody awaits ends the process.
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	cfg, agent, err := src.load(c)
	if err != nil {
		return err
	}
	level, err := logs.ParseLevel(cfg.LogLevel)
	if err != nil {
		return err
	}
	lines := logs.New(logs.Options{Level: level, Format: logs.Format(cfg.LogFormat), Output: c.stderr})
	log := lines.Logger("dns")

	m := mirror.New(mirror.Config{Local: src.node, StaleLimit: cfg.DNSStaleLimit, FlapHalfLife: cfg.FlapHalfLife, Log: log})
	settings, err := dnsbridge.Settings(cfg, productVersion())
	if err != nil {
		return err
	}
	settings.Ready, settings.Server.NotReady, settings.Log = m.Ready, notReady, log
	if settings.Addr, settings.Server.TLSAddr, err = cfg.DNSListen(); err != nil {
		return err
	}
	if settings.Addr == "" {
		return usagef("-dns-addr must say where to listen")
	}
	bridge, err := dnsbridge.New(settings, m.Store())
	if err != nil {
		return err
	}
	defer func() { _ = bridge.Close() }() // for the error that comes before the one at the end
	var follow func(context.Context)
	if src.members != "" {
		file := mirror.Open(src.members)
		if err := m.Load(file); err != nil {
			return err
		}
		follow = func(ctx context.Context) { m.FollowFile(ctx, file) }
	} else {
		watcher := client.NewWatcher(client.WatcherConfig{Client: agent, MaxBackoff: maxPause})
		follow = func(ctx context.Context) {
			var running sync.WaitGroup
			running.Go(func() { _ = watcher.Run(ctx) }) // its error is ctx's
			m.Follow(ctx, watcher)
			running.Wait()
		}
	}
	if err := bridge.Start(); err != nil {
		return err
	}
	from := cmp.Or(src.members, agent.Addr)
	if err := c.printf("==> Serving DNS at %s for %s, from %s\n", bridge.Addr(), cfg.DNSZone, from); err != nil {
		return err
	}
	var running sync.WaitGroup
	running.Go(func() {
		onHangup(ctx, hangup, func() {
			next, err := c.reloadDNS(src, cfg, bridge, log)
			if err != nil {
				log.Error("failed to reload, so all stays as it was", "error", err)
				return
			}
			cfg = next
			if level, err := logs.ParseLevel(cfg.LogLevel); err == nil { // checked when it was read
				lines.SetLevel(level)
			}
			log.Info("configuration reloaded")
		})
	})
	follow(ctx)
	running.Wait()
	return bridge.Close()
}

// onHangup calls f on each signal until ctx ends.
func onHangup(ctx context.Context, hangup <-chan os.Signal, f func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			f()
		}
	}
}

// reloadDNS reads settings and files again, takes over what an agent would, and returns the settings in use then.
func (c *cli) reloadDNS(src *zoneSource, cfg config.Config, bridge *dnsbridge.Bridge, log hclog.Logger) (config.Config, error) {
	read, _, err := src.load(c)
	if err != nil {
		return cfg, err
	}
	next := cfg.Reload(read)
	settings, err := dnsbridge.Settings(next, productVersion())
	if err != nil {
		return cfg, err
	}
	commit, err := bridge.Prepare(settings)
	if err != nil {
		return cfg, err
	}
	commit()
	kept := slices.DeleteFunc(cfg.Kept(read), func(name string) bool { // a file may be the agent's, with more than is for here
		return !strings.HasPrefix(name, "dns_") && !strings.HasPrefix(name, "log_") && name != "flap_half_life"
	})
	if len(kept) > 0 {
		log.Warn("settings that changed are taken over by a restart only", "settings", strings.Join(kept, ", "))
	}
	return next, nil
}
