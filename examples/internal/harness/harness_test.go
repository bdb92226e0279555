//go:build unix

package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestCloseLeavesNothing starts programs that would rather stay: one with a child, one that ignores the request to end.
func TestCloseLeavesNothing(t *testing.T) {
	t.Parallel()
	s, err := New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	parent, err := s.Start("parent", "/bin/sh", "-c", "sleep 600 & echo $!; wait")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var child int
	err = Eventually(ctx, func() (err error) {
		child, err = strconv.Atoi(strings.TrimSpace(parent.Log()))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if parent.Running() {
		t.Error("the parent still runs")
	}
	err = Eventually(ctx, func() error {
		// The child was handed to init, which may take a moment to bury it.
		if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child)); err == nil && strings.Contains(string(stat), ") Z ") {
			return nil
		}
		if err := syscall.Kill(child, 0); !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("the child %d is still there: %w", child, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(s.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}
	s.Close() // again does no harm
}

func TestRun(t *testing.T) {
	t.Parallel()
	s, err := New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r, err := s.Run(t.Context(), []string{"WHAT=this"}, "/bin/sh", "-c", "echo $WHAT; echo that >&2; exit 3")
	if want := (Result{Stdout: "this\n", Stderr: "that\n", Code: 3}); err != nil || r != want {
		t.Errorf("got %+v, %v, want %+v", r, err, want)
	}
	if _, err := s.Run(t.Context(), nil, "missing"); err == nil {
		t.Error("a missing program gives no error")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Run(ctx, nil, "/bin/sh", "-c", "sleep 600"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a program that hangs ends with %v, want %v", err, context.DeadlineExceeded)
	}
}

// TestStopScript ends a program that was left running, but not another one that has its id by now.
func TestStopScript(t *testing.T) {
	t.Parallel()
	s, err := New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	p, err := s.Start("left", "/bin/sleep", "600")
	if err != nil {
		t.Fatal(err)
	}
	script, err := s.StopScript(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	line := fmt.Sprintf("end %d '", p.Pid())
	if !strings.Contains(script, line) {
		t.Fatalf("the script does not end process %d:\n%s", p.Pid(), script)
	}
	play := func(script string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "sh", "-c", script).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	if out := play(strings.Replace(script, line, line+"1", 1)); !strings.Contains(out, "left has ended already") || !p.Running() {
		t.Errorf("a process that started at another time was ended, or not told of: %s", out)
	}
	if out := play(script); out != "" {
		t.Errorf("the script says %s", out)
	}
	<-p.Done()
	if _, err := os.Stat(s.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}
	if out := play(script); !strings.Contains(out, "left has ended already") {
		t.Errorf("the second time it says %q", out)
	}
}
