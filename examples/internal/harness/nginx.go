package harness

import (
	"os"
	"strings"
)

// NginxReloads counts in an error log of level notice how often nginx took its configuration anew.
func NginxReloads(log string) (int, error) {
	text, err := os.ReadFile(log)
	return strings.Count(string(text), ", reconfiguring\n"), err
}
