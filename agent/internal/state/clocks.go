package state

import "github.com/seed-645ce708/gossip/agent/internal/lamport"

// maxJump is how far one message may move a clock. Real clusters never come near it: it is a million actions
// each second for over an hour. A time further ahead is a mistake or an attack, and to follow it
// would take the clock to its end, after which everything legitimate looks old. Such a message is
// dropped and the clock moves by maxJump only, so that an agent that was wrong to doubt still catches up.
const maxJump = 1 << 32

// maxTrusted is the largest time that the first push/pull may bring: an agent that has just started knows
// nothing, so it takes the cluster's word, short of times from which the clock could not go on.
const maxTrusted = 1 << 63

// Clocks are the current values of the three Lamport clocks: the next local action of each kind is stamped
// with them.
type Clocks struct{ Member, Event, Query lamport.Time }

type clocks struct {
	member, event, query lamport.Clock
	synced               bool // a push/pull has been merged
}

func newClocks() clocks {
	var c clocks
	c.member.Increment()
	c.event.Increment()
	c.query.Increment()
	return c
}

// Clocks returns the Lamport clocks.
func (s *State) Clocks() Clocks {
	return Clocks{Member: s.clocks.member.Time(), Event: s.clocks.event.Time(), Query: s.clocks.query.Time()}
}

// restore witnesses the clocks of an earlier life (reference 2.1, 2.14).
func (s *State) restore(in Restore) {
	s.clocks.member.Witness(in.Member)
	s.clocks.event.Witness(in.Event)
	s.clocks.query.Witness(in.Query)
	s.events.min = max(s.events.min, successor(in.Event))
	s.queries.min = max(s.queries.min, successor(in.Query))
}

// witness moves the clock past t, and reports whether t is believable.
func (s *State) witness(c *lamport.Clock, t lamport.Time) bool {
	limit := c.Time() + maxJump
	if limit < c.Time() {
		limit = ^lamport.Time(0)
	}
	if t > limit {
		c.Witness(limit)
		s.count("serf.clock.implausible", "")
		s.logf(Warn, "dropped a message from the far future: its Lamport time is %d, ours is %d", t, c.Time())
		return false
	}
	c.Witness(t)
	return true
}

// witnessRemote witnesses a clock that a push/pull carries: the peer's next time, not one that it has used.
func (s *State) witnessRemote(c *lamport.Clock, next lamport.Time) {
	switch {
	case next == 0:
	case !s.clocks.synced && next <= maxTrusted:
		c.Witness(next - 1)
	default:
		s.witness(c, next-1)
	}
}

// successor is t+1, but never wraps round.
func successor(t lamport.Time) lamport.Time {
	if t == ^lamport.Time(0) {
		return t
	}
	return t + 1
}
