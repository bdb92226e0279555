package core

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestEventLimit(t *testing.T) {
	t.Parallel()
	l := newEventLimit()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	send := func(n, size int) (sent int, err error) {
		for range n {
			if err = l.admit(now, size); err != nil {
				return sent, err
			}
			l.passed(now, size)
			sent++
		}
		return sent, nil
	}
	n, err := send(eventBurst+eventReserve+1, 60)
	var limit *EventRateError
	if !errors.As(err, &limit) || n != eventBurst+eventReserve {
		t.Fatalf("a burst of %d passed, then %v", n, err)
	}
	if !strings.HasPrefix(err.Error(), "too many user events: ") || !strings.HasSuffix(err.Error(), "try again in 1ms") {
		t.Errorf("refusal: %v", err)
	}
	now = now.Add(100 * time.Millisecond)
	if n, err = send(1000, 60); err == nil || n < eventRate/10 || n > eventRate/10+2 {
		t.Errorf("%d in a tenth of a second, then %v", n, err)
	}
	now = now.Add(time.Hour)
	if n, _ = send(10000, 1024); n < eventBurst/5 || n > eventBurst/5+eventReserve {
		t.Errorf("a burst of %d large ones", n)
	}
	// Another agent takes everything, and still ours is heard from time to time.
	ours := 0
	for range 10000 {
		now = now.Add(time.Millisecond)
		l.passed(now, 60)
		for range 4 {
			l.passed(now, 60)
		}
		if l.admit(now, 60) == nil {
			l.passed(now, 60)
			ours++
		}
	}
	if ours < 9*eventReserve {
		t.Errorf("%d events in ten seconds beside a noisy agent", ours)
	}
}
