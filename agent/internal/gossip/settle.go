package gossip

import (
	"math/rand/v2"
	"strings"
	"time"
)

// When a member that has joined exchanges state again: once nobody has come or gone for quietTime, since there is little
// to be won in the middle of a burst, but after settleLimit at the latest. If the exchange brought news, it repeats.
const (
	quietTime   = 250 * time.Millisecond
	settleLimit = 5 * time.Second
	settleMost  = 4
)

// settle exchanges state with a random member a moment after a join, in the background, and goes on until there is no
// news. In a burst of joins, each joiner has learned from its seed only of those that came before it, and gossip leaves
// gaps, which without this would wait for the next regular exchange: minutes, in a large cluster. The moment is
// random, so that a thousand that join together do not ask all at once, and whom they ask is random, so that nobody is
// asked by many.
func (g *Gossip) settle() {
	if !g.settling.CompareAndSwap(false, true) {
		return
	}
	g.spawn(func() {
		defer g.settling.Store(false)
		for range settleMost {
			if !g.awaitQuiet() {
				return
			}
			p, news := g.roster.confidant(rand.IntN) //nolint:gosec // picks peers, protects nothing
			if !news {
				return
			}
			if _, err := g.list.Join([]string{joinAddr(p.name, p.addr)}); err != nil {
				g.cfg.Log.Debug("early exchange of state failed", "node", p.name, "err", err)
			}
		}
	})
}

// awaitQuiet waits until members have neither come nor gone for a while, and returns false if the end came first.
func (g *Gossip) awaitQuiet() bool {
	for limit := time.Now().Add(settleLimit); ; {
		before := g.roster.changes()
		select {
		case <-time.After(jitter(quietTime)):
		case <-g.stop:
			return false
		}
		if g.roster.changes() == before || time.Now().After(limit) {
			return true
		}
	}
}

// jitter returns a random time between half of mean and one and a half.
func jitter(mean time.Duration) time.Duration {
	return mean/2 + rand.N(mean) //nolint:gosec // spreads load, protects nothing
}

// joinAddr is a member of known name and address as memberlist takes it. A name with a slash is left out, since
// memberlist would split it in the wrong place.
func joinAddr(name, addr string) string {
	if name == "" || strings.Contains(name, "/") {
		return addr
	}
	return name + "/" + addr
}
