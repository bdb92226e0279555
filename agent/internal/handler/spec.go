// Package handler runs scripts on events, as Serf's event handlers do (Serf reference 3.3 and 3.4): what a
// specification means, what a script is given, and what becomes of what it prints. It reads the event log
// (package event) with a cursor of its own and so never holds up the core or the RPC streams; unlike in
// Serf, a slow script does not hold up the other scripts either.
package handler

import (
	"errors"
	"fmt"
	"strings"

	"github.com/seed-645ce708/gossip/agent/internal/event"
)

// Spec is one handler as configured: which events run which command.
type Spec struct {
	Filter  event.Filter
	Command string
}

// filterHint says what a specification may be.
const filterHint = "write [FILTER=]COMMAND; FILTER is a list of member-join, member-leave, member-failed, member-update, " +
	"member-reap, user, user:NAME, query, query:NAME, with commas between, or *"

// SpecError tells what is wrong with a specification, in Serf's words and with what to do.
type SpecError struct {
	Event  string // the filter element that is not understood
	Script string // the command
}

func (e *SpecError) Error() string {
	return fmt.Sprintf("Invalid event script: Event '%s' invoking '%s' (%s)", e.Event, e.Script, filterHint)
}

// Parse reads "[filter=]command". What comes before the first "=" is the filter (event.ParseFilter), so a
// command that contains one needs a filter in front, such as "*=cmd --x=1". The error is a *SpecError.
func Parse(text string) (Spec, error) {
	filter, command, ok := strings.Cut(text, "=")
	if !ok {
		filter, command = "", text
	}
	if strings.TrimSpace(command) == "" {
		return Spec{}, &SpecError{Event: filter, Script: command}
	}
	f, err := event.ParseFilter(filter)
	if err != nil {
		element := filter
		if bad, ok := errors.AsType[*event.FilterError](err); ok {
			element = bad.Element
		}
		return Spec{}, &SpecError{Event: element, Script: command}
	}
	return Spec{Filter: f, Command: command}, nil
}

// ParseAll reads several specifications and returns the first error.
func ParseAll(texts []string) ([]Spec, error) {
	specs := make([]Spec, 0, len(texts))
	for _, text := range texts {
		s, err := Parse(text)
		if err != nil {
			return nil, err
		}
		specs = append(specs, s)
	}
	return specs, nil
}

// Describe returns the handlers as the section event_handlers of the RPC command stats shows them: the key is
// "TYPE:" or "TYPE:NAME", the value the command (Serf reference 4.6). Of handlers with the same key the last
// one is shown.
func Describe(specs []Spec) map[string]string {
	out := make(map[string]string)
	for _, s := range specs {
		for _, sel := range s.Filter.Selectors() {
			out[string(sel.Type)+":"+sel.Name] = s.Command
		}
	}
	return out
}
