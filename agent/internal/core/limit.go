package core

import (
	"fmt"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/rate"
)

// How many user events a cluster is let carry, in shares: an event takes one for itself and one more for each
// eventShare bytes. Every agent hears every event, so each knows how busy the cluster is: events of others count.
// When they take it all, an agent may still send eventReserve a second of its own, so that one that is out of hand
// does not silence the others.
const (
	eventRate    = 4096
	eventBurst   = 1024
	eventShare   = 256
	eventReserve = 16
)

// EventRateError refuses a user event because the cluster is busy with others.
type EventRateError struct{ Wait time.Duration }

func (e *EventRateError) Error() string {
	return fmt.Sprintf("too many user events: the cluster carries %d a second; try again in %v", eventRate, e.Wait)
}

// eventLimit decides whether a user event may be sent.
type eventLimit struct{ all, reserve rate.Bucket }

func newEventLimit() eventLimit {
	return eventLimit{
		all:     rate.Bucket{PerSecond: eventRate, Burst: eventBurst},
		reserve: rate.Bucket{PerSecond: eventReserve, Burst: eventReserve},
	}
}

func shares(size int) float64 { return float64(1 + size/eventShare) }

// admit returns an *EventRateError if an event of that many bytes is too much.
func (l *eventLimit) admit(now time.Time, size int) error {
	n := shares(size)
	wait := l.all.Wait(now, n)
	if wait <= 0 || l.reserve.Take(now, min(n, eventReserve)) {
		return nil
	}
	return &EventRateError{max(wait.Round(time.Millisecond), time.Millisecond)}
}

// passed counts an event that everyone gets, whoever sent it.
func (l *eventLimit) passed(now time.Time, size int) { l.all.Drain(now, shares(size)) }
