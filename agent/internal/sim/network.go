package sim

import (
	"math/rand/v2"
	"time"
)

// Network is how packets fare.
type Network struct {
	// Each packet takes DelayMin, and longer by a random time with an exponential distribution of the mean
	// DelayJitter.
	DelayMin, DelayJitter time.Duration
	// Loss and Duplication are the shares of packets that are lost and that arrive twice. Segments of streams are
	// not lost but come later.
	Loss, Duplication float64
}

// LAN is a network within one site: half a millisecond one way.
func LAN() Network {
	return Network{DelayMin: 300 * time.Microsecond, DelayJitter: 200 * time.Microsecond}
}

// rto is the least time after which TCP sends a segment again.
const rto = 200 * time.Millisecond

func (n *Network) delay(r *rand.Rand) time.Duration {
	return n.DelayMin + time.Duration(float64(n.DelayJitter)*r.ExpFloat64())
}

// segment is how long a segment of a stream takes to arrive, with what TCP repeats.
func (n *Network) segment(r *rand.Rand, loss float64) time.Duration {
	d := n.delay(r)
	for again := rto; loss > 0 && r.Float64() < loss && again < time.Minute; again *= 2 {
		d += again
	}
	return d
}
