// Package syslog feeds an agent's log to the syslog daemon of its host, as Serf does (Serf reference 3.8). It knows
// nothing of the rest of the agent: lines come from package logs, which has filtered them already.
package syslog

import (
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Tag is the program's name in syslog: Serf's, so that filters go on working.
const Tag = "serf"

const (
	// queueSize bounds the lines that wait for a slow daemon.
	queueSize = 1024
	// closeTimeout bounds how long Close waits for a daemon that takes nothing.
	closeTimeout = time.Second
)

// daemon is the part of log/syslog's Writer that is used here; its methods may block.
type daemon interface {
	Debug(text string) error
	Info(text string) error
	Notice(text string) error
	Warning(text string) error
	Err(text string) error
	Close() error
}

// Feed passes lines on to the daemon without ever holding up whoever logs. Its methods may be called from any
// goroutine.
type Feed struct {
	lines chan line
	done  chan struct{} // closed when the goroutine has ended

	mu     sync.Mutex
	closed bool
	lost   int // lines that found the queue full
}

type line struct {
	level hclog.Level
	text  string
}

// start begins to feed d, which it closes in the end.
func start(d daemon) *Feed {
	f := &Feed{lines: make(chan line, queueSize), done: make(chan struct{})}
	go f.run(d)
	return f
}

// Line queues one line of the log, without time and level. Lines that find the queue full are dropped, which a line of
// its own tells later; after Close all are.
func (f *Feed) Line(level hclog.Level, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	if f.lost > 0 && len(f.lines) <= queueSize-2 {
		f.lines <- line{hclog.Warn, fmt.Sprintf("agent: %d log lines did not reach syslog, which was too slow", f.lost)}
		f.lost = 0
	}
	select {
	case f.lines <- line{level, text}:
	default:
		f.lost++
	}
}

// Close passes on what is queued, at most for a second, and ends the feed. Closing twice is no error.
func (f *Feed) Close() error {
	f.mu.Lock()
	if !f.closed {
		f.closed = true
		close(f.lines)
	}
	f.mu.Unlock()
	select {
	case <-f.done:
		return nil
	case <-time.After(closeTimeout):
		return fmt.Errorf("the syslog daemon takes no lines: up to %d were lost", queueSize)
	}
}

// run passes lines on until Close. A daemon that is restarted is found again by log/syslog; what was lost in between is
// on the console too.
func (f *Feed) run(d daemon) {
	defer close(f.done)
	for l := range f.lines {
		_ = write(d, l)
	}
	_ = d.Close() // nothing is buffered
}

// write maps Serf's levels to those of syslog (Serf reference 3.8).
func write(d daemon, l line) error {
	switch l.level {
	case hclog.Trace:
		return d.Debug(l.text)
	case hclog.Debug:
		return d.Info(l.text)
	case hclog.Warn:
		return d.Warning(l.text)
	case hclog.Error:
		return d.Err(l.text)
	default: // INFO, and lines without a level
		return d.Notice(l.text)
	}
}
