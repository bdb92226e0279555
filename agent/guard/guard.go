// Package guard is the one rule for "may this change be applied, or is it held, and why". DNS, lbsync and the
// Terraform provider ask it before they act on a membership view, so that a fleet is never emptied by an
// agent that was cut off, had just started, or saw many members fail at once.
//
// The rule is lopsided on purpose: adding is always allowed, removing is what gets held, and who announced that it
// goes is let go whatever the view is worth, down to the floor. It is checked in this order: an untrusted view
// removes nobody for having failed; failures may take only so many per window (see [Window]); the set never falls
// below its floor, which is at least one unless the policy says otherwise. With [Holds] a removal is held for a
// bounded time only.
//
// The package is pure and imports the standard library alone: no clock, no I/O, no goroutine. Its functions
// may be called from any goroutine; a [Window] and a [Holds] belong to one.
package guard

import (
	"fmt"
	"slices"
	"sort"
	"time"
)

// Policy is what the operator allows.
type Policy struct {
	// Min is how many must stay, however many fail or leave, if that many are there now. Below 1 counts as 1.
	Min int
	// AllowEmpty lets the set become empty, past Min too, when every one in it left by its own will.
	AllowEmpty bool
	// NoFloor takes the floor away, Min or not: a trusted view may empty the set. It suits readers who would show
	// the truth at once and only doubt the view, such as DNS.
	NoFloor bool
}

// Request describes a change that a consumer would like to make. Names are compared as they are; each list
// may come in any order and a name that occurs twice counts once.
type Request struct {
	// Known tells that Current was decided on earlier, maybe by an earlier run of the process. False on the
	// very first decision, when Current is empty because nothing is known yet.
	Known bool
	// Current is what is in effect now: the last good set.
	Current []string
	// Wanted is what the view asks for.
	Wanted []string
	// Left holds those who announced that they go: nobody who is cut off makes that up, so their removal is held
	// by the floor alone.
	Left map[string]bool
	// Distrust says why the view is not to be trusted, as a clause such as "the agent is unreachable"; empty
	// means that it is.
	Distrust string
	// Budget is how many more may be removed without having left, as [Window.Budget] counts it. Negative
	// means no limit.
	Budget int
	Policy
}

// Rule is why a removal is held, in a word for labels of metrics.
type Rule string

// The rules.
const (
	RuleView     Rule = "view"        // it is not trusted
	RuleBudget   Rule = "max_removal" // spent in this window
	RuleFloor    Rule = "min_servers"
	RuleOperator Rule = "operator" // for callers that let one order it
)

// Held is a removal that was not allowed.
type Held struct {
	Name   string
	Reason string // a clause such as "the agent is unreachable"
	Rule   Rule
}

// Decision is what to do. Every list is sorted and free of doubles.
type Decision struct {
	// Apply is the set to put into effect: all of Wanted, and all that is held.
	Apply []string
	// Added and Removed lead from Current to Apply.
	Added, Removed []string
	// Failed counts those of Removed that had not left; it is what to take from the window's budget.
	Failed int
	Held   []Held
	// Until is when some of Held will be let go although nothing changes; zero if time alone does not help, or if
	// it is not a [Holds] that decided.
	Until time.Time
	// Wait tells that nothing may be put into effect yet: the view is not trusted and there is no earlier
	// set to fall back on. Apply is empty then and must not be used.
	Wait bool
	// Reason sums up why anything is held or waited for; empty if nothing is.
	Reason string
}

// Decide applies the rule. Whatever the request, Wanted is part of Apply unless Wait, Apply holds no name
// that is in neither Current nor Wanted, and a Current that is not empty leads to an Apply that is not empty,
// unless NoFloor, or AllowEmpty and all of Current left.
func Decide(r Request) Decision {
	if !r.Known && r.Distrust != "" {
		return Decision{Wait: true, Reason: "nothing is known from earlier, and " + r.Distrust}
	}
	current, wanted := sorted(r.Current), sorted(r.Wanted)
	d := Decision{Added: minus(wanted, current)}

	var failed, left []string // those that may still go
	everyoneLeft := true
	for _, name := range current {
		if !r.Left[name] {
			everyoneLeft = false
		}
	}
	for _, name := range minus(current, wanted) {
		switch {
		case r.Left[name]:
			left = append(left, name)
		case r.Distrust != "":
			d.Held = append(d.Held, Held{name, r.Distrust, RuleView})
		case r.Budget >= 0 && len(failed) >= r.Budget:
			d.Held = append(d.Held, Held{name, "as many as the removal limit allows were removed already in this window", RuleBudget})
		default:
			failed = append(failed, name)
		}
	}

	floor := min(max(r.Min, 1), len(current))
	if r.NoFloor || r.AllowEmpty && everyoneLeft {
		floor = 0
	}
	reason := fmt.Sprintf("at least %d must stay", floor)
	// Those that failed are held before those that left: they are the likelier to come back.
	for _, gone := range []*[]string{&failed, &left} {
		for len(wanted)+len(d.Held) < floor && len(*gone) > 0 {
			d.Held = append(d.Held, Held{(*gone)[0], reason, RuleFloor})
			*gone = (*gone)[1:]
		}
	}

	sort.Slice(d.Held, func(i, j int) bool { return d.Held[i].Name < d.Held[j].Name })
	d.Failed = len(failed)
	d.Removed = sorted(append(failed, left...))
	d.Apply = slices.Clone(wanted)
	for _, h := range d.Held {
		d.Apply = append(d.Apply, h.Name)
	}
	slices.Sort(d.Apply)
	if len(d.Held) > 0 {
		d.Reason = fmt.Sprintf("%d of %d removals held: %s", len(d.Held), len(d.Held)+len(d.Removed), d.Held[0].Reason)
	}
	return d
}

// sorted returns the names in order, each once, in a slice of its own.
func sorted(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}

// minus returns what is in a but not in b, both sorted.
func minus(a, b []string) []string {
	var out []string
	for _, name := range a {
		if _, ok := slices.BinarySearch(b, name); !ok {
			out = append(out, name)
		}
	}
	return out
}
