//go:build unix

package handler_test

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func number(t *testing.T, pid string) int {
	t.Helper()
	n, err := strconv.Atoi(pid)
	if err != nil || n <= 1 {
		t.Fatalf("%q is no process", pid)
	}
	return n
}

// alive reports whether a process runs.
func alive(t *testing.T, pid string) bool {
	t.Helper()
	if syscall.Kill(number(t, pid), 0) != nil {
		return false
	}
	// Where process 1 does not collect orphans they stay as zombies; only Linux lets us see that.
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	return err != nil || !strings.Contains(string(stat), ") Z ")
}

func kill(t *testing.T, pid string) {
	t.Helper()
	if err := syscall.Kill(number(t, pid), syscall.SIGKILL); err != nil {
		t.Error(err)
	}
}
