package gossip

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/rate"
)

// Bounds of the courier's rounds. They suit news that comes one by one. When much happens at once, and above all when
// hosts are so busy that they take each other for failed, more packets would make it worse: then gossip's own ticks
// carry the news, at Serf's pace.
const (
	courierRate, courierBurst = 1, 4 // rounds a second, and at once
	// hurryPause is between the rounds of somebody who waits for its own news to be out.
	hurryPause = 20 * time.Millisecond
	// defence is how many rounds follow a suspicion against us, which is a matter of moments.
	defence = 3
)

// courier spreads what memberlist has to say, who is there and who has gone, without waiting for the next tick of
// gossip, as pusher does for what Serf has to say. memberlist cannot be told to gossip now, but whatever it sends to a
// member takes along what waits in its queues, and a ping can be asked for. So each member that hears news pings a few
// others at once. How often a piece of news is sent in all stays as it was.
type courier struct {
	roster *roster
	fanout int
	ping   func(to peer) // must not block

	news     chan struct{} // capacity 1
	accusers chan string
	waiting  atomic.Int32 // how many wait for their news to be out
}

func newCourier(r *roster, fanout int, ping func(peer)) *courier {
	return &courier{roster: r, fanout: fanout, ping: ping, news: make(chan struct{}, 1), accusers: make(chan string, courierBurst)}
}

// heard tells that there is something in memberlist's queues. It never blocks.
func (c *courier) heard() {
	select {
	case c.news <- struct{}{}:
	default: // run has not seen the last news yet
	}
}

// accused answers a suspicion: memberlist has put the answer into its queue.
func (c *courier) accused(by string) {
	select {
	case c.accusers <- by:
	default: // so many at once are a sign that packets do not get through
	}
}

// hurry sends rounds in quick succession until done is called: somebody waits for news to be sent as often as it will
// be.
func (c *courier) hurry() (done func()) {
	c.waiting.Add(1)
	c.heard()
	return func() { c.waiting.Add(-1) }
}

// run makes rounds until stop is closed.
func (c *courier) run(stop <-chan struct{}) {
	if c.fanout == 0 {
		return
	}
	budget := rate.Bucket{PerSecond: courierRate, Burst: courierBurst}
	for {
		rounds := 1
		select {
		case <-c.news:
		case by := <-c.accusers:
			if p, ok := c.roster.find(by); ok && budget.Wait(time.Now(), 1) == 0 {
				c.ping(p)
			}
			rounds = defence
		case <-stop:
			return
		}
		if c.waiting.Load() == 0 && !budget.Take(time.Now(), 1) {
			continue
		}
		for n := 0; n < rounds || c.waiting.Load() > 0; n++ {
			if n > 0 && !sleep(hurryPause, stop) {
				return
			}
			if !c.round(n) {
				break
			}
		}
	}
}

// sleep returns false if the end comes first.
func sleep(d time.Duration, stop <-chan struct{}) bool {
	select {
	case <-time.After(d):
		return true
	case <-stop:
		return false
	}
}

// round pings a few members, and returns false if there is none. Those of later rounds leave out the next in the ring,
// who has been pinged in the first.
func (c *courier) round(n int) bool {
	others, _ := c.roster.size()
	k := fanout(c.fanout, others)
	if n > 0 && others > k {
		k++
	}
	to := c.roster.choose(k, rand.IntN) //nolint:gosec // picks peers, protects nothing
	if n > 0 && len(to) > 1 && others > c.fanout {
		to = to[1:]
	}
	for _, p := range to {
		c.ping(p)
	}
	return len(to) > 0
}

// carry pings a member, whose answer does not matter: to find out who has failed is memberlist's own business.
func (g *Gossip) carry(to peer) {
	addr, err := netip.ParseAddrPort(to.addr)
	if err != nil {
		return // cannot be: the roster made it of an address
	}
	g.spawn(func() {
		_, _ = g.list.Ping(to.name, net.UDPAddrFromAddrPort(addr))
	})
}

// listener passes memberlist's log on and listens for the one piece of news that comes in no other way: that memberlist
// defends us against a suspicion. Its answer must reach above all the one who suspects us, before it takes us for failed.
type listener struct {
	next    io.Writer
	accused func(by string)
}

func (l listener) Write(line []byte) (int, error) {
	if _, by, ok := bytes.Cut(line, []byte("memberlist: Refuting a suspect message (from: ")); ok {
		l.accused(string(bytes.TrimSuffix(bytes.TrimSuffix(by, []byte("\n")), []byte(")"))))
	}
	return l.next.Write(line)
}
