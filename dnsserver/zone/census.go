package zone

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// census counts what the members of a service are. It is kept up to date change by change, since to visit all of them each
// time would make the price of a change depend on how many there are.
type census struct {
	instances int        // members that somebody who browses finds
	spellings []spelling // of the service's name, ordered by name; two that differ in case only are found as one
}

type spelling struct {
	name  string
	count int // of services; a member may have one in each spelling
}

// take returns the census of a group that became g by these changes.
func (c census) take(g *group, old tree[*part], changes map[string]*part) census {
	c.spellings = slices.Clone(c.spellings)
	for member, now := range changes {
		if was, _ := old.get([]byte(member)); was != now {
			c.add(g, was, -1)
			c.add(g, now, 1)
		}
	}
	c.spellings = slices.DeleteFunc(c.spellings, func(s spelling) bool { return s.count == 0 })
	return c
}

func (c *census) add(g *group, p *part, n int) {
	if p == nil {
		return
	}
	if g.lists(p) {
		c.instances += n
	}
	for _, s := range p.services {
		i, found := slices.BinarySearchFunc(c.spellings, s.Name, func(s spelling, name string) int { return strings.Compare(s.name, name) })
		if !found {
			c.spellings = slices.Insert(c.spellings, i, spelling{name: s.Name})
		}
		c.spellings[i].count += n
	}
}

// setSpellings notes that members spell the name of a service otherwise than others do, once for each spelling but that of
// small letters, or the first one.
func (u *update) setSpellings(label string, g *group) {
	var found []Problem
	if len(g.census.spellings) > 1 {
		names := make([]string, len(g.census.spellings))
		for i, s := range g.census.spellings {
			names[i] = s.name
		}
		slices.SortFunc(names, compareSpellings)
		for _, name := range names[1:] {
			found = append(found, Problem{Member: g.firstWith(name), Text: fmt.Sprintf(
				"service name %q differs from %q in case only: both are found as %s.%s.%s; spell it alike on all nodes",
				name, names[0], label, serviceLabel, u.cfg.origin.text)})
		}
	}
	if slices.Equal(found, u.spellings[label]) {
		return
	}
	if !u.ownSpellings {
		u.ownSpellings = true
		if u.spellings = maps.Clone(u.spellings); u.spellings == nil {
			u.spellings = make(map[string][]Problem)
		}
	}
	if u.spellings[label] = found; found == nil {
		delete(u.spellings, label)
	}
}

// firstWith returns the first member that spells the service so.
func (g *group) firstWith(name string) string {
	for member, p := range g.parts.all() {
		if slices.ContainsFunc(p.services, func(s Service) bool { return s.Name == name }) {
			return member
		}
	}
	return ""
}
