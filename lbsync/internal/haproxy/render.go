// Package haproxy is all that gossip-lbsync knows of HAProxy: how a file of backends looks, how a candidate is
// checked, and how the master process is made to load it. Facts about HAProxy's behaviour are from the lbsync
// design, section 2, where they were tried with the real program.
package haproxy

import (
	"bytes"
	"fmt"
	"hash/fnv"

	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/desired"
)

// Render writes a file of whole backends: a bare server line outside its section would not be understood in
// a file of its own. The same services give the same bytes.
func Render(backends []config.Backend, services map[string]desired.Service) []byte {
	var b bytes.Buffer
	b.WriteString("# Managed by gossip-lbsync. What is changed here by hand is lost.\n")
	for _, be := range backends {
		set := services[be.Service]
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
		ids := IDs(set.Servers)
		for _, s := range set.Servers {
			weight := s.Weight
			if s.Drain {
				weight = 0 // known sessions go on, nothing new comes
			}
			fmt.Fprintf(&b, "    server %s %s id %d weight %d", s.Name, s.HostPort(), ids[s.Name], weight)
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

// maxID is the highest id that HAProxy takes.
const maxID = 1<<31 - 1

// IDs gives each server a number from 1 to 2^31-1 that depends on the names alone, so that consistent hashing
// survives reordering and all balancers agree. Servers are sorted by name; of two whose hashes meet the later
// moves on to the next free number.
func IDs(servers []desired.Server) map[string]uint32 {
	ids := make(map[string]uint32, len(servers))
	taken := make(map[uint32]bool, len(servers))
	for _, s := range servers {
		h := fnv.New32a()
		_, _ = h.Write([]byte(s.Name)) // never fails
		id := 1 + h.Sum32()%(maxID-1)
		for taken[id] {
			id = 1 + id%maxID
		}
		taken[id] = true
		ids[s.Name] = id
	}
	return ids
}

// DefaultCheck is the argument vector that checks a candidate as part of the main configuration. HAProxy
// reads the files as if they were one. Not with -q, which would hide the reasons, too.
func DefaultCheck(main string) []string {
	return []string{"haproxy", "-c", "-f", main, "-f", config.CandidateArg}
}
