package twemproxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/command"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/generic"
	"github.com/seed-645ce708/gossip/lbsync/internal/reload"
)

// poll is how often a restarting nutcracker is looked at.
const poll = 50 * time.Millisecond

// Adapter implements adapter.Adapter.
type Adapter struct {
	*generic.Adapter
	cfg   config.Target
	stats string
}

// New returns the adapter of a twemproxy target. The only thing it reads is the template, if there is one.
func New(cfg config.Target) (*Adapter, error) {
	base, err := generic.New(cfg)
	if err != nil {
		return nil, err
	}
	return &Adapter{base, cfg, cfg.Twemproxy.Stats}, nil
}

// Traits tells that a restart is dear.
func (a *Adapter) Traits() adapter.Traits {
	t := a.Adapter.Traits()
	t.Disruptive = "cuts all client connections"
	return t
}

// Render writes the pools, or fills the template.
func (a *Adapter) Render(pools adapter.Pools) (adapter.Rendered, error) {
	if a.Templated(0) {
		return a.Adapter.Render(pools)
	}
	return adapter.Rendered{Files: [][]byte{Render(a.cfg.Twemproxy.Pools, pools)}}, nil
}

// Check reads the candidate as nutcracker would, so that there is a reason; makes sure that addresses to listen at
// are free if they are new, for a nutcracker that cannot listen ends; and then lets nutcracker read it, unless a
// check is configured.
func (a *Adapter) Check(ctx context.Context, paths []string, cause adapter.Cause) error {
	text, err := os.ReadFile(paths[0])
	if err != nil {
		return err
	}
	next, err := Parse(text)
	if err != nil {
		return err
	}
	if err := a.free(ctx, next); err != nil {
		return err
	}
	if a.cfg.Files[0].Check != nil {
		return a.Adapter.Check(ctx, paths, cause)
	}
	err = a.Run(ctx, 0, []string{"nutcracker", "-t", "-c", config.CandidateArg}, paths[0], cause)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("%w (it never says why; perhaps this version does not know a setting, or a host to listen at has no address)", err)
	}
	return err
}

// free tells whether the addresses that are not in the present file can be listened at.
func (a *Adapter) free(ctx context.Context, next File) error {
	if len(a.cfg.Reload.Command) == 0 {
		return nil // it need not be this host's
	}
	now, _ := a.installed() // none, or one that is not readable, listens nowhere
	for _, p := range next.Pools {
		if p.Network != "tcp" || slices.ContainsFunc(now.Pools, func(o Pool) bool { return o.Listen == p.Listen }) {
			continue
		}
		l, err := (&net.ListenConfig{}).Listen(ctx, p.Network, p.Listen)
		if err == nil {
			err = l.Close()
		}
		// Other errors may be due to who we are, and not nutcracker.
		if errors.Is(err, syscall.EADDRINUSE) && !a.serves(ctx, p.Name) {
			return fmt.Errorf("pool %q cannot listen at %s: another program does", p.Name, p.Listen)
		}
	}
	return nil
}

// serves tells whether the running nutcracker has a pool of this name: then it may well be who listens.
func (a *Adapter) serves(ctx context.Context, pool string) bool {
	if a.stats == "" {
		return false
	}
	s, err := ReadStats(ctx, a.stats)
	return err == nil && s.Pools[pool] != nil
}

// installed reads the file that is in place.
func (a *Adapter) installed() (File, error) {
	text, err := os.ReadFile(a.cfg.Files[0].Dest)
	if err != nil {
		return File{}, err
	}
	return Parse(text)
}

// Read identifies the running nutcracker by when it started, if its statistics are configured.
func (a *Adapter) Read(ctx context.Context) (adapter.Actual, error) {
	if a.stats == "" {
		return adapter.Actual{}, a.silent(ctx)
	}
	s, err := ReadStats(ctx, a.stats)
	if errors.Is(err, syscall.ECONNREFUSED) {
		if addr := a.accepts(ctx); addr != "" {
			return adapter.Actual{}, fmt.Errorf("nutcracker accepts clients at %s, but no statistics are at %s; correct stats in the restart block, or nutcracker's -a and -s", addr, a.stats)
		}
		return adapter.Actual{}, fmt.Errorf("%w: nothing answers at %s", reload.ErrNotRunning, a.stats)
	}
	if err != nil {
		return adapter.Actual{}, fmt.Errorf("statistics at %s: %w", a.stats, err)
	}
	// It read its file before it began to count, and counts in whole seconds.
	return adapter.Actual{Instance: fmt.Sprintf("since@%d", s.Started.Unix()), Started: s.Started.Add(-time.Second), Version: s.Version}, nil
}

