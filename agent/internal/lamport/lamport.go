// Package lamport is Serf's logical clock: a counter that grows with every local action and jumps past
// every larger value heard from others, so that later actions carry larger times across the cluster
// (Serf reference 2.1; Lamport, "Time, Clocks, and the Ordering of Events in a Distributed System", 1978).
package lamport

// Time is a point in logical time. It is never compared with wall time.
type Time uint64

// last is where a clock stops: it never wraps round.
const last = ^Time(0)

// Clock is owned by one goroutine. The zero value stands at 0.
type Clock struct{ now Time }

// Time returns the current time.
func (c *Clock) Time() Time { return c.now }

// Increment moves the clock forward by one and returns the new time.
func (c *Clock) Increment() Time {
	if c.now < last {
		c.now++
	}
	return c.now
}

// Witness moves the clock past t if it has not passed it yet. The largest time is witnessed without
// wrapping round: a hostile peer can stop the clock, but never turn it back.
func (c *Clock) Witness(t Time) {
	if t < c.now {
		return
	}
	c.now = t
	c.Increment()
}
