package haproxy

import (
	"bytes"
	"strings"

	"github.com/seed-645ce708/gossip/lbsync/internal/haproxy/cli"
)

// noState is a server-state-file that says nothing: only the version of its form.
const noState = "1\n"

// filterState drops from a dump of `show servers state` the rows for which keep is false, and those that
// cannot be read. HAProxy would believe a file's port more than its own configuration's, and put traffic
// where a server once was.
func filterState(dump string, keep func(cli.ServerState) bool) []byte {
	var out bytes.Buffer
	out.WriteString(noState)
	header := ""
	for line := range strings.Lines(dump) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "#") {
			header = line
			out.WriteString(line + "\n")
			continue
		}
		if header == "" || len(strings.Fields(line)) < 2 {
			continue
		}
		rows, err := cli.ParseServersState(noState + header + "\n" + line + "\n")
		if err == nil && len(rows) == 1 && keep(rows[0]) {
			out.WriteString(line + "\n")
		}
	}
	if header == "" {
		return []byte(noState)
	}
	return out.Bytes()
}
