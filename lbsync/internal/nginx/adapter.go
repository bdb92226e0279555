package nginx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/command"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/generic"
	"github.com/seed-645ce708/gossip/lbsync/internal/reload"
)

// handOver is how long old workers may take to hear that they are old, and poll how often they are looked at.
const (
	handOver = 10 * time.Second
	poll     = 20 * time.Millisecond
)

// Adapter implements adapter.Adapter.
type Adapter struct {
	*generic.Adapter
	cfg config.Target
}

// New returns the adapter of an nginx target. The only thing it reads is the template, if there is one.
func New(cfg config.Target) (*Adapter, error) {
	base, err := generic.New(cfg)
	return &Adapter{base, cfg}, err
}

// Render writes the upstreams, or fills the template.
func (a *Adapter) Render(pools adapter.Pools) (adapter.Rendered, error) {
	if a.Templated(0) {
		return a.Adapter.Render(pools)
	}
	return adapter.Rendered{Files: [][]byte{Render(a.cfg.Nginx.Upstreams, pools)}}, nil
}

// Check has nginx read the candidate, unless a check is configured: its whole configuration with the candidate mounted over
// the file where that is possible and wished, or else the candidate alone. What a template makes may belong
// anywhere; only the whole configuration can judge it.
func (a *Adapter) Check(ctx context.Context, paths []string, cause adapter.Cause) error {
	f, n := a.cfg.Files[0], a.cfg.Nginx
	if f.Check != nil {
		return a.Adapter.Check(ctx, paths, cause)
	}
	if n.Precheck == config.PrecheckMount || n.Precheck == config.PrecheckAuto && mountable() {
		err := CheckMounted(ctx, f.Timeout, n.Main, f.Dest, paths[0])
		if n.Precheck == config.PrecheckMount || !errors.Is(err, errNoMount) {
			return err
		}
	}
	if n.Precheck == config.PrecheckNone || a.Templated(0) && n.Precheck == config.PrecheckAuto {
		return nil
	}
	return CheckAlone(ctx, f.Timeout, n.Section, paths[0])
}

// CheckInstalled has nginx read its whole configuration, unless a check is configured.
func (a *Adapter) CheckInstalled(ctx context.Context, cause adapter.Cause) error {
	f := a.cfg.Files[0]
	if f.Installed != nil {
		return a.Adapter.CheckInstalled(ctx, cause)
	}
	return a.Run(ctx, 0, DefaultInstalled(a.cfg.Nginx.Main), f.Dest, cause)
}

// Read identifies the master process and counts the workers that finish what they had before a reload.
func (a *Adapter) Read(ctx context.Context) (adapter.Actual, error) {
	actual, err := a.Adapter.Read(ctx)
	if err != nil || actual.Instance == "" {
		return actual, err
	}
	workers, err := reload.Children(a.cfg.Reload.PIDFile)
	for _, pid := range workers {
		if retired(pid) {
			actual.OldWorkers++
		}
	}
	return actual, err
}

// retired tells whether a worker takes no new connections. It says so in its title.
func retired(pid int) bool {
	title, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && bytes.Contains(title, []byte("is shutting down"))
}

// Reload has nginx load its configuration. Only new workers prove that it did: it takes the signal at once, whatever
// it thinks of the configuration, and tries for 2.5 s to listen at an address that is taken. If there are none, the error has
// what nginx logged meanwhile.
func (a *Adapter) Reload(ctx context.Context, cause adapter.Cause) error {
	path := a.errorLog(ctx)
	mark := size(path)
	before, err := reload.Children(a.cfg.Reload.PIDFile)
	if err != nil && a.cfg.Reload.PIDFile != "" {
		return err
	}
	err = a.Adapter.Reload(ctx, cause)
	if err == nil {
		a.handedOver(ctx, before)
		return nil
	}
	if errors.Is(err, reload.ErrNotRunning) {
		return err
	}
	if said := emergencies(path, mark); said != "" {
		return fmt.Errorf("%w: %s", err, said)
	}
	return err
}

// handedOver waits until the workers of before the reload take no new connections: nginx tells them 0.1 s after it
// started new ones. The reload has succeeded by then, so it does not wait for long.
func (a *Adapter) handedOver(ctx context.Context, before []int) {
	ctx, cancel := context.WithTimeout(ctx, handOver)
	defer cancel()
	for {
		now, err := reload.Children(a.cfg.Reload.PIDFile)
		still := func(pid int) bool { return slices.Contains(now, pid) && !retired(pid) }
		if err != nil || !slices.ContainsFunc(before, still) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(poll):
		}
	}
}

// errorLogPattern finds the error log that a configuration names first.
var errorLogPattern = regexp.MustCompile(`(?m)^\s*error_log\s+"?([^\s;"]+)`)

// errorLog returns the path of nginx's error log; empty if it is none that can be read.
func (a *Adapter) errorLog(ctx context.Context) string {
	b := built(ctx)
	main, path := a.cfg.Nginx.Main, b.errorLog
	if main == "" {
		main = b.main
	}
	if text, err := os.ReadFile(main); err == nil {
		if m := errorLogPattern.FindSubmatch(text); m != nil {
			path = string(m[1])
		}
	}
	if !filepath.IsAbs(path) { // stderr, syslog:, or relative to a prefix that is not known
		return ""
	}
	return path
}

func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// emergencies returns on one line what was logged at that level after the mark.
func emergencies(path string, mark int64) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }() // it was only read
	text, _ := io.ReadAll(io.NewSectionReader(f, mark, command.MaxOutput))
	said := command.Reason(string(text))
	if !strings.Contains(said, "[emerg]") {
		return ""
	}
	return said
}

// Lint says what keeps a reload from being proved.
func (a *Adapter) Lint() []string {
	if r := a.cfg.Reload; len(r.Command) > 0 && r.PIDFile == "" {
		return []string{"reload has no pid_file: nginx's exit code does not tell whether it loaded the file, its new workers do"}
	}
	return nil
}

var _ adapter.Adapter = (*Adapter)(nil)