// silent tells that nothing runs, as far as that can be seen without statistics: nobody accepts clients of the pools.
func (a *Adapter) silent(ctx context.Context) error {
	f, _ := a.installed() // without a file nobody knows
	if len(f.Pools) == 0 || len(a.cfg.Reload.Command) == 0 || a.accepts(ctx) != "" {
		return nil
	}
	return fmt.Errorf("%w: nothing accepts clients at %s", reload.ErrNotRunning, f.Pools[0].Listen)
}

// accepts returns the first address of the installed file that accepts a connection; empty if none does.
func (a *Adapter) accepts(ctx context.Context) string {
	f, _ := a.installed() // without a file there is no address
	for _, p := range f.Pools {
		if dial(ctx, p.Network, p.Listen) == nil {
			return p.Listen
		}
	}
	return ""
}

func dial(ctx context.Context, network, addr string) error {
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, addr)
	if err != nil {
		return err
	}
	return conn.Close()
}

// Reload restarts nutcracker, and starts it if it does not run. It is over when statistics of a process that
// started since then have exactly the servers of the file, and each pool accepts clients. Before anything is cut it makes
// sure that this can be seen at all.
func (a *Adapter) Reload(ctx context.Context, cause adapter.Cause) error {
	r := a.cfg.Reload
	want, err := a.installed()
	if err != nil {
		return err
	}
	before, err := a.Read(ctx)
	if err != nil && !errors.Is(err, reload.ErrNotRunning) {
		return err
	}
	// Processes are told apart by the second in which they started, and it must be beyond doubt that the new one did so after
	// the one before, and after the file was written.
	begin := time.Now().Truncate(time.Second).Add(2 * time.Second)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Until(begin)):
	}
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	if _, err := command.Run(ctx, r.Timeout, r.Command, a.Environment(0, cause)...); err != nil {
		return err
	}
	var why error // what was found last, before time ran out
	for {
		now := a.unproved(ctx, want, begin, before.Instance)
		if now == nil {
			return nil
		}
		if deadline, _ := ctx.Deadline(); why == nil || time.Now().Before(deadline) {
			why = now
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s ended well, but within %v: %w", r.Command[0], r.Timeout, why)
		case <-time.After(poll):
		}
	}
}

// unproved says why it is not proved yet that a nutcracker that started after begin serves the file.
func (a *Adapter) unproved(ctx context.Context, want File, begin time.Time, before string) error {
	if a.stats != "" {
		s, err := ReadStats(ctx, a.stats)
		if err != nil {
			return fmt.Errorf("its statistics cannot be read: %w", err)
		}
		if s.Started.Before(begin) {
			return fmt.Errorf("nutcracker still is the process that runs %s", before)
		}
		if why := s.differs(want); why != "" {
			return errors.New(why)
		}
	}
	for _, p := range want.Pools {
		if err := dial(ctx, p.Network, p.Listen); err != nil {
			return fmt.Errorf("pool %q accepts no clients: %w", p.Name, err)
		}
	}
	return nil
}

// Lint says what makes a ring move, or its statistics public.
func (a *Adapter) Lint() []string {
	var advice []string
	for _, p := range a.cfg.Twemproxy.Pools {
		if p.Distribution != "ketama" && !a.Templated(0) {
			advice = append(advice, fmt.Sprintf("pool %q: distribution %s moves nearly all keys when a server comes or goes; ketama moves those of that server", p.Name, p.Distribution))
		}
	}
	host, port, err := net.SplitHostPort(a.stats)
	if err != nil {
		if len(a.cfg.Reload.Command) > 0 {
			advice = append(advice, "without stats in the restart block it cannot be seen what nutcracker has loaded")
		}
		return advice
	}
	ip, err := netip.ParseAddr(host)
	public := host != "localhost" && (err != nil || !ip.IsLoopback())
	if !public {
		// An address of this host that is not the configured one: it answers if nutcracker listens at all of them.
		ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
		defer cancel()
		public = host != "127.7.7.7" && dial(ctx, "tcp", net.JoinHostPort("127.7.7.7", port)) == nil
	}
	if public {
		advice = append(advice, fmt.Sprintf("nutcracker's statistics at port %s can be read from elsewhere, without a key; start it with %s", port, strings.Join([]string{"-a", "127.0.0.1", "-s", port}, " ")))
	}
	return advice
}

var _ adapter.Adapter = (*Adapter)(nil)
