//go:build unix

package harness

import (
	"os"
	"syscall"
)

// ownGroup puts a child into a process group of its own, so that an interrupt typed at the terminal reaches only us, and
// so that the child can be ended together with its children.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// killGroup ends a process group at once. A group that is gone already is what was wanted.
func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }

// terminate asks a process to end. One that is gone already is what was wanted.
func terminate(p *os.Process) { _ = p.Signal(syscall.SIGTERM) }
