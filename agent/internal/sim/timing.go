package sim

import "time"

// Timing is how fast and how insistently agents talk: memberlist's settings of the same names, and eager push.
type Timing struct {
	GossipInterval time.Duration
	GossipNodes    int
	// GossipToTheDead is how long the dead are still gossiped to and remembered.
	GossipToTheDead time.Duration
	RetransmitMult  int

	ProbeInterval, ProbeTimeout time.Duration
	IndirectChecks              int
	SuspicionMult               int
	SuspicionMaxMult            int
	AwarenessMax                int

	PushPullInterval time.Duration
	TCPTimeout       time.Duration

	// Fanout is to how many members a fresh message of Serf's is sent at once; 0 leaves it to gossip.
	Fanout int
	// LazyMult takes the place of RetransmitMult for events and queries, which are pushed.
	LazyMult int
	// PayloadPause is the least time between two answers to probes that carry a coordinate; 0 lets each carry one.
	PayloadPause time.Duration

	// Settle is when, counted each from the one before, a member that has joined exchanges state again, on average and
	// if members came or went since.
	Settle []time.Duration

	// Probation is what package state calls so; 0 is Serf's way.
	Probation time.Duration

	// Broadcast is how long a leaving agent waits for each of its two messages to be out, and Propagate how long it
	// then stays.
	Broadcast, Propagate time.Duration
}

// SerfLAN is what a stock Serf agent does with -profile=lan.
func SerfLAN() Timing {
	return Timing{
		GossipInterval:   200 * time.Millisecond,
		GossipNodes:      3,
		GossipToTheDead:  30 * time.Second,
		RetransmitMult:   4,
		ProbeInterval:    time.Second,
		ProbeTimeout:     500 * time.Millisecond,
		IndirectChecks:   3,
		SuspicionMult:    4,
		SuspicionMaxMult: 6,
		AwarenessMax:     8,
		PushPullInterval: 30 * time.Second,
		TCPTimeout:       10 * time.Second,
		Broadcast:        5 * time.Second,
		Propagate:        time.Second,
	}
}

// Ours is what our agents do with -profile=lan.
func Ours() Timing {
	t := SerfLAN()
	t.ProbeInterval, t.ProbeTimeout, t.SuspicionMult = 630*time.Millisecond, 250*time.Millisecond, 3
	t.RetransmitMult = 5
	t.Fanout, t.LazyMult, t.PayloadPause = 3, 2, time.Second
	t.Settle = []time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second}
	t.Probation = time.Minute
	return t
}
