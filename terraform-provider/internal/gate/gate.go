// Package gate judges whether enough members answered a query as they should: the rule by which a deploy counts as
// done. It is pure; asking is the caller's.
package gate

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
)

// Rule says what enough is.
type Rule struct {
	Expect     *regexp.Regexp // what a good answer matches as a whole, spaces around it cut off
	MinCount   int            // fewest good answers; 0 means by MinPercent alone
	MinPercent float64        // fewest good answers in percent of the eligible members; 0 means by MinCount alone
}

// Need returns how many of the eligible members must answer well. A rule that names neither number means all; where
// both are named the larger counts. At least one must: nobody to ask is no consent.
func (r Rule) Need(eligible int) int {
	if r.MinCount == 0 && r.MinPercent == 0 {
		return max(eligible, 1)
	}
	return max(1, r.MinCount, int(math.Ceil(r.MinPercent*float64(eligible)/100-1e-9)))
}

// Verdict is how a round of answers came out.
type Verdict struct {
	Need     int
	Eligible []string          // who was to answer, sorted
	Good     []string          // who answered well, sorted
	Bad      map[string]string // who answered otherwise, and what
	Silent   []string          // who did not answer, sorted
}

// Judge compares answers with the rule. Answers of members that are not eligible do not count.
func (r Rule) Judge(eligible []string, answers map[string][]byte) Verdict {
	v := Verdict{Need: r.Need(len(eligible)), Eligible: slices.Sorted(slices.Values(eligible)), Bad: map[string]string{}}
	for _, node := range v.Eligible {
		answer, ok := answers[node]
		text := strings.TrimSpace(string(answer))
		switch {
		case !ok:
			v.Silent = append(v.Silent, node)
		case r.Expect.MatchString(text):
			v.Good = append(v.Good, node)
		default:
			v.Bad[node] = text
		}
	}
	return v
}

// Passed reports whether enough answered well.
func (v Verdict) Passed() bool { return len(v.Good) >= v.Need }

// listed bounds how many members a report names of each kind, and quoted how much of an answer it shows, in bytes.
const (
	listed = 50
	quoted = 200
)

// String says how many answered well, and names all the others.
func (v Verdict) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d members answered as expected, and %d must", len(v.Good), len(v.Eligible), v.Need)
	if len(v.Eligible) == 0 {
		b.WriteString("; no member that is alive matches the filters")
	}
	bad := make([]string, 0, len(v.Bad))
	for node := range v.Bad {
		bad = append(bad, node)
	}
	slices.Sort(bad)
	for i, node := range bad {
		if i == listed {
			fmt.Fprintf(&b, "\n  - and %d more answered otherwise", len(bad)-listed)
			break
		}
		text := v.Bad[node]
		if len(text) > quoted {
			text = text[:quoted] + "..."
		}
		fmt.Fprintf(&b, "\n  - %s: answered %q", node, text)
	}
	for i, node := range v.Silent {
		if i == listed {
			fmt.Fprintf(&b, "\n  - and %d more did not answer", len(v.Silent)-listed)
			break
		}
		fmt.Fprintf(&b, "\n  - %s: no answer", node)
	}
	return b.String()
}
