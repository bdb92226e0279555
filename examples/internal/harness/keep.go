package harness

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// started is a shell function that tells when a process started, in words that no later process of the same id has.
const started = `started() {
  if [ -r "/proc/$1/stat" ]; then sed 's/.*) //' "/proc/$1/stat" | cut -d ' ' -f 20; else LC_ALL=C ps -o lstart= -p "$1"; fi 2>/dev/null
}
`

// StopScript returns a shell script that ends what still runs, and removes the directory, for when this process is gone. It
// leaves alone a process that only has the id of one of ours.
func (s *Stage) StopScript(ctx context.Context) (string, error) {
	var script strings.Builder
	script.WriteString("#!/bin/sh\n# Ends programs by process group, unless their id has become another's.\n" + started +
		`end() { # id, start, name
  if [ "$(started "$1")" = "$2" ]; then kill -9 "-$1"; else echo "$3 has ended already" >&2; fi
}
`)
	for _, p := range s.Processes() {
		when, err := exec.CommandContext(ctx, "sh", "-c", started+`started "$1"`, "sh", fmt.Sprint(p.Pid())).Output()
		if err == nil && strings.TrimSpace(string(when)) == "" {
			err = errors.New("neither /proc nor ps knows it")
		}
		if err != nil {
			return "", fmt.Errorf("find out when %s started: %w", p.Name, err)
		}
		fmt.Fprintf(&script, "end %d '%s' %s\n", p.Pid(), strings.TrimRight(string(when), "\n"), p.Name)
	}
	fmt.Fprintf(&script, "rm -rf '%s'\n", s.Dir)
	return script.String(), nil
}
