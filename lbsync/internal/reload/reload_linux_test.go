package reload

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// master starts a shell that starts a child on USR2 and ignores HUP, and returns its pid file.
func master(t *testing.T) string {
	t.Helper()
	cmd := exec.Command("sh", "-c", `trap 'sleep 60 & kids="$kids $!"' USR2; trap '' HUP; trap 'kill $kids; exit' TERM; echo ready; while :; do read x; done`)
	if _, err := cmd.StdinPipe(); err != nil { // never written to: read waits without a child
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		_, _ = cmd.Process.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the shell does not start: %q, %v", line, err)
	}
	pidFile := filepath.Join(t.TempDir(), "pid")
	if err := os.WriteFile(pidFile, []byte(strconv.Itoa(cmd.Process.Pid)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return pidFile
}

func TestParseStat(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]struct {
		state  byte
		parent int
		ok     bool
	}{
		"12 (nginx) S 7 12 12 0": {'S', 7, true},
		"12 (a) Z 9 (b)) R 8 12": {'R', 8, true},
		"12 (x":                  {},
		"12 (x)":                 {},
		"12 (x) S y":             {state: 'S'},
	} {
		state, parent, ok := parseStat([]byte(in))
		if state != want.state || parent != want.parent || ok != want.ok {
			t.Errorf("%q: got %c %d %t", in, state, parent, ok)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("12 (nginx: worker) S 7 12 12 0"))
	f.Fuzz(func(_ *testing.T, stat []byte) { parseStat(stat) })
}

func TestReadPID(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for content, want := range map[string]string{"": "is empty", "x": "no process id", "1": "no process id", "-5": "no process id", "4194999": "no process 4194999"} {
		path := filepath.Join(dir, "pid"+content)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readPID(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", content, err, want)
		}
	}
	if _, err := readPID(filepath.Join(dir, "none")); !errors.Is(err, ErrNotRunning) {
		t.Errorf("no file: %v", err)
	}
}

func TestSignal(t *testing.T) {
	t.Parallel()
	pidFile := master(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for range 2 {
		if err := Signal(ctx, pidFile, "USR2"); err != nil {
			t.Errorf("a master that starts a worker: %v", err)
		}
	}
	short, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := Signal(short, pidFile, "HUP"); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no new worker") {
		t.Errorf("a master that does nothing: %v", err)
	}
}

// TestStranger: a process that got the id of a balancer that ended is left in peace.
func TestStranger(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	pidFile := filepath.Join(t.TempDir(), "pid")
	if err := os.WriteFile(pidFile, []byte(strconv.Itoa(cmd.Process.Pid)), 0o600); err != nil {
		t.Fatal(err)
	}
	// Not HUP: under nohup it would ignore that, as its parents do.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := Signal(ctx, pidFile, "USR2"); !errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), "is another program") {
		t.Errorf("it was sent a signal: %v", err)
	}
	if _, err := Identify(pidFile, "USR2"); !errors.Is(err, ErrNotRunning) {
		t.Errorf("identified: %v", err)
	}
	if _, err := Identify(pidFile, ""); err != nil {
		t.Errorf("without a signal: %v", err)
	}
	select {
	case err := <-ended:
		t.Errorf("it was ended: %v", err)
	default:
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err == nil {
		t.Error("it ended well, although it was killed")
	}
}
