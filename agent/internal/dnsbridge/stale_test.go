package dnsbridge

import (
	"testing"

	"github.com/seed-645ce708/gossip/agent/internal/view"
)

// TestStaleView: a copy of an agent's view counts as stale as a whole while the agent is away.
func TestStaleView(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.check("fresh", "abcde", "e", "abcde")
	w.verdict.Confidence = view.Confidence{Stale: true}
	w.apply()
	w.check("stale", "abcde?", "e?", "a?b?c?d?e?")
	w.verdict.Confidence = view.Confidence{}
	w.set("b", view.StatusLeft)
	w.check("fresh again", "acde", "e", "axcde")
}
