//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// operatorSignals returns HUP and USR1 as they come, until the function is called.
func operatorSignals() (<-chan os.Signal, func()) {
	c := make(chan os.Signal, 4)
	signal.Notify(c, syscall.SIGHUP, syscall.SIGUSR1)
	return c, func() { signal.Stop(c) }
}

func isReload(s os.Signal) bool { return s == syscall.SIGHUP }
