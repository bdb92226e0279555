package coordinate

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Why a sample is rejected. The texts are Serf's.
var (
	ErrDimensions = errors.New("dimensions aren't compatible")
	ErrInvalid    = errors.New("coordinate is invalid")
)

// RTTError is returned for a round-trip time that cannot be one.
type RTTError struct{ RTT time.Duration }

func (e *RTTError) Error() string {
	return fmt.Sprintf("round trip time not in valid range, duration %v is not a positive value less than %v ", e.RTT, maxRTT)
}

// Client is the node whose coordinate is to be found. It belongs to one goroutine; it reads no clock, and its
// randomness is what it was given.
type Client struct {
	coord       Coordinate
	rng         *rand.Rand
	adjustments [adjustmentWindow]float64 // s, a ring
	next        int                       // slot of adjustments to fill
	latest      map[string][]float64      // s, the newest round trips to each peer
	resets      int
}

// NewClient returns a client at the origin.
func NewClient(rng *rand.Rand) *Client {
	return &Client{coord: New(), rng: rng, latest: make(map[string][]float64)}
}

// Coordinate returns where the node is now.
func (c *Client) Coordinate() Coordinate { return c.coord }

// Resets returns how often the coordinate became no number and began anew.
func (c *Client) Resets() int { return c.resets }

// Forget drops what is remembered of a peer.
func (c *Client) Forget(peer string) { delete(c.latest, peer) }

// Update takes in that a round trip to peer, which says that it is at other, took rtt, from 0 to 10 s. It
// changes nothing if it returns an error.
func (c *Client) Update(peer string, other Coordinate, rtt time.Duration) error {
	if !other.Valid() {
		return ErrInvalid
	}
	if rtt < 0 || rtt > maxRTT {
		return &RTTError{RTT: rtt}
	}
	seconds := c.median(peer, rtt.Seconds())
	c.pull(other, seconds)
	c.adjust(other, seconds)
	c.gravity()
	if !c.coord.Valid() {
		c.resets++
		c.coord = New()
	}
	return nil
}

// median smooths out single slow answers: it returns the median of the newest round trips to peer.
func (c *Client) median(peer string, rtt float64) float64 {
	samples := append(c.latest[peer], rtt)
	if len(samples) > filterSamples {
		samples = samples[1:]
	}
	c.latest[peer] = samples
	return slices.Sorted(slices.Values(samples))[len(samples)/2]
}

// pull is the step of the Vivaldi paper: who is further from the truth and less sure moves more.
func (c *Client) pull(other Coordinate, rtt float64) {
	dist := c.coord.DistanceTo(other).Seconds()
	rtt = max(rtt, zeroThreshold)
	wrong := math.Abs(dist-rtt) / rtt
	weight := c.coord.Error / max(c.coord.Error+other.Error, zeroThreshold)
	c.coord.Error = min(tuneError*weight*wrong+c.coord.Error*(1-tuneError*weight), errorMax)
	c.coord = c.coord.push(tuneMove*weight*(rtt-dist), other, c.rng)
}

// adjust averages by how much the space is wrong about this node.
func (c *Client) adjust(other Coordinate, rtt float64) {
	c.adjustments[c.next] = rtt - c.coord.raw(other)
	c.next = (c.next + 1) % adjustmentWindow
	sum := 0.0
	for _, a := range c.adjustments {
		sum += a
	}
	c.coord.Adjustment = sum / (2 * adjustmentWindow)
}

// gravity keeps the whole cluster from drifting away from the origin.
func (c *Client) gravity() {
	origin := New()
	dist := origin.DistanceTo(c.coord).Seconds()
	c.coord = c.coord.push(-math.Pow(dist/gravityRho, 2), origin, c.rng)
}
