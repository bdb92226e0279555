// Package rate is the token bucket that bounds what an agent sends: pure arithmetic on the time it is given. It
// imports nothing of ours.
package rate

import "time"

// Bucket allows PerSecond tokens a second on average, and Burst at once after a pause. It starts full. It is not safe
// for concurrent use.
type Bucket struct {
	PerSecond float64 // above zero; may be changed at any time
	Burst     float64 // at least the largest amount that is ever taken at once

	missing float64   // tokens short of full
	last    time.Time // when missing was right
}

func (b *Bucket) refill(now time.Time) {
	if gone := now.Sub(b.last); gone > 0 {
		b.missing = max(0, b.missing-gone.Seconds()*b.PerSecond)
		b.last = now
	}
}

// Take takes n tokens if there are so many, and reports whether there were.
func (b *Bucket) Take(now time.Time, n float64) bool {
	b.refill(now)
	if b.missing+n > b.Burst {
		return false
	}
	b.missing += n
	return true
}

// Drain takes n tokens, or all if there are fewer.
func (b *Bucket) Drain(now time.Time, n float64) {
	b.refill(now)
	b.missing = min(b.missing+n, b.Burst)
}

// Wait returns how long it takes until n tokens are there if nobody takes any; 0 if they are.
func (b *Bucket) Wait(now time.Time, n float64) time.Duration {
	b.refill(now)
	short := b.missing + n - b.Burst
	if short <= 0 {
		return 0
	}
	return time.Duration(short / b.PerSecond * float64(time.Second))
}
