package reload

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// ErrUnknown means that this system does not tell when a process started.
var ErrUnknown = errors.New("processes cannot be told apart here")

// Process is a running process. No other process, earlier or later, has the same Instance.
type Process struct {
	PID      int
	Instance string    // PID@START
	Started  time.Time // no later than it did
}

// Identify identifies the process whose id is in pidFile. The error is ErrNotRunning if there is none, or one that does not
// know the signal by which it is reloaded; and ErrUnknown on systems other than Linux. The signal may be empty.
func Identify(pidFile, signal string) (Process, error) {
	pid, err := readPID(pidFile)
	if err == nil {
		err = familiar(pid, pidFile, signal)
	}
	if err != nil {
		return Process{}, err
	}
	return IdentifyPID(pid)
}

// IdentifyPID identifies the process with the id.
func IdentifyPID(pid int) (Process, error) {
	ticks, started, err := startOf(pid)
	if err != nil {
		return Process{}, err
	}
	return Process{PID: pid, Instance: fmt.Sprintf("%d@%d", pid, ticks), Started: started}, nil
}

// Children lists the processes whose parent is the one that pidFile names. It is empty where that cannot be found out.
func Children(pidFile string) ([]int, error) {
	pid, err := readPID(pidFile)
	if err != nil {
		return nil, err
	}
	set, err := children(pid)
	if errors.Is(err, errNoProof) {
		return nil, nil
	}
	return slices.Sorted(maps.Keys(set)), err
}
