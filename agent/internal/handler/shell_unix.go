//go:build unix

package handler

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// shell returns the command that runs a script in a process group of its own, so that when ctx ends all that
// the script has started is killed with it.
func shell(ctx context.Context, command string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		if errors.Is(err, syscall.ESRCH) {
			return os.ErrProcessDone
		}
		return err
	}
	return cmd
}
