package handler

import (
	"sync"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/event"
)

// worker runs one command, one event at a time, in order. Its goroutine is loop.
type worker struct {
	runner  *Runner
	command string
	wake    chan struct{} // capacity one: look at the queue again

	mu     sync.Mutex
	queue  []event.Event
	closed bool // nothing is pushed any more
	full   bool // the overflow was logged and the queue has not been empty since
	totals Totals
}

// push queues e; if the queue is full the oldest waiting event goes.
func (w *worker) push(e event.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		w.runner.cfg.Watch.Dropped(e, w.command)
		return
	}
	if len(w.queue) >= w.runner.cfg.Queue {
		w.runner.cfg.Watch.Dropped(w.queue[0], w.command)
		w.queue = w.queue[1:]
		w.totals.Dropped++
		w.runner.dropped.Add(1)
		if !w.full {
			w.full = true
			w.runner.cfg.Logger.Error("Script is too slow, dropping the oldest waiting events",
				"script", w.command, "waiting", len(w.queue)+1)
		}
	}
	w.queue = append(w.queue, e)
	w.nudge()
}

// nudge makes loop look again. The caller holds mu.
func (w *worker) nudge() {
	select {
	case w.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// close lets loop end once the queue is empty.
func (w *worker) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.nudge()
}

// retire drops the queue and lets loop end.
func (w *worker) retire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.drop()
	w.nudge()
}

// drop empties the queue. The caller holds mu.
func (w *worker) drop() {
	if n := len(w.queue); n > 0 {
		for _, e := range w.queue {
			w.runner.cfg.Watch.Dropped(e, w.command)
		}
		w.totals.Dropped += uint64(n)
		w.runner.dropped.Add(uint64(n))
		w.queue = nil
		w.runner.cfg.Logger.Warn("Dropped events that waited for a script", "script", w.command, "events", n)
	}
}

func (w *worker) stats() Totals {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.totals
	t.Waiting = len(w.queue)
	return t
}

func (w *worker) loop() {
	for range w.wake {
		for w.step() {
		}
		w.mu.Lock()
		end := w.closed && len(w.queue) == 0
		w.mu.Unlock()
		if end {
			return
		}
	}
}

// step runs the command for the oldest waiting event and reports whether there may be another.
func (w *worker) step() bool {
	w.mu.Lock()
	if len(w.queue) == 0 {
		w.full = false
		w.mu.Unlock()
		return false
	}
	w.mu.Unlock()

	if !w.runner.acquire() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.drop()
		return false
	}
	defer func() { <-w.runner.slots }()

	w.mu.Lock()
	if len(w.queue) == 0 { // retired meanwhile
		w.mu.Unlock()
		return false
	}
	e := w.queue[0]
	w.queue = w.queue[1:]
	w.totals.Running = 1
	w.mu.Unlock()

	w.runner.cfg.Watch.Started(e, w.command)
	start := time.Now()
	err := w.runner.invoke(w.command, e)
	w.runner.cfg.Watch.Ended(e, w.command, time.Since(start), err)

	w.mu.Lock()
	defer w.mu.Unlock()
	w.totals.Running = 0
	w.totals.Run++
	w.runner.run.Add(1)
	if err != nil {
		w.totals.Failed++
		w.runner.failed.Add(1)
	}
	return true
}
