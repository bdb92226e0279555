package doctor

import (
	"fmt"
	"slices"
	"strings"
)

// Case is one member with the findings about it.
type Case struct {
	Member
	Findings []Finding
}

// Faulty reports whether any finding is a fault.
func Faulty(findings []Finding) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool { return f.Level == Fault })
}

// Verdict sums up in a few sentences, the most important first. What fails with everybody is our own trouble.
func Verdict(local []Finding, cases []Case) []string {
	var lines []string
	tested := len(cases)
	common := map[string]bool{}
	for _, check := range []string{"udp", "tcp", "size", "clock"} {
		n := 0
		for _, c := range cases {
			if slices.ContainsFunc(c.Findings, func(f Finding) bool { return f.Check == check && f.Level == Fault }) {
				n++
			}
		}
		if n >= 2 && n == tested {
			common[check] = true
			lines = append(lines, fmt.Sprintf("%s fails with all %d members that were tested: the cause is most likely at this agent or its host.", strings.ToUpper(check), n))
		}
	}
	for _, f := range local {
		if f.Level == Fault {
			lines = append(lines, fmt.Sprintf("This agent: %s: %s.", f.Check, f.Text))
		}
	}
	faulty := 0
	for _, c := range cases {
		var own []string
		for _, f := range c.Findings {
			if f.Level == Fault && !common[f.Check] {
				own = append(own, f.Check)
			}
		}
		if len(own) > 0 {
			lines = append(lines, fmt.Sprintf("%s: trouble with %s.", c.Name, strings.Join(own, ", ")))
		}
		if Faulty(c.Findings) {
			faulty++
		}
	}
	switch {
	case faulty > 0:
		lines = append(lines, fmt.Sprintf("%d of %d members tested are healthy as seen from here.", tested-faulty, tested))
	case Faulty(local):
	case tested == 0:
		lines = append(lines, "This agent is healthy; there is no other member to test.")
	case tested == 1:
		lines = append(lines, "All is well between this agent and "+cases[0].Name+".")
	default:
		lines = append(lines, fmt.Sprintf("All is well between this agent and the %d members tested.", tested))
	}
	return lines
}
