//go:build unix

package handler_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/seed-645ce708/gossip/agent/agenttest"
	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/handler"
	"github.com/seed-645ce708/gossip/agent/internal/lamport"
	"github.com/seed-645ce708/gossip/agent/internal/logs"
)

// rig is a runner with its log, in a directory of its own.
type rig struct {
	t      *testing.T
	dir    string
	events *event.Log
	runner *handler.Runner
	out    *buffer
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// start runs specs in which DIR stands for the test's directory.
func start(t *testing.T, change func(*handler.Config), specs ...string) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), events: event.NewLog(0), out: &buffer{}}
	cfg := handler.Config{
		Events: r.events,
		Self:   func() handler.Self { return handler.Self{Name: "alpha", Tags: map[string]string{"role": "web"}} },
		Logger: logs.New(logs.Options{Level: hclog.Trace, Output: r.out}).Logger("agent"),
	}
	if change != nil {
		change(&cfg)
	}
	r.runner = handler.Start(cfg, r.specs(specs...))
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = r.runner.Stop(ctx)
	})
	return r
}

func (r *rig) specs(texts ...string) []handler.Spec {
	r.t.Helper()
	var specs []handler.Spec
	for _, text := range texts {
		s, err := handler.Parse(strings.ReplaceAll(text, "DIR", r.dir))
		if err != nil {
			r.t.Fatal(err)
		}
		specs = append(specs, s)
	}
	return specs
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

func (r *rig) read(name string) string {
	b, err := os.ReadFile(r.path(name))
	if err != nil && !os.IsNotExist(err) {
		r.t.Fatal(err)
	}
	return string(b)
}

// until polls for something that must become true.
func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	agenttest.Poll(r.t, what, ok, func() string { return "log:\n" + r.out.String() })
}

// finish lets all handlers run to their end.
func (r *rig) finish() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.runner.Stop(ctx); err != nil {
		r.t.Fatalf("Stop: %v; log:\n%s", err, r.out)
	}
}

func (r *rig) logged(want string) {
	r.t.Helper()
	if got := r.out.String(); !strings.Contains(got, want) {
		r.t.Errorf("the log lacks %q:\n%s", want, got)
	}
}

func TestScriptSeesTheEvent(t *testing.T) {
	t.Parallel()
	r := start(t, nil, "user:deploy=(env | grep -E '^(SERF|GOSSIP)_' | sort; cat) > DIR/out; echo to-out; echo to-err >&2")
	r.events.Append(&event.User{Name: "other"})
	r.events.Append(&event.User{Name: "deploy", LTime: 7, Payload: []byte("v1")})
	r.finish()
	want := ""
	for _, prefix := range []string{"GOSSIP", "SERF"} {
		want += fmt.Sprintf("%[1]s_EVENT=user\n%[1]s_SELF_NAME=alpha\n%[1]s_SELF_ROLE=web\n%[1]s_TAG_ROLE=web\n"+
			"%[1]s_USER_EVENT=deploy\n%[1]s_USER_LTIME=7\n", prefix)
	}
	if got := r.read("out"); got != want+"v1\n" {
		t.Errorf("the script saw\n%s\nwant\n%sv1", got, want)
	}
	r.logged("[INFO] agent: Received event: user-event: other\n")
	r.logged("[INFO] agent: Received event: user-event: deploy\n")
	r.logged(`[DEBUG] agent: Event 'user' script output: to-out\nto-err`)
}

func TestQueryAnswers(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		command, answer, log string
		refuse               error
	}{
		"output":         {command: "cat; echo load 1; echo warn >&2", answer: "[hi\nload 1\nwarn\n]"},
		"no output":      {command: "true", answer: "[]"},
		"failure":        {command: "echo no; exit 3", answer: "[]", log: "[ERR] agent: Error invoking script 'echo no; exit 3': exit status 3\n"},
		"refused":        {command: "echo x", answer: "[x\n]", refuse: errors.New("response already sent"), log: "[WARN] agent: Failed to respond to query 'query: load': response already sent\n"},
		"no such script": {command: "/nonexistent/x", answer: "[]", log: "exit status 127"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, nil, "query:load="+tt.command)
			var mu sync.Mutex
			answer := ""
			r.events.Append(&event.Query{Name: "load", Payload: []byte("hi"), Respond: func(p []byte) error {
				mu.Lock()
				defer mu.Unlock()
				answer += string(p)
				return tt.refuse
			}})
			r.finish()
			if got := "[" + answer + "]"; got != tt.answer {
				t.Errorf("answered %q, want %q", got, tt.answer)
			}
			r.logged(tt.log)
		})
	}
}

