package snapshot

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/lamport"
)

const (
	// tickInterval is how often the member clock is looked at and what is buffered is flushed, so that a
	// crash loses no more than this. (Serf flushes only with its next line.)
	tickInterval = 500 * time.Millisecond
	// queueSize is how many events may wait for the disk, as in Serf.
	queueSize = 2048
)

// ErrClosed is returned for what is asked of a Writer after Close.
var ErrClosed = errors.New("snapshot is closed")

// Config sets up a Writer.
type Config struct {
	Path string
	// Rejoin keeps what is known of the cluster although the agent leaves it (rejoin_after_leave).
	Rejoin bool
	// Clock returns the current time of the member clock. The writer's goroutine calls it.
	Clock  func() lamport.Time
	Logger hclog.Logger // nil logs nothing
	// Observe, if set, is told how long each append ("appendLine") and compaction ("compact") took.
	Observe func(operation string, took time.Duration)
	Files   FS // nil means the real file system
}

// Writer keeps a snapshot up to date. Its goroutine alone touches the file; all methods may be called from
// any goroutine.
type Writer struct {
	journal journal
	clock   func() lamport.Time

	events  chan event.Event
	leaving chan chan error
	quit    chan struct{}
	done    chan struct{}
	dropped atomic.Uint64
	once    sync.Once
	err     error // of the last flush; read after done
}

// Open replays the snapshot and starts to write to it. Close ends the Writer.
func Open(cfg Config) (*Writer, Previous, error) {
	if cfg.Files == nil {
		cfg.Files = osFS{}
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	if cfg.Observe == nil {
		cfg.Observe = func(string, time.Duration) {}
	}
	prev, complete, err := replayFile(cfg.Files, cfg.Path, cfg.Rejoin, func(line string) {
		cfg.Logger.Warn("Unrecognized snapshot line: " + line)
	})
	if err != nil {
		return nil, Previous{}, err
	}
	if prev.IgnoredLeave {
		cfg.Logger.Info("Ignoring previous leave in snapshot")
	}
	w := &Writer{
		journal: journal{path: cfg.Path, files: cfg.Files, rejoin: cfg.Rejoin, log: cfg.Logger, observe: cfg.Observe},
		clock:   cfg.Clock,
		events:  make(chan event.Event, queueSize),
		leaving: make(chan chan error),
		quit:    make(chan struct{}),
		done:    make(chan struct{}),
	}
	w.journal.takeOver(prev)
	if err := w.journal.open(complete); err != nil {
		return nil, Previous{}, err
	}
	go w.run()
	return w, prev, nil
}

// Record notes an event. It never waits: if the disk is so slow that 2048 events wait, e is dropped and
// counted, which costs no more than a name that is found again by gossip, or an event that is handled again.
func (w *Writer) Record(e event.Event) {
	select {
	case w.events <- e:
	default:
		w.dropped.Add(1)
	}
}

// Dropped returns how many events were dropped.
func (w *Writer) Dropped() uint64 { return w.dropped.Load() }

// Leave writes down, after everything recorded before, that the agent leaves its cluster, and waits until that
// is on the disk. What is recorded later is ignored.
func (w *Writer) Leave(ctx context.Context) error {
	answer := make(chan error, 1)
	select {
	case w.leaving <- answer:
	case <-w.done:
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("write leave to snapshot: %w", ctx.Err())
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return fmt.Errorf("write leave to snapshot: %w", ctx.Err())
	}
}

// Close writes what was recorded before, and waits until it is on the disk. It may be called more than once.
func (w *Writer) Close() error {
	w.once.Do(func() { close(w.quit) })
	<-w.done
	return w.err
}

func (w *Writer) run() {
	defer close(w.done)
	tick := time.NewTicker(tickInterval)
	defer tick.Stop()
	for {
		select {
		case e := <-w.events:
			w.journal.record(time.Now(), e, w.clock())
		case <-tick.C:
			now := time.Now()
			w.journal.recordClock(now, w.clock())
			w.journal.flush(now)
		case answer := <-w.leaving:
			w.drain()
			answer <- w.journal.leave(time.Now())
		case <-w.quit:
			w.drain()
			w.journal.recordClock(time.Now(), w.clock())
			w.err = w.journal.close(time.Now())
			return
		}
	}
}

// drain records what waits now.
func (w *Writer) drain() {
	for range len(w.events) {
		w.journal.record(time.Now(), <-w.events, w.clock())
	}
}
