package gossip

import (
	"math/rand/v2"
	"strings"
	"time"
)

// settlePauses are between a join and an early exchange of state, and between that and the next, in the mean.
var settlePauses = [...]time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second}

// settle exchanges state with random members soon after a join, in the background, until there is no news. In a burst of
// joins, each joiner has learned from its seed only of those that came before it, and gossip, with everybody to tell of
// everybody, takes its time and leaves gaps. Without this they would wait for the next regular exchange: minutes, in a
// large cluster. The moments are random, so that a thousand that join together do not ask all at once, and whom they
// ask is random, so that nobody is asked by many.
func (g *Gossip) settle() {
	if !g.settling.CompareAndSwap(false, true) {
		return
	}
	g.spawn(func() {
		defer g.settling.Store(false)
		for _, pause := range settlePauses {
			if !sleep(jitter(pause), g.stop) {
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
