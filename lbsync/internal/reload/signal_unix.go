//go:build unix

package reload

import (
	"errors"
	"fmt"
	"syscall"
)

var signals = map[string]syscall.Signal{"HUP": syscall.SIGHUP, "USR2": syscall.SIGUSR2}

func kill(pid int, name string) error {
	if err := syscall.Kill(pid, signals[name]); err != nil {
		return fmt.Errorf("cannot send %s to process %d: %w", name, pid, err)
	}
	return nil
}

func alive(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }
