package reload

import (
	"fmt"
	"os"
)

func kill(_ int, name string) error {
	return fmt.Errorf("there is no signal %s on windows; use a reload command", name)
}

func alive(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	_ = p.Release() // only looked for
	return true
}
