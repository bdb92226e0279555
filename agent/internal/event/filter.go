package event

import (
	"fmt"
	"strings"
)

// Filter selects events (Serf reference 3.3). The zero value selects all of them. Filters are immutable.
type Filter struct{ selectors []Selector }

// Selector is one element of a filter: a type of event, and for user events and queries perhaps a name.
type Selector struct {
	Type Type   // one of the types of this package, or TypeAny
	Name string // only this user event or query; "" selects all of the type
}

// TypeAny stands in a selector for events of every type.
const TypeAny Type = "*"

// FilterError tells which element of a filter was not understood. Its text begins with Serf's,
// "Invalid event filter".
type FilterError struct{ Element string }

func (e *FilterError) Error() string {
	return fmt.Sprintf("Invalid event filter: %q is none of *, member-join, member-leave, member-failed, "+
		"member-update, member-reap, user, user:NAME, query, query:NAME", e.Element)
}

// ParseFilter reads a comma-separated list, without spaces, of "*", types, "user:NAME" and "query:NAME".
// An empty text selects everything. The error is a *FilterError.
func ParseFilter(text string) (Filter, error) {
	if text == "" {
		return Filter{}, nil
	}
	var f Filter
	for element := range strings.SplitSeq(text, ",") {
		s := Selector{Type: Type(element)}
		if kind, name, ok := strings.Cut(element, ":"); ok {
			if Type(kind) != TypeUser && Type(kind) != TypeQuery {
				return Filter{}, &FilterError{Element: element}
			}
			s = Selector{Type: Type(kind), Name: name}
		}
		if !s.valid() {
			return Filter{}, &FilterError{Element: element}
		}
		f.selectors = append(f.selectors, s)
	}
	return f, nil
}

func (s Selector) valid() bool {
	switch s.Type {
	case TypeAny, TypeMemberJoin, TypeMemberLeave, TypeMemberFailed, TypeMemberUpdate, TypeMemberReap,
		TypeUser, TypeQuery:
		return true
	default:
		return false
	}
}

// Match reports whether the filter selects e.
func (f Filter) Match(e Event) bool {
	if len(f.selectors) == 0 {
		return true
	}
	for _, s := range f.selectors {
		if s.Match(e) {
			return true
		}
	}
	return false
}

// Selectors returns the elements in order, at least one. An event that several of them match is handed to a
// script once for each, but to a stream once.
func (f Filter) Selectors() []Selector {
	if len(f.selectors) == 0 {
		return []Selector{{Type: TypeAny}}
	}
	return append([]Selector(nil), f.selectors...)
}

// String returns the filter as ParseFilter reads it.
func (f Filter) String() string {
	parts := make([]string, 0, len(f.selectors))
	for _, s := range f.Selectors() {
		parts = append(parts, s.String())
	}
	return strings.Join(parts, ",")
}

// Match reports whether the selector selects e.
func (s Selector) Match(e Event) bool {
	if s.Type == TypeAny {
		return true
	}
	if s.Type != e.Type() {
		return false
	}
	if s.Name == "" {
		return true
	}
	switch e := e.(type) {
	case *User:
		return e.Name == s.Name
	case *Query:
		return e.Name == s.Name
	default:
		return true
	}
}

// String returns the selector as ParseFilter reads it.
func (s Selector) String() string {
	if s.Name == "" {
		return string(s.Type)
	}
	return string(s.Type) + ":" + s.Name
}
