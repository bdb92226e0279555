package zone

import (
	"fmt"
	"maps"
)

// setProblems notes what of the node could not be published as it is. first is who has the plain label.
func (u *update) setProblems(n, first *node) {
	var found []Problem
	add := func(format string, args ...any) {
		found = append(found, Problem{Member: n.name, Text: fmt.Sprintf(format, args...)})
	}
	switch {
	case n.label == "" && n == first:
		add("node name %q has no DNS label (more than %d characters once escaped): it has no name in %s and no SRV records; give it a shorter name",
			n.name, maxLabel, u.cfg.origin.text)
	case n.label == "":
		add("node name %q differs from %q in case only, and escaped it is too long: it has no name in %s and no SRV records; rename one",
			n.name, first.name, u.cfg.origin.text)
	case n != first:
		add("node name %q differs from %q in case only: it is published as %s; rename one", n.name, first.name, n.host.Name)
	}
	for _, s := range n.services {
		if _, ok := Label(s.Name); !ok {
			add("service name %q of node %q has no DNS label (more than %d characters once escaped): it is not published; give it a shorter name",
				s.Name, n.name, maxLabel)
		}
	}
	u.dropProblems(n.name)
	if len(found) > 0 {
		u.writableProblems()[n.name] = found
	}
}

func (u *update) dropProblems(member string) {
	if _, ok := u.problems[member]; ok {
		delete(u.writableProblems(), member)
	}
}

func (u *update) writableProblems() map[string][]Problem {
	if !u.ownProblems {
		u.ownProblems = true
		if u.problems = maps.Clone(u.problems); u.problems == nil {
			u.problems = make(map[string][]Problem)
		}
	}
	return u.problems
}
