package provider

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/membership"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/session"
)

// ask asks a query once, until each member that is to answer has, or the time for answers is over. It returns the names of
// these members, and the answers. heard, if any, is told of each answer as it comes. Where nobody is to answer, nobody is
// asked.
func ask(ctx context.Context, agent *session.Agent, query session.Query, heard func(string, []byte)) ([]string, map[string][]byte, error) {
	filter, err := queryFilter(query)
	if err != nil {
		return nil, nil, err
	}
	view, err := agent.View(ctx)
	if err != nil {
		return nil, nil, err
	}
	var eligible []string
	for _, member := range filter.Select(view.Members) {
		if len(query.FilterNodes) == 0 || slices.Contains(query.FilterNodes, member.Name) {
			eligible = append(eligible, member.Name)
		}
	}
	if len(eligible) == 0 {
		return nil, nil, nil
	}
	answers, err := agent.Ask(ctx, query, eligible, heard)
	return eligible, answers, err
}

// enough is an error if too few of the members that were asked answered, and names those that did.
func enough(query session.Query, asked int, answers map[string][]byte, least int64) error {
	switch {
	case int64(len(answers)) >= least:
		return nil
	case asked == 0:
		return fmt.Errorf("no member that is alive matches its filters, and min_responses asks for %d answers", least)
	}
	who := "nobody"
	if len(answers) > 0 {
		who = strings.Join(slices.Sorted(maps.Keys(answers)), ", ")
	}
	return fmt.Errorf("of %d members, %d answered within %s, and min_responses asks for %d; it was answered by %s. Check that the others have a handler query:%s",
		asked, len(answers), query.Timeout, least, who, query.Name)
}

// queryFilter selects, from a member list, those whom a query goes to by its tags: members that are alive and whose tags
// match, a missing tag being empty (Serf reference 2.9).
func queryFilter(query session.Query) (membership.Filter, error) {
	filter := membership.Filter{Statuses: []string{membership.Alive}, TagRegex: map[string]*regexp.Regexp{}}
	for key, expr := range query.FilterTags {
		expression, err := membership.CompileName(expr)
		if err != nil {
			return filter, fmt.Errorf("tag %s: %w", key, err)
		}
		filter.TagRegex[key] = expression
	}
	return filter, nil
}
