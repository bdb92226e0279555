package wire

import (
	"errors"
	"fmt"
)

// Filter is one condition on the members that a query is for: a *NodeFilter or a *TagFilter
// (Serf reference 1.6).
type Filter interface{ isFilter() }

// NodeFilter passes the members with these names.
type NodeFilter struct{ Names []string }

// TagFilter passes the members whose tag Tag, empty if they have none, holds a match of the regular
// expression Expr.
type TagFilter struct{ Tag, Expr string }

func (*NodeFilter) isFilter() {}
func (*TagFilter) isFilter()  {}

const (
	filterNode = 0
	filterTag  = 1
)

// EncodeNodeFilter returns an element of Query.Filters.
func EncodeNodeFilter(names []string) []byte {
	return appendStrings([]byte{filterNode}, names)
}

// EncodeTagFilter returns an element of Query.Filters.
func EncodeTagFilter(tag, expr string) []byte {
	b := appendMapLen([]byte{filterTag}, 2)
	b = appendString(appendString(b, "Expr"), expr)
	return appendString(appendString(b, "Tag"), tag)
}

// DecodeFilter decodes an element of Query.Filters. A query with a filter that cannot be decoded is for nobody.
func DecodeFilter(b []byte) (Filter, error) {
	if len(b) == 0 {
		return nil, errors.New("query has an empty filter")
	}
	r := reader{buf: b[1:]}
	var f Filter
	switch b[0] {
	case filterNode:
		f = &NodeFilter{Names: r.strings()}
	case filterTag:
		t := &TagFilter{}
		for n := r.mapLen(); n > 0 && r.err == nil; n-- {
			switch string(r.nextKey()) {
			case "Expr":
				t.Expr = r.string()
			case "Tag":
				t.Tag = r.string()
			default:
				r.skip()
			}
		}
		f = t
	default:
		return nil, fmt.Errorf("query has unrecognized filter type: %d", b[0])
	}
	if r.err != nil {
		return nil, fmt.Errorf("failed to decode query filter: %w", r.err)
	}
	return f, nil
}
