// Package coordinate is Serf's network coordinates: each node keeps a point in a space of eight dimensions,
// moved a little with each round trip measured to another node, so that the distance between two points
// estimates the round-trip time between two nodes that never spoke (Serf reference 2.12; Dabek et al.,
// "Vivaldi: A Decentralized Network Coordinate System", SIGCOMM 2004; the adjustment term and the pull to
// the origin are from Ledlie, Gardner and Seltzer, "Network Coordinates in the Wild", NSDI 2007).
//
// Coordinate and Client are pure mathematics; Cache adds a mutex and the form in which coordinates travel in
// acks, and is what the gossip adapter and RPC use. The package imports none of ours.
package coordinate

import (
	"math"
	"math/rand/v2"
	"time"
)

// Dimensions of the space, besides the height (Serf reference 2.12; seconds are the unit of all lengths).
const Dimensions = 8

// The constants of Serf reference 2.12. All nodes of a cluster must agree on Dimensions; the others only
// shape how quickly and smoothly one node settles.
const (
	errorMax         = 1.5   // least confidence, and where a node begins
	tuneError        = 0.25  // CE of the Vivaldi paper: weight of a new sample in the error estimate
	tuneMove         = 0.25  // CC: how far one sample moves the coordinate
	adjustmentWindow = 20    // samples that the adjustment averages
	heightMin        = 10e-6 // s: no access link is faster
	filterSamples    = 3     // round trips to one peer of which the median counts
	gravityRho       = 150.0 // s: how far from the origin the pull to it becomes noticeable
	zeroThreshold    = 1e-6  // s: what is nearer counts as the same place
	maxRTT           = 10 * time.Second
)

// Coordinate is a place in the space. It is a plain value; compare with ==.
type Coordinate struct {
	Vec        [Dimensions]float64 // s
	Error      float64             // confidence, 0 (certain) to 1.5; no unit
	Adjustment float64             // s, added to distances to correct for where the space is no true picture
	Height     float64             // s, from the core of the network to this node
}

// New returns the coordinate a node begins with: the origin, with the least confidence.
func New() Coordinate { return Coordinate{Error: errorMax, Height: heightMin} }

// Valid reports whether every part is a finite number.
func (c Coordinate) Valid() bool {
	for _, x := range c.Vec {
		if !finite(x) {
			return false
		}
	}
	return finite(c.Error) && finite(c.Adjustment) && finite(c.Height)
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// DistanceTo estimates the round-trip time between two nodes. It is never negative, whatever heights a peer
// claims.
func (c Coordinate) DistanceTo(o Coordinate) time.Duration {
	d := c.raw(o)
	if adjusted := d + c.Adjustment + o.Adjustment; adjusted > 0 {
		d = adjusted
	}
	if d *= float64(time.Second); d >= math.MaxInt64 {
		return math.MaxInt64 // far out of any real network; the conversion would be undefined
	}
	return time.Duration(max(d, 0))
}

// raw is the distance without the adjustments, in seconds.
func (c Coordinate) raw(o Coordinate) float64 {
	diff := minus(c.Vec, o.Vec)
	return magnitude(diff) + c.Height + o.Height
}

// push moves c by force seconds away from o, or towards o if force is negative.
func (c Coordinate) push(force float64, o Coordinate, rng *rand.Rand) Coordinate {
	unit, mag := direction(c.Vec, o.Vec, rng)
	for i := range c.Vec {
		c.Vec[i] += unit[i] * force
	}
	if mag > zeroThreshold {
		c.Height = max((c.Height+o.Height)*force/mag+c.Height, heightMin)
	}
	return c
}

// direction returns the unit vector that points from b to a, and their distance. Two points in the same place
// get a random direction and distance 0, so that they can part.
func direction(a, b [Dimensions]float64, rng *rand.Rand) ([Dimensions]float64, float64) {
	diff := minus(a, b)
	if mag := magnitude(diff); mag > zeroThreshold {
		return scale(diff, 1/mag), mag
	}
	for i := range diff {
		diff[i] = rng.Float64() - 0.5
	}
	if mag := magnitude(diff); mag > zeroThreshold {
		return scale(diff, 1/mag), 0
	}
	return [Dimensions]float64{1}, 0
}

func minus(a, b [Dimensions]float64) [Dimensions]float64 {
	for i := range a {
		a[i] -= b[i]
	}
	return a
}

func scale(a [Dimensions]float64, by float64) [Dimensions]float64 {
	for i := range a {
		a[i] *= by
	}
	return a
}

func magnitude(a [Dimensions]float64) float64 {
	sum := 0.0
	for _, x := range a {
		sum += x * x
	}
	return math.Sqrt(sum)
}
