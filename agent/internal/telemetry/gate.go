package telemetry

import (
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/hashicorp/go-metrics"
)

// maxNames bounds the names that one bucket may hold. An agent has about a hundred; but names of events and queries,
// which others choose, become part of names of figures.
const maxNames = 1024

// gate is what all figures pass. It keeps names printable, so that nobody can forge lines, and bounds how many
// different ones there are. It is safe for concurrent use.
type gate struct {
	next metrics.FanoutSink

	mu    sync.Mutex
	since time.Time           // when names was emptied
	names map[string]struct{} // that came since then
	buf   []byte
}

var _ metrics.MetricSink = (*gate)(nil)

func newGate(next metrics.FanoutSink) *gate {
	return &gate{next: next, names: map[string]struct{}{}}
}

// pass returns the name to use for key; ok is false if there are too many names already.
func (g *gate) pass(key []string) (_ []string, ok bool) {
	for i, part := range key {
		if strings.ContainsFunc(part, unprintable) {
			clean := append([]string(nil), key...)
			for j := i; j < len(clean); j++ {
				clean[j] = strings.Map(printable, clean[j])
			}
			key = clean
			break
		}
	}
	if g.known(key) {
		return key, true
	}
	g.next.IncrCounterWithLabels([]string{service, "telemetry", "dropped"}, 1, nil)
	return nil, false
}

// known notes a name and tells whether there is room for it.
func (g *gate) known(key []string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now := time.Now(); now.Sub(g.since) >= bucket {
		clear(g.names)
		g.since = now
	}
	g.buf = g.buf[:0]
	for _, part := range key {
		g.buf = append(append(g.buf, part...), '.')
	}
	if _, ok := g.names[string(g.buf)]; ok {
		return true
	}
	if len(g.names) >= maxNames {
		return false
	}
	g.names[string(g.buf)] = struct{}{}
	return true
}

func unprintable(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }

func printable(r rune) rune {
	if unprintable(r) {
		return '_'
	}
	return r
}

func (g *gate) SetGauge(key []string, val float32) { g.SetGaugeWithLabels(key, val, nil) }

func (g *gate) SetGaugeWithLabels(key []string, val float32, labels []metrics.Label) {
	if key, ok := g.pass(key); ok {
		g.next.SetGaugeWithLabels(key, val, labels)
	}
}

func (g *gate) EmitKey(key []string, val float32) {
	if key, ok := g.pass(key); ok {
		g.next.EmitKey(key, val)
	}
}

func (g *gate) IncrCounter(key []string, val float32) { g.IncrCounterWithLabels(key, val, nil) }

func (g *gate) IncrCounterWithLabels(key []string, val float32, labels []metrics.Label) {
	if key, ok := g.pass(key); ok {
		g.next.IncrCounterWithLabels(key, val, labels)
	}
}

func (g *gate) AddSample(key []string, val float32) { g.AddSampleWithLabels(key, val, nil) }

func (g *gate) AddSampleWithLabels(key []string, val float32, labels []metrics.Label) {
	if key, ok := g.pass(key); ok {
		g.next.AddSampleWithLabels(key, val, labels)
	}
}
