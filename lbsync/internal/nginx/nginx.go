// Package nginx is all that gossip-lbsync knows of nginx: how a file of upstreams looks, and how a candidate
// is checked before it is installed. Facts about nginx's behaviour were tried with the real program.
package nginx

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/command"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
)

// Render writes a file of upstream blocks for nginx's http section. The same pools give the same bytes.
func Render(upstreams []config.Upstream, pools adapter.Pools) []byte {
	var b bytes.Buffer
	b.WriteString("# Managed by gossip-lbsync. What is changed here by hand is lost.\n")
	for _, up := range upstreams {
		set := pools[up.Service]
		fmt.Fprintf(&b, "\nupstream %s {\n", up.Name)
		if up.Method != "" { // must stand before keepalive
			fmt.Fprintf(&b, "    %s;\n", up.Method)
		}
		for _, s := range set.Servers {
			fmt.Fprintf(&b, "    server %s weight=%d", s.HostPort(), s.Weight)
			if up.Options != "" {
				b.WriteString(" " + up.Options)
			}
			if s.Backup {
				b.WriteString(" backup")
			}
			if s.Draining() {
				b.WriteString(" down")
			}
			fmt.Fprintf(&b, "; # %s\n", s.Name)
		}
		if len(set.Servers) == 0 {
			// nginx refuses an upstream without servers.
			b.WriteString("    server 127.0.0.1:1 down; # there are none\n")
		}
		for _, line := range up.Lines {
			fmt.Fprintf(&b, "    %s\n", line)
		}
		if up.Keepalive > 0 {
			fmt.Fprintf(&b, "    keepalive %d;\n", up.Keepalive)
		}
		b.WriteString("}\n")
	}
	return b.Bytes()
}

// CheckAlone has nginx read the candidate inside an otherwise empty configuration: that finds what is wrong
// with it without touching the live files.
func CheckAlone(ctx context.Context, limit time.Duration, candidate string) error {
	dir, err := os.MkdirTemp("", "gossip-lbsync-nginx-*")
	if err != nil {
		return fmt.Errorf("nginx check: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // a leftover in the temporary folder harms nobody
	candidate, err = filepath.Abs(candidate)
	if err != nil {
		return fmt.Errorf("nginx check: %w", err)
	}
	main := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(main, []byte(wrapper(dir, candidate)), 0o600); err != nil {
		return fmt.Errorf("nginx check: %w", err)
	}
	_, err = command.Run(ctx, limit, []string{"nginx", "-t", "-q", "-p", dir, "-c", main})
	return err
}

// wrapper is the smallest configuration that includes the candidate. All paths that nginx would otherwise
// make or write point into dir, so that any user can run the check.
func wrapper(dir, candidate string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "pid %s;\nerror_log stderr;\nevents {}\nhttp {\n    access_log off;\n", quote(filepath.Join(dir, "pid")))
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&b, "    %s_temp_path %s;\n", kind, quote(filepath.Join(dir, kind)))
	}
	fmt.Fprintf(&b, "    include %s;\n}\n", quote(candidate))
	return b.String()
}

// quote makes one word of a path for nginx, which takes a dollar sign as it is here.
func quote(path string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(path) + `"`
}

// DefaultInstalled is the argument vector that checks the whole configuration once the file is in place.
// main empty means nginx's own default.
func DefaultInstalled(main string) []string {
	argv := []string{"nginx", "-t", "-q"}
	if main != "" {
		argv = append(argv, "-c", main)
	}
	return argv
}
