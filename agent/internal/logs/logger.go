package logs

import (
	"io"
	"log"
	"regexp"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// logger is go-hclog's Logger on top of a Log. It is immutable.
type logger struct {
	log     *Log
	name    string
	implied []any
}

var _ hclog.Logger = (*logger)(nil)

func (l *logger) Log(level hclog.Level, msg string, args ...any) {
	if level == hclog.Off {
		return
	}
	if len(l.implied) > 0 {
		args = append(l.implied[:len(l.implied):len(l.implied)], args...)
	}
	l.log.write(entry{level: level, name: l.name, msg: msg, args: args})
}

func (l *logger) Trace(msg string, args ...any) { l.Log(hclog.Trace, msg, args...) }
func (l *logger) Debug(msg string, args ...any) { l.Log(hclog.Debug, msg, args...) }
func (l *logger) Info(msg string, args ...any)  { l.Log(hclog.Info, msg, args...) }
func (l *logger) Warn(msg string, args ...any)  { l.Log(hclog.Warn, msg, args...) }
func (l *logger) Error(msg string, args ...any) { l.Log(hclog.Error, msg, args...) }

// The ring takes lines of every level, so there is always somebody for whom a line is worth making.

func (l *logger) IsTrace() bool { return true }
func (l *logger) IsDebug() bool { return true }
func (l *logger) IsInfo() bool  { return true }
func (l *logger) IsWarn() bool  { return true }
func (l *logger) IsError() bool { return true }

func (l *logger) ImpliedArgs() []any { return l.implied }
func (l *logger) Name() string       { return l.name }

func (l *logger) With(args ...any) hclog.Logger {
	return &logger{log: l.log, name: l.name, implied: append(l.implied[:len(l.implied):len(l.implied)], args...)}
}

// Named returns a logger for a part of this component, written as in "agent.ipc".
func (l *logger) Named(name string) hclog.Logger {
	if l.name != "" {
		name = l.name + "." + name
	}
	return &logger{log: l.log, name: name, implied: l.implied}
}

func (l *logger) ResetNamed(name string) hclog.Logger {
	return &logger{log: l.log, name: name, implied: l.implied}
}

func (l *logger) SetLevel(level hclog.Level) { l.log.SetLevel(level) }
func (l *logger) GetLevel() hclog.Level      { return l.log.Level() }

func (l *logger) StandardLogger(opts *hclog.StandardLoggerOptions) *log.Logger {
	return log.New(l.StandardWriter(opts), "", 0)
}

// StandardWriter infers levels, whatever opts say of it; opts.ForceLevel is honoured.
func (l *logger) StandardWriter(opts *hclog.StandardLoggerOptions) io.Writer {
	w := lineWriter{log: l.log, name: l.name}
	if opts != nil {
		w.force = opts.ForceLevel
	}
	return w
}

// lineWriter turns lines of the form "[LEVEL] component: text" into entries.
type lineWriter struct {
	log   *Log
	name  string      // component of lines that name none
	force hclog.Level // unless NoLevel, the level of every line
}

// component is what Serf and memberlist write before the first colon.
var component = regexp.MustCompile(`^([a-z][a-z0-9_.-]{0,31}): `)

func (w lineWriter) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			continue
		}
		e := entry{level: hclog.NoLevel, name: w.name}
		e.level, e.msg = splitLevel(line)
		if w.force != hclog.NoLevel {
			e.level = w.force
		}
		if m := component.FindStringSubmatch(e.msg); m != nil && w.name == "" {
			e.name, e.msg = m[1], e.msg[len(m[0]):]
		}
		w.log.write(e)
	}
	return len(p), nil
}

// splitLevel takes the level in brackets off the front of a line.
func splitLevel(line string) (hclog.Level, string) {
	rest, ok := strings.CutPrefix(line, "[")
	if !ok {
		return hclog.NoLevel, line
	}
	name, rest, ok := strings.Cut(rest, "]")
	if !ok {
		return hclog.NoLevel, line
	}
	if name == "ERROR" {
		name = "ERR"
	}
	level, err := ParseLevel(name)
	if err != nil {
		return hclog.NoLevel, line
	}
	return level, strings.TrimLeft(rest, " ")
}
