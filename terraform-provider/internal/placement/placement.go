// Package placement picks names for keys by rendezvous hashing: always the same ones, evenly spread, and with as few
// changes as can be when a name comes or goes. It is pure and imports the standard library alone.
package placement

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"strings"
)

// Pick returns n of names for key, the best first. Configurations depend on its choices, so they must never change.
func Pick(key string, names []string, n int) []string {
	type ranked struct {
		name  string
		score [sha256.Size]byte
	}
	all := make([]ranked, 0, len(names))
	for _, name := range names {
		all = append(all, ranked{name, sha256.Sum256([]byte(key + "\x00" + name))})
	}
	slices.SortFunc(all, func(a, b ranked) int {
		if c := bytes.Compare(b.score[:], a.score[:]); c != 0 {
			return c
		}
		return strings.Compare(a.name, b.name)
	})
	picked := make([]string, 0, n)
	for _, r := range all[:min(n, len(all))] {
		picked = append(picked, r.name)
	}
	return picked
}
