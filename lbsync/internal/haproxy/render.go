// Package haproxy is all that gossip-lbsync knows of HAProxy: how a file of backends looks, how a candidate is
// checked, and how the master process is made to load it. Facts about HAProxy's behaviour are from the lbsync
// design, section 2, where they were tried with the real program.
package haproxy

import (
	"bytes"
	"fmt"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
)

// Render writes a file of whole backends: a bare server line outside its section would not be understood in
// a file of its own. The same pools give the same bytes.
func Render(backends []config.Backend, pools adapter.Pools) []byte {
	var b bytes.Buffer
	b.WriteString("# Managed by gossip-lbsync. What is changed here by hand is lost.\n")
	for _, be := range backends {
		set := pools[be.Service]
		fmt.Fprintf(&b, "\nbackend %s\n", be.Name)
		fmt.Fprintf(&b, "    mode %s\n", be.Mode)
		fmt.Fprintf(&b, "    balance %s\n", be.Balance)
		// A server that dies between two checks costs a retry elsewhere, not an error to the client.
		b.WriteString("    option redispatch 1\n")
		for _, s := range set.Servers {
			if s.Backup {
				b.WriteString("    option allbackups\n") // or else only the first of them is used
				break
			}
		}
		for _, line := range be.Lines {
			fmt.Fprintf(&b, "    %s\n", line)
		}
		for _, s := range set.Servers {
			weight := s.Weight
			if s.Draining() {
				weight = 0 // known sessions go on, nothing new comes
			}
			fmt.Fprintf(&b, "    server %s %s id %d weight %d", s.Name, s.HostPort(), s.ID, weight)
			if be.Options != "" {
				b.WriteString(" " + be.Options)
			}
			if s.Backup {
				b.WriteString(" backup")
			}
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

// DefaultCheck is the argument vector that checks a candidate as part of the main configuration. HAProxy
// reads the files as if they were one. Not with -q, which would hide the reasons, too.
func DefaultCheck(main string) []string {
	return []string{"haproxy", "-c", "-f", main, "-f", config.CandidateArg}
}
