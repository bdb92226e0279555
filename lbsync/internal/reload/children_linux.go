package reload

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
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
