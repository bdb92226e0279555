package harness

import (
	"os"
	"syscall"
)

// ownGroup puts a child into a process group of its own, so that an interrupt typed at the terminal reaches only us.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// killGroup ends a process; Windows has no signal for a group.
func killGroup(pid int) {
	if p, err := os.FindProcess(pid); err == nil {
		_ = p.Kill() // one that is gone already is what was wanted
	}
}

// terminate ends a process: Windows cannot ask a console program without its console.
func terminate(p *os.Process) { _ = p.Kill() }
