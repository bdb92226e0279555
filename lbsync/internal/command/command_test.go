package command_test

import (
	"context"
	"errors"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/command"
)

func TestRun(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the test speaks sh")
	}
	ctx := context.Background()
	if out, err := command.Run(ctx, time.Minute, []string{"sh", "-c", "echo out; echo err >&2"}); err != nil || out != "out\nerr\n" {
		t.Errorf("got %q, %v", out, err)
	}
	_, err := command.Run(ctx, time.Minute, []string{"sh", "-c", "echo notice; echo '[ALERT] bad line'; exit 3"})
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 || !strings.HasSuffix(err.Error(), "exit status 3: [ALERT] bad line") {
		t.Errorf("got %v", err)
	}
	if _, err := command.Run(ctx, time.Minute, []string{"no-such-program-here"}); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	// The grandchild would keep the output open for an hour.
	if _, err := command.Run(ctx, 50*time.Millisecond, []string{"sh", "-c", "sleep 3600 & sleep 3600"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	// A program that leaves another one behind, as one that starts a daemon does, has done well.
	if out, err := command.Run(ctx, time.Minute, []string{"sh", "-c", "echo started; sleep 5 &"}); err != nil || out != "started\n" {
		t.Errorf("got %q, %v", out, err)
	}
	if out, err := command.Run(ctx, time.Minute, []string{"sh", "-c", "head -c 200000 /dev/zero"}); err != nil || len(out) != command.MaxOutput {
		t.Errorf("got %d bytes, %v", len(out), err)
	}
}

func TestReason(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                       "",
		"a\n\n b\tc \n":          "a; b c",
		"x\n[emerg] y\nz\n":      "[emerg] y",
		"a\x1b[31mb\n":           "a [31mb",
		strings.Repeat("x", 900): strings.Repeat("x", 800) + " ...",
	} {
		if got := command.Reason(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
