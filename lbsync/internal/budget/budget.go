// Package budget limits how often something may be done: a token bucket. It is pure: time is an argument.
package budget

import "time"

// Bucket allows Burst at once and then one each Interval. It begins full.
type Bucket struct {
	Interval time.Duration // 0 allows any number
	Burst    int           // at least 1

	used float64 // tokens taken and not yet come back, at
	at   time.Time
}

// Ready returns the moment from which on one more is allowed; it is not after now if that is at once.
func (b *Bucket) Ready(now time.Time) time.Time {
	b.refill(now)
	if b.Interval <= 0 || b.used+1 <= float64(max(b.Burst, 1))+1e-9 {
		return now
	}
	missing := b.used + 1 - float64(max(b.Burst, 1))
	return now.Add(time.Duration(missing * float64(b.Interval)))
}

// Take takes one, allowed or not.
func (b *Bucket) Take(now time.Time) {
	b.refill(now)
	b.used = min(b.used+1, float64(max(b.Burst, 1)))
}

func (b *Bucket) refill(now time.Time) {
	if b.Interval > 0 && now.After(b.at) {
		b.used = max(0, b.used-float64(now.Sub(b.at))/float64(b.Interval))
	}
	b.at = now
}
