// Package reload makes a running process load its configuration anew, and proves that it did: a signal or a
// command tells nothing about success, a new worker process does.
package reload

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

// ErrNotRunning means that there is no process to reload: its file is in place for when it starts.
var ErrNotRunning = errors.New("not running")

// errNoProof means that this system offers no way to list a process's children.
var errNoProof = errors.New("children cannot be listed here")

// poll is how often the children are looked at.
const poll = 20 * time.Millisecond

// Signal sends HUP or USR2 to the process whose id is in pidFile and waits until it has a new child, or ctx
// ends. A process that the signal would end is no balancer but a stranger, which has got the id of one that ended; the error is then
// ErrNotRunning. On systems other than Linux it neither looks nor waits: there is no cheap proof.
func Signal(ctx context.Context, pidFile, signal string) error {
	return Verified(ctx, pidFile, func(ctx context.Context) error {
		pid, err := readPID(pidFile)
		if err == nil {
			err = familiar(pid, pidFile, signal)
		}
		if err != nil {
			return err
		}
		return kill(pid, signal)
	})
}

// Verified calls trigger and waits until the process whose id is in pidFile has a child that it did not have
// before, or ctx ends.
func Verified(ctx context.Context, pidFile string, trigger func(context.Context) error) error {
	pid, err := readPID(pidFile)
	if err != nil {
		return err
	}
	before, err := children(pid)
	if errors.Is(err, errNoProof) {
		return trigger(ctx)
	}
	if err != nil {
		return err
	}
	if err := trigger(ctx); err != nil {
		return err
	}
	seen := 0 // a worker that dies at once does not count: it must be there at two looks
	for {
		now, err := children(pid)
		if err != nil {
			return err
		}
		fresh := false
		for child := range now {
			fresh = fresh || !before[child]
		}
		if !fresh {
			seen = 0
		} else if seen++; seen >= 2 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("process %d started no new worker, so it did not take the new configuration; see its log: %w", pid, ctx.Err())
		case <-time.After(poll):
		}
	}
}

// familiar makes sure that the process does something about the signal. Without a signal it cannot tell.
func familiar(pid int, pidFile, signal string) error {
	if signal == "" || handles(pid, signal) {
		return nil
	}
	return fmt.Errorf("%w: process %d, which %s names, is another program: %s would end it", ErrNotRunning, pid, pidFile, signal)
}

// readPID reads a process id and makes sure that such a process is there.
func readPID(path string) (int, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("%w: there is no %s", ErrNotRunning, path)
	}
	if err != nil {
		return 0, err
	}
	text := strings.TrimSpace(string(data))
	if text == "" { // nginx -t leaves an empty file behind
		return 0, fmt.Errorf("%w: %s is empty", ErrNotRunning, path)
	}
	pid, err := strconv.Atoi(text)
	if err != nil || pid < 2 {
		return 0, fmt.Errorf("%s holds %q, which is no process id", path, text)
	}
	if !alive(pid) {
		return 0, fmt.Errorf("%w: there is no process %d, which %s names", ErrNotRunning, pid, path)
	}
	return pid, nil
}
