// Package logs is the agent's logging: loggers of go-hclog's interface whose lines come out in Serf's form or
// as JSON, with a level that can change at run time, a start that can be held back until the banner is
// printed, and the ring of recent lines that the RPC command monitor reads (Serf reference 3.8). It knows
// nothing of the rest of the agent, and adds nothing to what it is given: callers keep keys and tokens out of
// messages and arguments.
//
// In text a line reads
//
//	2006/01/02 15:04:05 [INFO] agent: text: key=value
//
// with Serf's five level names, TRACE, DEBUG, INFO, WARN and ERR (go-hclog itself would write ERROR and pad
// the shorter names). A message without arguments is byte for byte what Serf would print.
package logs

import (
	"fmt"
	"io"
	"log"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Format is the form of lines on the output.
type Format string

// The formats. The ring, and so the RPC command monitor, is text in both.
const (
	Text Format = "text"
	JSON Format = "json"
)

// ParseLevel reads one of Serf's level names: trace, debug, info, warn or err, in any case.
func ParseLevel(text string) (hclog.Level, error) {
	name := strings.ToUpper(text)
	for level, n := range levelNames {
		if n == name {
			return level, nil
		}
	}
	return hclog.NoLevel, fmt.Errorf("Unknown log level: %s", name) //nolint:staticcheck // Serf's text, which clients compare
}

// LevelNames lists the names that ParseLevel reads, from the most to the least talkative.
func LevelNames() []string { return []string{"TRACE", "DEBUG", "INFO", "WARN", "ERR"} }

var levelNames = map[hclog.Level]string{
	hclog.Trace: "TRACE",
	hclog.Debug: "DEBUG",
	hclog.Info:  "INFO",
	hclog.Warn:  "WARN",
	hclog.Error: "ERR",
}

// maxHeldLines bounds what a log keeps until Release. Further lines are dropped and counted.
const maxHeldLines = 4096

// Options sets up a Log.
type Options struct {
	Level  hclog.Level // lines below it do not reach the output; NoLevel means Info
	Format Format      // "" means Text
	Output io.Writer   // nil means nowhere
	// Hold keeps the lines for the output back until Release.
	Hold bool
	// RingSize is how many lines of all levels are kept; 0 or less means DefaultRingSize.
	RingSize int
}

// Log is where all loggers of one agent lead. Its methods may be called from any goroutine.
type Log struct {
	level atomic.Int32 // hclog.Level
	ring  *Ring

	mu      sync.Mutex // guards what follows and keeps lines whole and in order
	format  Format
	out     io.Writer
	holding bool
	held    [][]byte
	dropped int // lines that did not fit into held
	also    []func(level hclog.Level, text string)
}

// New returns a log.
func New(opts Options) *Log {
	l := &Log{
		ring:    NewRing(opts.RingSize),
		format:  opts.Format,
		out:     opts.Output,
		holding: opts.Hold,
	}
	if l.out == nil {
		l.out = io.Discard
	}
	l.SetLevel(opts.Level)
	return l
}

// SetLevel changes the least level that reaches the output; NoLevel means Info.
func (l *Log) SetLevel(level hclog.Level) {
	if level == hclog.NoLevel {
		level = hclog.Info
	}
	l.level.Store(int32(level))
}

// Level returns the least level that reaches the output.
func (l *Log) Level() hclog.Level { return hclog.Level(l.level.Load()) }

// Ring returns the most recent lines of all levels.
func (l *Log) Ring() *Ring { return l.ring }

// Also hands every line that reaches the output to f as well, without time and level, from whatever goroutine
// logs. f must not block and must not log. It is how syslog is fed.
func (l *Log) Also(f func(level hclog.Level, text string)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.also = append(l.also, f)
}

// Release writes what was held back, and from then on every line at once.
func (l *Log) Release() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.holding {
		return nil
	}
	l.holding = false
	held := l.held
	l.held = nil
	if l.dropped > 0 {
		e := entry{time: time.Now(), level: hclog.Warn, name: "agent",
			msg: fmt.Sprintf("%d log lines were dropped before the log was shown", l.dropped)}
		held = append(held, e.format(l.format))
	}
	for _, line := range held {
		if _, err := l.out.Write(line); err != nil {
			return fmt.Errorf("write held log lines: %w", err)
		}
	}
	return nil
}

// Logger returns a logger whose lines begin with name, a component such as "agent" or "serf". It implements
// go-hclog's Logger; its SetLevel is the log's.
func (l *Log) Logger(name string) hclog.Logger { return &logger{log: l, name: name} }

// Std returns a logger of the standard library's kind for libraries that want one, such as memberlist. A line
// such as "[WARN] memberlist: text" keeps its level and component; a line without a level passes every filter,
// as in Serf.
func (l *Log) Std() *log.Logger { return log.New(l.Writer(), "", 0) }

// Writer returns what Std writes to: each Write is one or more lines. It never returns an error.
func (l *Log) Writer() io.Writer { return lineWriter{log: l} }

// write is where every line passes.
func (l *Log) write(e entry) {
	e.time = time.Now()
	text := e.text()
	l.ring.add(e.level, e.stamp()+text)

	shown := e.level == hclog.NoLevel || e.level >= l.Level()
	if !shown {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.also {
		f(e.level, text)
	}
	line := e.format(l.format)
	switch {
	case !l.holding:
		_, _ = l.out.Write(line) // there is nowhere to report that the log cannot be written
	case len(l.held) < maxHeldLines:
		l.held = append(l.held, line)
	default:
		l.dropped++
	}
}
