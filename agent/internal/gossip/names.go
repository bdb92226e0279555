package gossip

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/memberlist"
)

// maxTold bounds the refused names that are remembered for having been told of; further ones are refused in silence.
const maxTold = 1024

// nameGuard keeps members with names that break a rule (Serf reference 2.13), and those without an address (1.9), out
// of our view of the cluster. It refuses them one by one: refusing the whole push/pull, as a MergeDelegate does, would let one bad name anywhere in
// a cluster keep us from joining it.
type nameGuard struct {
	check func(name string) error // nil takes every name
	log   hclog.Logger

	mu   sync.Mutex
	told map[string]bool
}

var _ memberlist.AliveDelegate = (*nameGuard)(nil)

func newNameGuard(check func(string) error, log hclog.Logger) *nameGuard {
	return &nameGuard{check: check, log: log, told: map[string]bool{}}
}

var errName = errors.New("it is refused here")

// judge tells what is wrong with a peer.
func (g *nameGuard) judge(peer *memberlist.Node) error {
	if n := len(peer.Addr); n != net.IPv4len && n != net.IPv6len {
		return fmt.Errorf("an address of %d bytes is neither IPv4 nor IPv6", n)
	}
	if g.check == nil {
		return nil
	}
	if err := g.check(peer.Name); err != nil {
		return fmt.Errorf("%w (validate_node_names is on)", err)
	}
	return nil
}

// NotifyAlive returns an error if the peer is to be ignored. memberlist asks each time it hears of the peer, several
// times a minute; the log is told once.
func (g *nameGuard) NotifyAlive(peer *memberlist.Node) error {
	err := g.judge(peer)
	if err == nil {
		return nil
	}
	g.mu.Lock()
	first := !g.told[peer.Name] && len(g.told) < maxTold
	if first {
		g.told[peer.Name] = true
	}
	g.mu.Unlock()
	if first {
		g.log.Warn("ignoring a member", "member", peer.Name, "addr", peer.Address(), "err", err)
	}
	return errName
}

// quiet drops what memberlist itself logs for each refusal.
type quiet struct{ next io.Writer }

func (q quiet) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("ignoring alive message for '")) && bytes.HasSuffix(line, []byte(": "+errName.Error()+"\n")) {
		return len(line), nil
	}
	return q.next.Write(line)
}
