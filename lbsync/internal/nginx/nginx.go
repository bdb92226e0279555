// Package nginx is all that gossip-lbsync knows of nginx: how a file of upstreams looks, how a candidate is checked
// before it is installed, and what proves a reload. Facts about nginx's behaviour were tried with the real program.
package nginx

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
)

// Render writes a file of upstream blocks for nginx's http or stream section. The same pools give the same bytes.
func Render(upstreams []config.Upstream, pools adapter.Pools) []byte {
	var b bytes.Buffer
	b.WriteString("# Managed by gossip-lbsync. What is changed here by hand is lost.\n")
	for _, up := range upstreams {
		set := pools.Services[up.Service]
		fmt.Fprintf(&b, "\nupstream %s {\n", up.Name)
		if up.Method != "" { // must stand before keepalive
			fmt.Fprintf(&b, "    %s;\n", up.Method)
		}
		// nginx wants at least one server that is no backup.
		onlyBackups := !slices.ContainsFunc(set.Servers, func(s pool.Server) bool { return !s.Backup && !s.Draining() })
		for _, s := range set.Servers {
			fmt.Fprintf(&b, "    server %s weight=%d", s.HostPort(), s.Weight)
			if up.Options != "" {
				b.WriteString(" " + up.Options)
			}
			switch {
			case s.Draining(): // there is no other way to say that nothing new goes there
				b.WriteString(" down")
			case s.Backup && !onlyBackups:
				b.WriteString(" " + backup(up.Method))
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

// backup is the parameter of a server that waits for all others to fail. Some methods know none: then it is not used.
func backup(method string) string {
	name, _, _ := strings.Cut(method, " ")
	switch name {
	case "hash", "ip_hash", "random":
		return "down"
	}
	return "backup"
}
