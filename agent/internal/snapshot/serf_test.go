//go:build unix

package snapshot_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/seed-645ce708/gossip/agent/agenttest"
	"github.com/seed-645ce708/gossip/agent/agenttest/loopback"
	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/lamport"
	"github.com/seed-645ce708/gossip/agent/internal/snapshot"
	"github.com/seed-645ce708/gossip/agent/internal/view"
)

// serf is a running agent of Serf's.
type serf struct {
	t    *testing.T
	name string
	bind string
	rpc  string
	cmd  *exec.Cmd
	out  *output
}

type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// needSerf skips the test where there is no Serf to try.
func needSerf(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("serf"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("serf is not installed (apt-get install serf)")
		}
		t.Skip("serf is not installed (apt-get install serf)")
	}
}

func startSerf(t *testing.T, name, bind, file string) *serf {
	t.Helper()
	s := &serf{t: t, name: name, bind: bind, rpc: loopback.Addr(t), out: &output{}}
	s.cmd = exec.Command("serf", "agent", "-node", name, "-bind", bind, "-rpc-addr", s.rpc,
		"-profile", "local", "-snapshot", file, "-log-level", "debug")
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.stop(syscall.SIGKILL) })
	s.until("it answers", func() bool { _, err := s.call("info"); return err == nil })
	return s
}

// call runs one of Serf's commands against the agent.
func (s *serf) call(command string, args ...string) (string, error) {
	args = append([]string{command, "-rpc-addr", s.rpc}, args...)
	out, err := exec.Command("serf", args...).CombinedOutput()
	return string(out), err
}

func (s *serf) must(command string, args ...string) string {
	s.t.Helper()
	out, err := s.call(command, args...)
	if err != nil {
		s.t.Fatalf("serf %s: %v\n%s\nthe agent said:\n%s", command, err, out, s.out)
	}
	return out
}

func (s *serf) until(what string, ok func() bool) {
	s.t.Helper()
	agenttest.Poll(s.t, "serf "+s.name+": "+what, ok, func() string { return "it said:\n" + s.out.String() })
}

// stop signals the agent and waits for its end.
func (s *serf) stop(sig syscall.Signal) {
	if s.cmd.ProcessState != nil {
		return
	}
	if err := s.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Error(err)
	}
	_ = s.cmd.Wait() // a signal is no clean exit
}

// stat returns a number of the agent's info.
func (s *serf) stat(key string) int {
	s.t.Helper()
	m := regexp.MustCompile(`\t` + key + ` = (\d+)`).FindStringSubmatch(s.must("info"))
	if m == nil {
		s.t.Fatalf("serf info has no %s", key)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func TestReadsSerfsFile(t *testing.T) {
	t.Parallel()
	needSerf(t)
	file := filepath.Join(t.TempDir(), "alpha.snap")
	alpha := startSerf(t, "alpha one", loopback.Addr(t), file)
	for i := range 3 {
		alpha.must("event", "-coalesce=false", fmt.Sprint("deploy", i))
	}
	alpha.must("query", "-timeout", "100ms", "load")
	alpha.stop(syscall.SIGTERM) // ends without a leave

	prev, err := snapshot.Replay(file, false, func(line string) { t.Errorf("unrecognized: %q", line) })
	if err != nil {
		t.Fatal(err)
	}
	want := []snapshot.Node{{Name: "alpha one", Addr: alpha.bind}}
	if len(prev.Alive) != 1 || prev.Alive[0] != want[0] || prev.Left {
		t.Errorf("replayed %+v, want %v alive", prev, want)
	}
	if prev.EventClock != 3 || prev.QueryClock != 1 {
		t.Errorf("replayed %+v, want event clock 3 and query clock 1", prev)
	}

	alpha = startSerf(t, "alpha one", alpha.bind, file)
	alpha.must("leave")
	alpha.until("it has ended", func() bool { return strings.Contains(alpha.out.String(), "shutdown complete") })
	alpha.stop(syscall.SIGKILL)
	if prev, err = snapshot.Replay(file, false, nil); err != nil || !prev.Left || len(prev.Alive) != 0 || prev.EventClock != 0 {
		t.Errorf("after a leave: %+v, %v", prev, err)
	}
	prev, err = snapshot.Replay(file, true, nil)
	if err != nil || !prev.IgnoredLeave || prev.EventClock != 3 {
		t.Errorf("after a leave, rejoining: %+v, %v", prev, err)
	}
}

func TestSerfStartsFromOurFile(t *testing.T) {
	t.Parallel()
	needSerf(t)
	dir := t.TempDir()
	alpha := startSerf(t, "alpha", loopback.Addr(t), filepath.Join(dir, "alpha.snap"))

	file := filepath.Join(dir, "beta.snap")
	w, _, err := snapshot.Open(snapshot.Config{Path: file, Clock: func() lamport.Time { return 31 }})
	if err != nil {
		t.Fatal(err)
	}
	member := func(name string, addr netip.AddrPort) *view.Member {
		return &view.Member{Name: name, Addr: addr.Addr(), Port: addr.Port()}
	}
	gone := netip.MustParseAddrPort("127.0.0.1:1")
	w.Record(&event.Member{Kind: event.TypeMemberJoin, Members: []*view.Member{member("gone", gone), member("alpha", netip.MustParseAddrPort(alpha.bind))}})
	w.Record(&event.Member{Kind: event.TypeMemberFailed, Members: []*view.Member{member("gone", gone)}})
	w.Record(&event.User{Name: "deploy", LTime: 40})
	w.Record(&event.Query{Name: "load", LTime: 20})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}

	beta := startSerf(t, "beta", loopback.Addr(t), file)
	beta.until("it has joined alpha again", func() bool {
		out := beta.must("members", "-status", "alive", "-name", "alpha")
		return strings.Contains(out, alpha.bind)
	})
	for key, least := range map[string]int{"member_time": 31, "event_time": 41, "query_time": 21} {
		if got := beta.stat(key); got < least {
			t.Errorf("beta's %s is %d, want at least %d", key, got, least)
		}
	}
	if out := beta.out.String(); strings.Contains(out, "Unrecognized snapshot line") || strings.Contains(out, "gone") {
		t.Errorf("beta said:\n%s", out)
	}
}
