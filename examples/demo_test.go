//go:build unix

package examples_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// demo is the demo as a process, with a temporary directory of its own.
type demo struct {
	*exec.Cmd
	tmp string
	out string // path of the file that has its output
}

func (d demo) output(t *testing.T) string {
	t.Helper()
	return string(must(os.ReadFile(d.out))(t))
}

// startDemo builds the demo and starts it with the programs under test.
func startDemo(ctx context.Context, t *testing.T, args ...string) demo {
	t.Helper()
	// Short, because there will be Unix sockets in it.
	tmp := must(os.MkdirTemp("", "demo-"))(t)
	t.Cleanup(func() { os.RemoveAll(tmp) })
	program := filepath.Join(t.TempDir(), "demo")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "./demo").CombinedOutput(); err != nil {
		t.Fatalf("build the demo: %v\n%s", err, out)
	}
	log := must(os.Create(filepath.Join(t.TempDir(), "out")))(t)
	defer log.Close()
	cmd := exec.Command(program, append([]string{"-bin", programs}, args...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return demo{cmd, tmp, log.Name()}
}

// gone checks that nothing is left of the demo: no file, and no process that was started with one of its files.
func (d demo) gone(ctx context.Context, t *testing.T) {
	t.Helper()
	if left := must(os.ReadDir(d.tmp))(t); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	eventually(ctx, t, func() error {
		commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, path := range commands {
			// A process that has just ended cannot be read.
			if command, _ := os.ReadFile(path); bytes.Contains(command, []byte(d.tmp)) {
				err = fmt.Errorf("still running: %s", bytes.ReplaceAll(command, []byte{0}, []byte{' '}))
			}
		}
		return err
	})
}

func TestDemo(t *testing.T) {
	t.Parallel()
	need(t, "dig")
	need(t, "haproxy")
	need(t, "terraform", "tofu")
	ctx := within(t)
	d := startDemo(ctx, t)
	err := d.Wait()
	out := d.output(t)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		`SRV\s.*web-1\.node\.gossip\.`, "hello from web-2", "web-2 handles deploy v41", "Resources: 2 added", "db-1 handles deploy v42",
		`web-2 .* failed`, "HAProxy answers from web-1 alone", "5 programs stopped",
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("the demo does not show %q", want)
		}
	}
	if strings.Contains(out, "skipped") {
		t.Error("the demo left something out")
	}
	d.gone(ctx, t)
	if t.Failed() {
		t.Log(out)
	}
}

func TestDemoInterrupted(t *testing.T) {
	t.Parallel()
	ctx := within(t)
	d := startDemo(ctx, t)
	eventually(ctx, t, func() error {
		if out := d.output(t); !strings.Contains(out, "== 2.") {
			return fmt.Errorf("has not come far: %s", out)
		}
		return nil
	})
	if err := d.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := d.Wait(); err == nil || d.ProcessState.ExitCode() != 1 {
		t.Errorf("an interrupted demo ends with %v, want exit code 1", err)
	}
	if out := d.output(t); !strings.Contains(out, "interrupted") {
		t.Errorf("does not say that it was interrupted:\n%s", out)
	}
	d.gone(ctx, t)
}

// TestDemoKept leaves the demo running, talks to it as it says one can, and stops it as it says.
func TestDemoKept(t *testing.T) {
	t.Parallel()
	ctx, s := within(t), stage(t)
	d := startDemo(ctx, t, "-keep")
	// Whatever comes, what was left running is stopped.
	stop := func() error {
		script, err := filepath.Glob(filepath.Join(d.tmp, "gossip-*", "stop"))
		if err != nil || len(script) != 1 {
			return fmt.Errorf("no script to stop it: %v %w", script, err)
		}
		return exec.Command("sh", script[0]).Run()
	}
	t.Cleanup(func() { _ = stop() }) // stopped already if all went well
	if err := d.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, d.output(t))
	}
	_, kept, _ := strings.Cut(d.output(t), "It keeps running")
	command := regexp.MustCompile(`gossip (members -rpc-addr=\S+)`).FindStringSubmatch(kept)
	if command == nil {
		t.Fatalf("does not tell how to talk to it:\n%s", kept)
	}
	members := must(s.Run(ctx, nil, "gossip", strings.Fields(command[1])...))(t)
	if members.Code != 0 || !strings.Contains(members.Stdout, "db-1") {
		t.Errorf("%s: got %+v", command[0], members)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	d.gone(ctx, t)
}