func TestLongOutputKeepsItsEnd(t *testing.T) {
	t.Parallel()
	r := start(t, nil, "query=yes 0123456 | head -n 5000; printf end")
	var answer []byte
	r.events.Append(&event.Query{Name: "q", Respond: func(p []byte) error {
		answer = bytes.Clone(p)
		return nil
	}})
	r.finish()
	if len(answer) != 8192 || !bytes.HasSuffix(answer, []byte("0123456\nend")) {
		t.Errorf("answered %d bytes ending in %q", len(answer), answer[max(0, len(answer)-20):])
	}
	r.logged("truncated")
}

// TestOrder checks that one command sees its events in order even if several handlers name it.
func TestOrder(t *testing.T) {
	t.Parallel()
	const command = "=echo $SERF_USER_LTIME >> DIR/out"
	r := start(t, nil, "user:a,user:b"+command, "user:c"+command)
	want := ""
	for n := range 30 {
		r.events.Append(&event.User{Name: string(rune('a' + n%3)), LTime: lamport.Time(n)})
		want += fmt.Sprintln(n)
	}
	r.finish()
	if got := r.read("out"); got != want {
		t.Errorf("the script saw %q, want %q", got, want)
	}
	if s := r.runner.Stats(); s.Total != (handler.Totals{Run: 30}) || len(s.Commands) != 1 {
		t.Errorf("Stats = %+v", s)
	}
}

func TestTwoElementsRunTwice(t *testing.T) {
	t.Parallel()
	r := start(t, nil, "user,user:a=echo x >> DIR/out")
	r.events.Append(&event.User{Name: "a"})
	r.finish()
	if got := r.read("out"); got != "x\nx\n" {
		t.Errorf("got %q, want two runs", got)
	}
}

// TestSlowScriptHoldsUpNobody lets one script wait for a file that another one makes afterwards.
func TestSlowScriptHoldsUpNobody(t *testing.T) {
	t.Parallel()
	r := start(t, nil,
		"user:go=until test -e DIR/free; do sleep 0.01; done; echo slow >> DIR/out",
		"user:free=echo fast >> DIR/out; touch DIR/free")
	r.events.Append(&event.User{Name: "go"})
	r.until("the slow script runs", func() bool { return r.runner.Stats().Total.Running == 1 })
	r.events.Append(&event.User{Name: "free"})
	r.finish()
	if got := r.read("out"); got != "fast\nslow\n" {
		t.Errorf("got %q", got)
	}
}

func TestSlowScriptIsReported(t *testing.T) {
	t.Parallel()
	r := start(t, nil, "until test -e DIR/free; do sleep 0.01; done")
	r.events.Append(&event.User{Name: "go"})
	r.until("the warning comes", func() bool {
		return strings.Contains(r.out.String(), "[WARN] agent: Script 'until test -e "+r.dir+"/free; do sleep 0.01; done' slow, execution exceeding 1s\n")
	})
	if err := os.WriteFile(r.path("free"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.finish()
}

func TestTimeLimitKillsTheGroup(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var ran error
	r := start(t, func(c *handler.Config) {
		c.Timeout = 300 * time.Millisecond
		c.Ran = func(_ string, _ time.Duration, err error) {
			mu.Lock()
			defer mu.Unlock()
			ran = err
		}
	}, "sh -c 'echo $$ > DIR/pid; sleep 1000'; true")
	r.events.Append(&event.User{Name: "go"})
	r.finish()
	mu.Lock()
	defer mu.Unlock()
	if ran == nil || !strings.Contains(ran.Error(), "time limit") {
		t.Errorf("Ran was told %v", ran)
	}
	r.logged("killed at the time limit")
	if s := r.runner.Stats(); s.Total.Failed != 1 {
		t.Errorf("Stats = %+v", s)
	}
	if pid := strings.TrimSpace(r.read("pid")); pid != "" { // the limit may have come before the inner shell
		r.until("the inner shell is gone", func() bool { return !alive(t, pid) })
	}
}

func TestChildThatKeepsTheOutputOpen(t *testing.T) {
	t.Parallel()
	r := start(t, nil, "query=echo answer; sleep 1000 & echo $! > DIR/pid")
	answer := make(chan string, 1)
	r.events.Append(&event.Query{Name: "q", Respond: func(p []byte) error {
		answer <- string(p)
		return nil
	}})
	r.finish()
	if got := <-answer; got != "answer\n" {
		t.Errorf("answered %q", got)
	}
	pid := strings.TrimSpace(r.read("pid"))
	if !alive(t, pid) {
		t.Error("the child was killed though nothing asked for it")
	}
	kill(t, pid)
}

func TestStopLeavesRunningScriptsAlone(t *testing.T) {
	t.Parallel()
	r := start(t, nil, "echo $$ > DIR/pid; sleep 1000; true")
	r.events.Append(&event.User{Name: "a"})
	r.events.Append(&event.User{Name: "b"})
	r.until("the script runs", func() bool { return r.read("pid") != "" })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.runner.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Stop = %v, want context.Canceled", err)
	}
	pid := strings.TrimSpace(r.read("pid"))
	if !alive(t, pid) {
		t.Error("the script was killed though it may be the one that restarts the agent")
	}
	kill(t, pid)
	if err := r.runner.Stop(t.Context()); err != nil {
		t.Errorf("second Stop = %v", err)
	}
	if s := r.runner.Stats(); s.Total != (handler.Totals{Run: 1, Failed: 1, Dropped: 1}) {
		t.Errorf("Stats = %+v", s)
	}
	r.runner.Replace(r.specs("true"))
}

func TestClosedLogEndsTheRunner(t *testing.T) {
	t.Parallel()
	r := start(t, nil, "echo x >> DIR/out")
	r.events.Append(&event.User{Name: "a"})
	r.events.Close()
	r.finish()
	if got := r.read("out"); got != "x\n" {
		t.Errorf("got %q", got)
	}
}

func TestFullQueueDropsTheOldest(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *handler.Config) { c.Queue = 3 },
		"until test -e DIR/free; do sleep 0.01; done; echo $SERF_USER_LTIME >> DIR/out")
	r.events.Append(&event.User{LTime: 0})
	r.until("the script runs", func() bool { return r.runner.Stats().Total.Running == 1 })
	for n := 1; n <= 8; n++ {
		r.events.Append(&event.User{LTime: lamport.Time(n)})
	}
	r.until("the queue has run over", func() bool { return r.runner.Stats().Total.Dropped == 5 })
	if err := os.WriteFile(r.path("free"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.finish()
	if got := r.read("out"); got != "0\n6\n7\n8\n" {
		t.Errorf("the script saw %q", got)
	}
	if n := strings.Count(r.out.String(), "too slow"); n != 1 {
		t.Errorf("the overflow was logged %d times, want once", n)
	}
}

func TestConcurrencyLimit(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *handler.Config) { c.Concurrent = 1 },
		"mkdir DIR/lock && sleep 0.02 && rmdir DIR/lock",
		"mkdir DIR/lock && sleep 0.01 && rmdir DIR/lock",
		"mkdir DIR/lock && rmdir DIR/lock")
	for range 5 {
		r.events.Append(&event.User{})
	}
	r.finish()
	if s := r.runner.Stats(); s.Total != (handler.Totals{Run: 15}) {
		t.Errorf("Stats = %+v; a failed mkdir means that two ran at once", s.Total)
	}
}

