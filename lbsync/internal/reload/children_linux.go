package reload

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

// children lists the processes whose parent is pid, without those that ended.
func children(pid int) (map[int]bool, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("cannot list processes: %w", err)
	}
	out := map[int]bool{}
	for _, e := range entries {
		child, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // it ended meanwhile
		}
		if state, parent, ok := parseStat(stat); ok && parent == pid && state != 'Z' {
			out[child] = true
		}
	}
	return out, nil
}

// parseStat reads the state and the parent from /proc/PID/stat. The program's name before them is in
// parentheses and may hold anything, parentheses too.
func parseStat(stat []byte) (state byte, parent int, ok bool) {
	i := bytes.LastIndexByte(stat, ')')
	if i < 0 {
		return 0, 0, false
	}
	fields := bytes.Fields(stat[i+1:])
	if len(fields) < 2 || len(fields[0]) != 1 {
		return 0, 0, false
	}
	parent, err := strconv.Atoi(string(fields[1]))
	return fields[0][0], parent, err == nil
}

// handles tells whether the process catches, blocks or ignores the signal, so that it does not end by it. One that cannot be
// seen is believed to.
func handles(pid int, signal string) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return true
	}
	var masks uint64
	found := false
	for line := range bytes.Lines(status) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch string(name) {
		case "SigBlk", "SigIgn", "SigCgt":
			mask, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 16, 64)
			if err != nil {
				return true
			}
			masks, found = masks|mask, true
		}
	}
	return !found || masks&(1<<(signals[signal]-1)) != 0
}

// ticksPerSecond is USER_HZ, which is 100 on every architecture that Go runs on.
const ticksPerSecond = 100

// startOf returns when the process started, in ticks since the system did, and as a time that is no later.
func startOf(pid int) (uint64, time.Time, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, time.Time{}, fmt.Errorf("%w: there is no process %d", ErrNotRunning, pid)
	}
	if err != nil {
		return 0, time.Time{}, err
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return 0, time.Time{}, fmt.Errorf("%w: /proc/%d/stat is short", ErrUnknown, pid)
	}
	ticks, err := strconv.ParseUint(string(fields[19]), 10, 63) // field 22 by proc(5)
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	word, _, _ := strings.Cut(string(text), " ")
	up, err := strconv.ParseFloat(word, 64)
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	// Both are cut to hundredths: two of them make sure that the result is not too late.
	age := time.Duration((up - float64(ticks)/ticksPerSecond + 2.0/ticksPerSecond) * float64(time.Second))
	return ticks, time.Now().Add(-age), nil
}
