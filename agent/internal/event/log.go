package event

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// DefaultLogSize is how many events a Log keeps unless told otherwise: about what two minutes of a busy
// cluster bring, and twice Serf's stream queue.
const DefaultLogSize = 1024

// ErrLogClosed is what a cursor returns once it has read the last event of a closed log.
var ErrLogClosed = errors.New("event log is closed")

// LostError tells a reader that it fell behind: Lost events were overwritten before it read them. It
// continues with the oldest event that is left.
type LostError struct{ Lost uint64 }

func (e *LostError) Error() string {
	return fmt.Sprintf("fell behind: %d events were lost", e.Lost)
}

// Log keeps the newest events in order for any number of readers, each at its own pace. Whoever appends
// never waits; a reader that falls behind is told so and how much it lost. All methods may be called from
// any goroutine.
type Log struct {
	mu     sync.Mutex
	ring   []Event
	next   uint64        // sequence number of the next event; ring holds the len(ring) before it
	wake   chan struct{} // closed on the next change; nil while no reader waits
	closed bool
}

// NewLog returns a log that keeps the newest size events; 0 or less means DefaultLogSize.
func NewLog(size int) *Log {
	if size <= 0 {
		size = DefaultLogSize
	}
	return &Log{ring: make([]Event, size)}
}

// Append adds e. After Close it does nothing.
func (l *Log) Append(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.ring[l.next%uint64(len(l.ring))] = e
	l.next++
	l.changed()
}

// Close ends all readers once they have read what is there. It may be called more than once.
func (l *Log) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.changed()
}

// Appended returns how many events were ever appended.
func (l *Log) Appended() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next
}

// changed wakes the waiting readers. The caller holds mu.
func (l *Log) changed() {
	if l.wake != nil {
		close(l.wake)
		l.wake = nil
	}
}

// Subscribe returns a cursor that reads what is appended from now on. It holds no resource and needs no
// closing.
func (l *Log) Subscribe() *Cursor {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &Cursor{log: l, next: l.next}
}

// Cursor is one reader's place in a Log. It belongs to one goroutine at a time.
type Cursor struct {
	log  *Log
	next uint64
}

// Next waits for the next event. It returns a *LostError, once, when events were lost since the last call,
// ErrLogClosed at the end of a closed log, and ctx's error when ctx ends, even if there is more to read.
func (c *Cursor) Next(ctx context.Context) (Event, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		e, wake, err := c.read()
		if e != nil || err != nil {
			return e, err
		}
		select {
		case <-wake:
		case <-ctx.Done():
		}
	}
}

// TryNext is Next without waiting: it returns no event and no error when there is nothing to read yet.
func (c *Cursor) TryNext() (Event, error) {
	e, _, err := c.read()
	return e, err
}

// read returns the next event, an error, or a channel that is closed when reading is worth another try.
func (c *Cursor) read() (Event, <-chan struct{}, error) {
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	size := uint64(len(l.ring))
	if lag := l.next - c.next; lag > size {
		c.next = l.next - size
		return nil, nil, &LostError{Lost: lag - size}
	}
	if c.next < l.next {
		e := l.ring[c.next%size]
		c.next++
		return e, nil, nil
	}
	if l.closed {
		return nil, nil, ErrLogClosed
	}
	if l.wake == nil {
		l.wake = make(chan struct{})
	}
	return nil, l.wake, nil
}
