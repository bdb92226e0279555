package haproxy

import (
	"slices"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/haproxy/conf"
)

func TestLint(t *testing.T) {
	t.Parallel()
	const good = "global\n stats socket /run/admin.sock mode 600 level admin expose-fd listeners\n hard-stop-after 1m\ndefaults\n option idle-close-on-response\n"
	tests := []struct {
		name, main string
		change     func(*config.Target)
		want       []string // parts of the advice, in order
	}{
		{"nothing to say", good, func(*config.Target) {}, nil},
		{"a bare configuration", "global\n", func(c *config.Target) { c.Reload = config.Reload{PIDFile: "x"} }, []string{"stats socket /run/admin.sock level admin", "hard-stop-after", "idle-close-on-response", "expose-fd"}},
		{"an operator's socket", strings.Replace(good, "level admin", "level operator", 1), func(*config.Target) {}, []string{"line 2: `stats socket /run/admin.sock` lacks `level admin`"}},
		{"tcp", strings.Replace(good, "/run/admin.sock", "ipv4@127.0.0.1:9999", 1), func(c *config.Target) { c.HAProxy.Runtime.Socket = "127.0.0.1:9999" }, nil},
		{"no runtime", good, func(c *config.Target) { c.HAProxy.Runtime.Socket = "" }, []string{"every change of members is a reload"}},
		{"a state file that nobody keeps fresh", strings.Replace(good, "defaults", " server-state-file /s\ndefaults\n load-server-state-from-file global", 1), func(*config.Target) {}, []string{"line 4: HAProxy believes"}},
		{"a state file that HAProxy does not load", good, func(c *config.Target) { c.HAProxy.StateFile = "/s" }, []string{"no `server-state-file /s`"}},
		{"a static algorithm", good, func(c *config.Target) { c.HAProxy.Backends[0].Balance = "source" }, []string{`set servers = "slots"`}},
		{"a consistent one", good, func(c *config.Target) {
			c.HAProxy.Backends[0].Balance, c.HAProxy.Backends[0].Lines = "source", []string{"hash-type consistent"}
		}, nil},
		{"no checks, a cookie", good, func(c *config.Target) { c.HAProxy.Backends[0].Options = "cookie x" }, []string{"no `check`", "takes no `cookie`"}},
		{"the same backend twice", good + "backend web\n", func(*config.Target) {}, []string{"has a backend web, too"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := config.Target{Reload: config.Reload{Master: "/run/master.sock"}, HAProxy: &config.HAProxy{
				Runtime:  config.Runtime{Socket: "/run/admin.sock"},
				Backends: []config.Backend{{Name: "web", Service: "web", Mode: "http", Balance: "roundrobin", Options: "check", Servers: config.ServersNamed}},
			}}
			tt.change(&cfg)
			got := lint(conf.Parse(tt.main), cfg)
			if len(got) != len(tt.want) || !slices.EqualFunc(got, tt.want, strings.Contains) {
				t.Errorf("got %q, want parts %q", got, tt.want)
			}
		})
	}
}
