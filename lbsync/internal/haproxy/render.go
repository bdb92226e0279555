// Package haproxy is all that gossip-lbsync knows of HAProxy: how a file of backends looks, how a candidate is
// checked, and how the master process is made to load it. Facts about HAProxy's behaviour are from the lbsync
// design, section 2, where they were tried with the real program.
package haproxy

import (
	"bytes"
	"fmt"
	"net/netip"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
)

// write renders a file of whole backends: a bare server line outside its section would not be understood in
// a file of its own. The same pools give the same bytes.
func write(backends []config.Backend, pools adapter.Pools, slots *slots) []byte {
	var b bytes.Buffer
	b.WriteString("# Managed by gossip-lbsync. What is changed here by hand is lost.\n")
	for _, be := range backends {
		set := pools.Services[be.Service]
		fmt.Fprintf(&b, "\nbackend %s\n", be.Name)
		fmt.Fprintf(&b, "    mode %s\n", be.Mode)
		fmt.Fprintf(&b, "    balance %s\n", be.Balance)
		// A server that dies between two checks costs a retry elsewhere, not an error to the client.
		b.WriteString("    option redispatch 1\n")
		// Or else only the first backup is used. It stands here always, for a change of it would be a reload.
		b.WriteString("    option allbackups\n")
		for _, line := range be.Lines {
			fmt.Fprintf(&b, "    %s\n", line)
		}
		if be.Servers != config.ServersSlots {
			for _, s := range set.Servers {
				writeServer(&b, be, s.Name, s.ID, s)
				b.WriteByte('\n')
			}
			continue
		}
		for i, member := range slots.of(be.Name).holders() {
			id := uint32(i + 1) // small: there are at most some thousands
			if s, ok := set.Server(member); ok {
				writeServer(&b, be, slotName(i+1), id, s)
				fmt.Fprintf(&b, " # %s\n", s.Name)
				continue
			}
			writeServer(&b, be, slotName(i+1), id, pool.Server{Addr: placeholder.Addr(), Port: placeholder.Port(), Weight: slotWeight})
			b.WriteString(" disabled\n")
		}
	}
	return b.Bytes()
}

// placeholder is the address of a slot that nobody has: a port that nothing listens on.
var placeholder = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 1)

// slotWeight is the weight of free slots. Static algorithms keep it until a reload, so it is that of members
// that say nothing of theirs.
const slotWeight = 100

func writeServer(b *bytes.Buffer, be config.Backend, name string, id uint32, s pool.Server) {
	weight := s.Weight
	if s.Draining() {
		weight = 0 // known sessions go on, nothing new comes
	}
	fmt.Fprintf(b, "    server %s %s id %d weight %d", name, s.HostPort(), id, weight)
	if be.Options != "" {
		b.WriteString(" " + be.Options)
	}
	if s.Backup {
		b.WriteString(" backup")
	}
}

// DefaultCheck is the argument vector that checks a candidate as part of the main configuration. HAProxy
// reads the files as if they were one. Not with -q, which would hide the reasons, too.
func DefaultCheck(main string) []string {
	return []string{"haproxy", "-c", "-f", main, "-f", config.CandidateArg}
}
