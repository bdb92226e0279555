package tftest

import (
	"os"
	"syscall"
)

// peakMemory returns the largest resident size that a process or a child of it had.
func peakMemory(state *os.ProcessState) int64 {
	if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
		return usage.Maxrss << 10 // it is told in KiB
	}
	return 0
}
