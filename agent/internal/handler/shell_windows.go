package handler

import (
	"context"
	"os/exec"
	"strconv"
)

// shell returns the command that runs a script. When ctx ends the script is killed with all that it has
// started.
func shell(ctx context.Context, command string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "cmd", "/C", command)
	cmd.Cancel = func() error {
		// taskkill walks the tree of processes, which the Windows API has no single call for.
		if exec.Command("taskkill", "/T", "/F", "/PID", strconv.Itoa(cmd.Process.Pid)).Run() == nil {
			return nil
		}
		return cmd.Process.Kill()
	}
	return cmd
}
