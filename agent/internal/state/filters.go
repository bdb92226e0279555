package state

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/seed-645ce708/gossip/agent/internal/view"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// maxExpr is the longest regular expression of a filter, in bytes. Queries of stock agents fit 1 KiB.
const maxExpr = 1024

// isForUs reports whether the local member passes all filters of the query (reference 1.6). One that cannot
// be understood lets nobody pass.
func (s *State) isForUs(m *wire.Query) bool {
	for _, b := range m.Filters {
		f, err := wire.DecodeFilter(b)
		if err == nil {
			var pass func(name string, tags map[string]string) bool
			if pass, err = compile(f); err == nil {
				if !pass(s.name, s.tags) {
					return false
				}
				continue
			}
		}
		s.logf(Warn, "%v", err)
		return false
	}
	return true
}

// compile turns a filter into a test of a member's name and tags.
func compile(f wire.Filter) (func(name string, tags map[string]string) bool, error) {
	switch f := f.(type) {
	case *wire.NodeFilter:
		return func(name string, _ map[string]string) bool { return slices.Contains(f.Names, name) }, nil
	case *wire.TagFilter:
		if len(f.Expr) > maxExpr {
			return nil, fmt.Errorf("query has a filter expression of more than %d bytes", maxExpr)
		}
		re, err := regexp.Compile(f.Expr)
		if err != nil {
			return nil, fmt.Errorf("query has a filter that does not compile: %w", err)
		}
		return func(_ string, tags map[string]string) bool { return re.MatchString(tags[f.Tag]) }, nil
	default:
		return nil, errors.New("query has unrecognized filter")
	}
}

// expect counts the live members that will answer the query, as far as their tags are known here.
func (s *State) expect(in Query) int {
	var passes []func(string, map[string]string) bool
	if len(in.FilterNodes) > 0 {
		wanted := make(map[string]bool, len(in.FilterNodes))
		for _, name := range in.FilterNodes {
			wanted[name] = true
		}
		passes = append(passes, func(name string, _ map[string]string) bool { return wanted[name] })
	}
	for tag, expr := range in.FilterTags {
		pass, err := compile(&wire.TagFilter{Tag: tag, Expr: expr})
		if err != nil {
			return 0
		}
		passes = append(passes, pass)
	}
	if len(passes) == 0 {
		return s.members.counts.Live()
	}
	n := 0
	for _, m := range s.members.sorted {
		if m.Status != view.StatusAlive && m.Status != view.StatusLeaving {
			continue
		}
		tags := m.Tags
		if m.Name == s.name {
			tags = s.tags
		}
		if !slices.ContainsFunc(passes, func(pass func(string, map[string]string) bool) bool { return !pass(m.Name, tags) }) {
			n++
		}
	}
	return n
}
