package syslog

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

// fake is a daemon that remembers lines, and takes none while gate is closed to it.
type fake struct {
	got    chan string
	gate   chan struct{} // nil lets everything through
	closed chan struct{}
}

func newFake() *fake { return &fake{got: make(chan string, 2*queueSize), closed: make(chan struct{})} }

func (f *fake) take(severity, text string) error {
	if f.gate != nil {
		<-f.gate
	}
	f.got <- severity + " " + text
	return nil
}

func (f *fake) Debug(text string) error   { return f.take("debug", text) }
func (f *fake) Info(text string) error    { return f.take("info", text) }
func (f *fake) Notice(text string) error  { return f.take("notice", text) }
func (f *fake) Warning(text string) error { return f.take("warning", text) }
func (f *fake) Err(text string) error     { return f.take("err", text) }
func (f *fake) Close() error              { close(f.closed); return nil }

func TestLevels(t *testing.T) {
	t.Parallel()
	d := newFake()
	f := start(d)
	for _, level := range []hclog.Level{hclog.Trace, hclog.Debug, hclog.Info, hclog.Warn, hclog.Error, hclog.NoLevel} {
		f.Line(level, "serf: text")
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	<-d.closed
	f.Line(hclog.Error, "after the end")
	if err := f.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	close(d.got)
	var got []string
	for l := range d.got {
		got = append(got, strings.TrimSuffix(l, " serf: text"))
	}
	if want := []string{"debug", "info", "notice", "warning", "err", "notice"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestSlowDaemon: nobody waits, and what is lost is told.
func TestSlowDaemon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newFake()
		d.gate = make(chan struct{})
		f := start(d)
		f.Line(hclog.Info, "taken")
		synctest.Wait() // the daemon has the first line in hand
		for i := range queueSize + 7 {
			f.Line(hclog.Info, fmt.Sprint(i))
		}
		close(d.gate)
		synctest.Wait()
		f.Line(hclog.Info, "later")
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		close(d.got)
		var got []string
		for l := range d.got {
			got = append(got, l)
		}
		if len(got) != queueSize+3 || !strings.HasPrefix(got[queueSize+1], "warning agent: 7 log lines") || got[queueSize+2] != "notice later" {
			t.Errorf("%d lines, the last: %q", len(got), got[max(0, len(got)-3):])
		}
	})
}

// TestDeadDaemon: the end of the agent does not wait for it for long.
func TestDeadDaemon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newFake()
		d.gate = make(chan struct{})
		f := start(d)
		f.Line(hclog.Info, "stuck")
		began := time.Now()
		if err := f.Close(); err == nil || time.Since(began) != closeTimeout {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		close(d.gate) // or the goroutine would outlive the test
	})
}
