package logs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/seed-645ce708/gossip/agent/internal/logs"
)

// In a synctest bubble every line bears this time.
const stamp = "2000/01/01 00:00:00 "

func TestTextLines(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		log  func(l *logs.Log)
		want string
	}{
		"info":   {func(l *logs.Log) { l.Logger("agent").Info("Serf agent starting") }, "[INFO] agent: Serf agent starting"},
		"error":  {func(l *logs.Log) { l.Logger("serf").Error("x") }, "[ERR] serf: x"},
		"warn":   {func(l *logs.Log) { l.Logger("serf").Warn("x") }, "[WARN] serf: x"},
		"debug":  {func(l *logs.Log) { l.Logger("serf").Debug("x") }, "[DEBUG] serf: x"},
		"trace":  {func(l *logs.Log) { l.Logger("serf").Trace("x") }, "[TRACE] serf: x"},
		"part":   {func(l *logs.Log) { l.Logger("agent").Named("ipc").Info("x") }, "[INFO] agent.ipc: x"},
		"reset":  {func(l *logs.Log) { l.Logger("agent").ResetNamed("dns").Info("x") }, "[INFO] dns: x"},
		"nobody": {func(l *logs.Log) { l.Logger("").Info("x") }, "[INFO] x"},
		"pairs": {func(l *logs.Log) { l.Logger("dns").Info("started", "addr", "127.0.0.1:53", "n", 3) },
			"[INFO] dns: started: addr=127.0.0.1:53 n=3"},
		"quoted": {func(l *logs.Log) { l.Logger("a").Info("m", "err", errors.New(`no "x" here`), "e", "") },
			`[INFO] a: m: err="no \"x\" here" e=""`},
		"with": {func(l *logs.Log) { l.Logger("a").With("k", 1).With("l", 2).Info("m", "n", time.Second) },
			"[INFO] a: m: k=1 l=2 n=1s"},
		"odd":        {func(l *logs.Log) { l.Logger("a").Info("m", "alone") }, "[INFO] a: m: EXTRA_VALUE_AT_END=alone"},
		"key":        {func(l *logs.Log) { l.Logger("a").Info("m", 1, 2) }, "[INFO] a: m: 1=2"},
		"one line":   {func(l *logs.Log) { l.Logger("a").Info("m\n[ERR] forged: x\r\n") }, `[INFO] a: m\n[ERR] forged: x\r`},
		"fmt":        {func(l *logs.Log) { l.Logger("a").Info("m", "k", hclog.Fmt("%d-%d", 1, 2)) }, "[INFO] a: m: k=1-2"},
		"hex":        {func(l *logs.Log) { l.Logger("a").Info("m", "k", hclog.Hex(255)) }, "[INFO] a: m: k=0xff"},
		"by level":   {func(l *logs.Log) { l.Logger("a").Log(hclog.Warn, "m") }, "[WARN] a: m"},
		"off":        {func(l *logs.Log) { l.Logger("a").Log(hclog.Off, "m") }, ""},
		"std":        {func(l *logs.Log) { l.Std().Printf("[WARN] memberlist: %d is bad", 1) }, "[WARN] memberlist: 1 is bad"},
		"std error":  {func(l *logs.Log) { l.Std().Print("[ERROR] memberlist: x") }, "[ERR] memberlist: x"},
		"std plain":  {func(l *logs.Log) { l.Std().Print("no level here") }, "no level here"},
		"std odd":    {func(l *logs.Log) { l.Std().Print("[FOO] x") }, "[FOO] x"},
		"std open":   {func(l *logs.Log) { l.Std().Print("[INFO") }, "[INFO"},
		"std spaces": {func(l *logs.Log) { l.Std().Print("[INFO]  raft: x") }, "[INFO] raft: x"},
		"std two":    {func(l *logs.Log) { l.Std().Print("[INFO] a: x\n\n[DEBUG] b: y\n") }, "[INFO] a: x|[DEBUG] b: y"},
		"hclog std": {func(l *logs.Log) { l.Logger("mdns").StandardLogger(nil).Print("[ERR] x") },
			"[ERR] mdns: x"},
		"hclog force": {func(l *logs.Log) {
			l.Logger("mdns").StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}).Print("x")
		}, "[DEBUG] mdns: x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				l := logs.New(logs.Options{Level: hclog.Trace, Output: &out})
				tt.log(l)
				var want string
				if tt.want != "" {
					for line := range strings.SplitSeq(tt.want, "|") {
						want += stamp + line + "\n"
					}
				}
				if out.String() != want {
					t.Errorf("got  %q\nwant %q", out.String(), want)
				}
				var ring string
				s := l.Ring().Subscribe(hclog.Trace)
				s.Close()
				for line := range s.C() {
					ring += line + "\n"
				}
				if ring != want {
					t.Errorf("the ring has %q\nwant %q", ring, want)
				}
			})
		})
	}
}