func TestReplace(t *testing.T) {
	t.Parallel()
	stays := "user:s=echo stays$SERF_USER_LTIME >> DIR/stays"
	r := start(t, nil, "user:g=touch DIR/runs; until test -e DIR/free; do sleep 0.01; done; echo done >> DIR/goes", stays)
	r.events.Append(&event.User{Name: "g"})
	r.until("the script runs", func() bool { _, err := os.Stat(r.path("runs")); return err == nil })
	r.events.Append(&event.User{Name: "g"})
	r.events.Append(&event.User{Name: "s", LTime: 1})
	r.until("the second event waits", func() bool {
		s := r.runner.Stats()
		return s.Total.Waiting == 1 && s.Total.Run == 1
	})

	r.runner.Replace(r.specs(stays, "user:n=echo new >> DIR/new"))
	if got := len(r.runner.Specs()); got != 2 {
		t.Errorf("there are %d specs, want 2", got)
	}
	r.events.Append(&event.User{Name: "g"})
	r.events.Append(&event.User{Name: "n"})
	r.events.Append(&event.User{Name: "s", LTime: 2})
	if err := os.WriteFile(r.path("free"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.finish()
	for name, want := range map[string]string{"goes": "done\n", "stays": "stays1\nstays2\n", "new": "new\n"} {
		if got := r.read(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if s := r.runner.Stats(); s.Total != (handler.Totals{Run: 4, Dropped: 1}) {
		t.Errorf("Stats = %+v", s)
	}
}

func TestFellBehindTheLogIsCounted(t *testing.T) {
	t.Parallel()
	small := event.NewLog(2)
	block := make(chan struct{})
	r := start(t, func(c *handler.Config) {
		c.Events = small
		inner := c.Logger
		c.Logger = slowLogger{Logger: inner, block: block}
	}, "user=echo $SERF_USER_LTIME >> DIR/out")
	for n := range 10 {
		small.Append(&event.User{LTime: lamport.Time(n)})
	}
	close(block)
	r.finish()
	s := r.runner.Stats()
	if s.Lost == 0 || s.Lost+s.Total.Run != 10 {
		t.Errorf("Stats = %+v, want Lost and Run to add up to 10", s)
	}
	r.logged("events were lost")
}

// slowLogger holds up the dispatcher at its first line.
type slowLogger struct {
	hclog.Logger
	block chan struct{}
}

func (l slowLogger) Info(msg string, args ...any) {
	<-l.block
	l.Logger.Info(msg, args...)
}
