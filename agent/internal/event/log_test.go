package event_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/lamport"
)

func user(n int) *event.User { return &event.User{LTime: lamport.Time(n), Name: fmt.Sprint("e", n)} }

func TestLogReadsInOrderFromSubscription(t *testing.T) {
	t.Parallel()
	log := event.NewLog(8)
	log.Append(user(1))
	c := log.Subscribe()
	log.Append(user(2))
	log.Append(user(3))
	for n := 2; n <= 3; n++ {
		e, err := c.Next(t.Context())
		if err != nil || e.(*event.User).LTime != lamport.Time(n) {
			t.Fatalf("Next = %v, %v, want event %d", e, err, n)
		}
	}
	if e, err := c.TryNext(); e != nil || err != nil {
		t.Fatalf("TryNext at the end = %v, %v, want nothing", e, err)
	}
	if n := log.Appended(); n != 3 {
		t.Errorf("Appended = %d, want 3", n)
	}
}

func TestLogTellsOnceWhatWasLost(t *testing.T) {
	t.Parallel()
	log := event.NewLog(4)
	c := log.Subscribe()
	for n := range 10 {
		log.Append(user(n))
	}
	_, err := c.Next(t.Context())
	var lost *event.LostError
	if !errors.As(err, &lost) || lost.Lost != 6 {
		t.Fatalf("Next = %v, want 6 lost", err)
	}
	for n := 6; n < 10; n++ {
		e, err := c.Next(t.Context())
		if err != nil || e.(*event.User).LTime != lamport.Time(n) {
			t.Fatalf("Next = %v, %v, want event %d", e, err, n)
		}
	}
}

func TestLogCloseEndsReadersAfterTheLastEvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := event.NewLog(4)
		early, waiting := log.Subscribe(), log.Subscribe()
		log.Append(user(1))
		if _, err := waiting.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error)
		go func() {
			_, err := waiting.Next(t.Context())
			ended <- err
		}()
		synctest.Wait()
		log.Close()
		log.Close()
		log.Append(user(2))
		if err := <-ended; !errors.Is(err, event.ErrLogClosed) {
			t.Errorf("a waiting reader got %v, want ErrLogClosed", err)
		}
		if e, err := early.Next(t.Context()); err != nil || e.(*event.User).LTime != 1 {
			t.Errorf("Next = %v, %v, want the event from before Close", e, err)
		}
		if _, err := early.Next(t.Context()); !errors.Is(err, event.ErrLogClosed) {
			t.Errorf("Next = %v, want ErrLogClosed", err)
		}
	})
}

func TestLogContextEndsWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := event.NewLog(0)
		c := log.Subscribe()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() {
			_, err := c.Next(ctx)
			ended <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Next = %v, want context.Canceled", err)
		}
	})
}

// TestLogManyReaders checks with several writers that each reader sees every event or is told of its loss.
func TestLogManyReaders(t *testing.T) {
	t.Parallel()
	const writers, each, readers = 4, 500, 8
	log := event.NewLog(64)
	var reading, writing sync.WaitGroup
	for range readers {
		c := log.Subscribe()
		reading.Go(func() {
			var seen uint64
			for {
				_, err := c.Next(t.Context())
				var lost *event.LostError
				switch {
				case errors.Is(err, event.ErrLogClosed):
					if seen != writers*each {
						t.Errorf("a reader accounts for %d events, want %d", seen, writers*each)
					}
					return
				case errors.As(err, &lost):
					seen += lost.Lost
				case err != nil:
					t.Error(err)
					return
				default:
					seen++
				}
			}
		})
	}
	for range writers {
		writing.Go(func() {
			for n := range each {
				log.Append(user(n))
			}
		})
	}
	writing.Wait()
	log.Close()
	reading.Wait()
}

func BenchmarkLogAppendAndRead(b *testing.B) {
	log := event.NewLog(0)
	c := log.Subscribe()
	e := user(1)
	b.ReportAllocs()
	for b.Loop() {
		log.Append(e)
		if _, err := c.TryNext(); err != nil {
			b.Fatal(err)
		}
	}
}