func TestJSONLines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := logs.New(logs.Options{Level: hclog.Debug, Format: logs.JSON, Output: &out})
		l.Logger("agent").Named("ipc").Error("bad\nthing", "addr", "<a>", "n", 3, "err", errors.New("why"), "ok", true)
		l.Std().Print("plain")
		l.Logger("a").Info("m", "f", math.NaN())
		want := []map[string]any{
			{"@timestamp": "2000-01-01T00:00:00.000000Z", "@level": "error", "@module": "agent.ipc",
				"@message": "bad\nthing", "addr": "<a>", "n": 3.0, "err": "why", "ok": true},
			{"@timestamp": "2000-01-01T00:00:00.000000Z", "@message": "plain"},
		}
		lines := slices.Collect(strings.Lines(out.String()))
		if len(lines) != 3 {
			t.Fatalf("got %d lines: %q", len(lines), lines)
		}
		for i, line := range lines {
			var got map[string]any
			if err := json.Unmarshal([]byte(line), &got); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			if i < len(want) && fmt.Sprint(got) != fmt.Sprint(want[i]) {
				t.Errorf("got  %v\nwant %v", got, want[i])
			}
		}
		if !strings.Contains(lines[0], `"<a>"`) {
			t.Errorf("%q: want < and > as they are", lines[0])
		}
	})
}

func TestParseLevel(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]hclog.Level{
		"trace": hclog.Trace, "DEBUG": hclog.Debug, "Info": hclog.Info, "warn": hclog.Warn, "err": hclog.Error,
	} {
		if got, err := logs.ParseLevel(text); err != nil || got != want {
			t.Errorf("ParseLevel(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"foo", "", "error", "warning", " info"} {
		_, err := logs.ParseLevel(text)
		if want := "Unknown log level: " + strings.ToUpper(text); err == nil || err.Error() != want {
			t.Errorf("ParseLevel(%q): %v, want %q", text, err, want)
		}
	}
	for _, name := range logs.LevelNames() {
		if _, err := logs.ParseLevel(name); err != nil {
			t.Error(err)
		}
	}
}

func TestLevelChangesAtRunTime(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := logs.New(logs.Options{Output: &out}) // NoLevel: info
	agent := l.Logger("agent")
	agent.Debug("one")
	l.Std().Print("always")
	l.SetLevel(hclog.Debug)
	agent.Debug("two")
	agent.SetLevel(hclog.Error)
	agent.Warn("three")
	if agent.GetLevel() != hclog.Error || !agent.IsTrace() {
		t.Error("GetLevel or IsTrace is wrong")
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		got = append(got, strings.TrimSpace(line[len(stamp):]))
	}
	if want := []string{"always", "[DEBUG] agent: two"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestHoldAndRelease(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := logs.New(logs.Options{Level: hclog.Info, Output: &out, Hold: true})
	var also []string
	l.Also(func(level hclog.Level, text string) { also = append(also, level.String()+" "+text) })
	l.Logger("a").Info("early")
	l.Logger("a").Debug("unseen")
	if out.Len() != 0 {
		t.Errorf("%q was written before Release", out.String())
	}
	for range 2 {
		if err := l.Release(); err != nil {
			t.Fatal(err)
		}
	}
	l.Logger("a").Info("late")
	if got := out.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "early") || !strings.Contains(got, "late") {
		t.Errorf("got %q", got)
	}
	if want := []string{"info a: early", "info a: late"}; !slices.Equal(also, want) {
		t.Errorf("also got %q, want %q", also, want)
	}
}

func TestHoldIsBounded(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := logs.New(logs.Options{Output: &out, Hold: true})
	for range 5000 {
		l.Logger("a").Info("x")
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != 4097 || !strings.Contains(out.String(), "904 log lines were dropped") {
		t.Errorf("%d lines were kept and the end reads %q", n, out.String()[out.Len()-100:])
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestReleaseReportsFailure(t *testing.T) {
	t.Parallel()
	l := logs.New(logs.Options{Output: failing{}, Hold: true})
	l.Logger("a").Info("x")
	if err := l.Release(); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("Release = %v", err)
	}
	l.Logger("a").Info("must not panic")
}

func TestRing(t *testing.T) {
	t.Parallel()
	r := logs.New(logs.Options{RingSize: 3})
	a := r.Logger("a")
	for i := range 5 {
		a.Debug(fmt.Sprint("d", i))
	}
	a.Warn("w")
	s := r.Ring().Subscribe(hclog.Debug)
	warn := r.Ring().Subscribe(hclog.Warn)
	a.Info("i")
	r.Std().Print("plain")
	s.Close()
	s.Close()
	a.Error("after close")
	warn.Close()
	collect := func(s *logs.Subscription) (got []string) {
		for line := range s.C() {
			got = append(got, line[strings.LastIndexByte(line, ' ')+1:])
		}
		return got
	}
	if got, want := collect(s), []string{"d3", "d4", "w", "i", "plain"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := collect(warn), []string{"w", "plain", "close"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSlowSubscriberLosesAndIsCounted(t *testing.T) {
	t.Parallel()
	l := logs.New(logs.Options{})
	s := l.Ring().Subscribe(hclog.Info)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				l.Logger("a").Info("x")
			}
		})
	}
	wg.Wait()
	s.Close()
	n := 0
	for range s.C() {
		n++
	}
	if n != logs.DefaultRingSize || s.Dropped() != 800-logs.DefaultRingSize {
		t.Errorf("%d lines came and %d were dropped", n, s.Dropped())
	}
}

func FuzzWriter(f *testing.F) {
	for _, s := range []string{"[INFO] a: b", "[", "]", "[ERR]\n", "a: b\r\n\n", "\xff: x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var out bytes.Buffer
		l := logs.New(logs.Options{Level: hclog.Trace, Output: &out, Format: logs.JSON})
		if n, err := l.Writer().Write([]byte(text)); n != len(text) || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
		for line := range strings.Lines(out.String()) {
			if !json.Valid([]byte(line)) {
				t.Fatalf("%q is not JSON", line)
			}
		}
	})
}
