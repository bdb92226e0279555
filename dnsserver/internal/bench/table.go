//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// table collects the bursts of one mix.
type table struct {
	mix    string
	names  []string
	rounds []map[string]visit
}

type visit struct {
	outcome
	cost float64 // µs of processor time by query
	rate float64 // queries a second
}

func newTable(mix string) *table { return &table{mix: mix} }

// next begins a round.
func (t *table) next() { t.rounds = append(t.rounds, make(map[string]visit)) }

func (t *table) add(name string, o outcome, cpu time.Duration) {
	if !slices.Contains(t.names, name) {
		t.names = append(t.names, name)
	}
	t.rounds[len(t.rounds)-1][name] = visit{
		outcome: o,
		cost:    float64(cpu.Nanoseconds()) / 1000 / float64(o.answered),
		rate:    float64(o.answered) / o.took.Seconds(),
	}
}

// print writes the medians, with quartiles, and the ratios to ours in the same round.
func (t *table) print() {
	fmt.Printf("| %s | µs of processor by query | queries a second | their cost : ours | our throughput : theirs | octets | lost, wrong |\n", t.mix)
	fmt.Println("| --- | --- | --- | --- | --- | --- | --- |")
	for _, name := range t.names {
		pick := func(f func(v, ours visit) float64) []float64 {
			var all []float64
			for _, round := range t.rounds {
				if v, ok := round[name]; ok {
					all = append(all, f(v, round[oursName]))
				}
			}
			return all
		}
		var sum outcome
		for _, round := range t.rounds {
			v := round[name]
			sum.answered += v.answered
			sum.octets += v.octets
			sum.lost += v.lost
			sum.wrong += v.wrong
		}
		columns := []string{
			name,
			spread(pick(func(v, _ visit) float64 { return v.cost }), "%.2f"),
			spread(pick(func(v, _ visit) float64 { return v.rate }), "%.0f"),
			spread(pick(func(v, ours visit) float64 { return v.cost / ours.cost }), "%.2f"),
			spread(pick(func(v, ours visit) float64 { return ours.rate / v.rate }), "%.2f"),
			fmt.Sprint(sum.octets / max(sum.answered, 1)),
			fmt.Sprintf("%d, %d", sum.lost, sum.wrong),
		}
		fmt.Println("| " + strings.Join(columns, " | ") + " |")
	}
	fmt.Println()
}

// spread writes the median with the quartiles.
func spread(all []float64, format string) string {
	if len(all) == 0 {
		return ""
	}
	slices.Sort(all)
	n := len(all) - 1
	return fmt.Sprintf(format+" ("+format+"–"+format+")", all[n/2], all[n/4], all[n-n/4])
}
