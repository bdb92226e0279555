package trust

import (
	"math"
	"time"
)

// Damping is how members that come and go are kept out of answers.
type Damping struct {
	// HalfLife is how long a penalty takes to halve; 0 turns damping off.
	HalfLife time.Duration
	// Suppress is the penalty above which a member is kept out, Reuse the one at which it is let in again. Each return
	// from failed is 1.
	Suppress, Reuse float64
	// MaxSuppress bounds for how long a member stays out after its last return.
	MaxSuppress time.Duration
}

// DefaultDamping keeps out who came back three times within about two minutes, or goes on coming back more often than
// every two minutes, for some three minutes from the last time and ten at most. A crash, or a restart that went wrong
// once, changes nothing.
func DefaultDamping() Damping {
	return Damping{HalfLife: 2 * time.Minute, Suppress: 2, Reuse: 1, MaxSuppress: 10 * time.Minute}
}

// penalty is what a member's flapping has earned it.
type penalty struct {
	value float64
	at    time.Time // when it had that value
	since time.Time // of the suppression; zero if there is none
}

func (p *penalty) add(now time.Time, d Damping) {
	if d.HalfLife <= 0 {
		return
	}
	_, _, out := p.suppressed(now, d)
	ceiling := d.Reuse * math.Exp2(float64(d.MaxSuppress)/float64(d.HalfLife))
	p.value, p.at = math.Min(p.now(now, d)+1, ceiling), now
	switch {
	case out: // goes on
	case p.value > d.Suppress:
		p.since = now
	default:
		p.since = time.Time{}
	}
}

func (p *penalty) now(now time.Time, d Damping) float64 {
	if p.value == 0 {
		return 0
	}
	return p.value * math.Exp2(-float64(now.Sub(p.at))/float64(d.HalfLife))
}

// suppressed tells since when and, as things stand, until when the member is kept out, if it is.
func (p *penalty) suppressed(now time.Time, d Damping) (since, until time.Time, out bool) {
	if p.since.IsZero() || d.HalfLife <= 0 {
		return time.Time{}, time.Time{}, false
	}
	until = p.at.Add(time.Duration(math.Log2(p.value/d.Reuse) * float64(d.HalfLife)))
	return p.since, until, now.Before(until)
}

// forgotten is the penalty that no longer counts.
const forgotten = 0.05

// forgiven tells that the member starts afresh.
func (p *penalty) forgiven(now time.Time, d Damping) bool {
	_, _, out := p.suppressed(now, d)
	return !out && (p.value == 0 || d.HalfLife <= 0 || p.now(now, d) < forgotten)
}
