package dnsbridge

import (
	"fmt"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/view"
)

// maxProblems is how many problems the status spells out.
const maxProblems = 5

// status is what the zone's name status says, one key=value a line: how far the answers can be trusted, how old they
// are, whom the view has, and what could not be published.
func (b *Bridge) status() []string {
	snap, z := b.store.Load(), b.source()
	c := snap.Confidence
	if b.cfg.Confidence != nil {
		c = b.cfg.Confidence()
	}
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if snap.Local != "" {
		add("node=%s", snap.Local)
	}
	add("ready=%t", b.ready())
	add("cut_off=%t", c.Isolated || c.Stale)
	if c.Evidence != "" {
		add("evidence=%s", c.Evidence)
	}
	if !c.LastContact.IsZero() {
		add("view_age=%v", time.Since(c.LastContact).Round(time.Millisecond))
	}
	counts := map[view.Status]int{}
	for _, m := range snap.Members {
		counts[m.Status]++
	}
	for _, s := range []view.Status{view.StatusAlive, view.StatusLeaving, view.StatusFailed, view.StatusLeft} {
		add("members_%v=%d", s, counts[s])
	}
	add("members_stale=%d", b.stale.Load())
	add("serial=%d", z.Serial())
	add("zone_age=%v", b.age().Round(time.Millisecond))
	problems := z.Problems()
	add("problems=%d", len(problems))
	for _, p := range problems[:min(len(problems), maxProblems)] {
		add("problem=%s (%s)", p.Text, p.Member)
	}
	return lines
}
