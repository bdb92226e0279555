package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// entry is one key of a file with its value in generic form: nil, bool, float64, string, []any or
// map[string]any, whatever the file's language.
type entry struct {
	key   string
	line  int // in the file, from 1
	value any
}

// entryError is a fault of one entry, with its line.
type entryError struct {
	line int
	err  error
}

func (e *entryError) Error() string { return e.err.Error() }
func (e *entryError) Unwrap() error { return e.err }

// apply lays the entries of one file over c. Nothing is changed if any of them is at fault.
func apply(c *Config, entries []entry) error {
	next := c.Clone()
	seen := map[string]bool{}
	for _, e := range flatten(entries) {
		if !isPlain(e.key) {
			e.key = strconv.Quote(e.key) // so that an error stays on one line; no setting is called so
		}
		s, ok := find(e.key)
		if !ok {
			return &entryError{e.line, fmt.Errorf("invalid keys: %s (no such setting)", e.key)}
		}
		if seen[s.key] {
			return &entryError{e.line, fmt.Errorf("'%s' is given twice", e.key)}
		}
		seen[s.key] = true
		if e.value == nil { // JSON's null: as if it were not there
			continue
		}
		v, err := s.convert(e)
		if err != nil {
			return &entryError{e.line, err}
		}
		s.set(&next, v)
	}
	*c = next
	return nil
}

// flatten spreads groups such as {"mdns": {"interface": "eth0"}} into entries of their own.
func flatten(entries []entry) []entry {
	var flat []entry
	for _, e := range entries {
		group, ok := e.value.(map[string]any)
		if !ok || !isGroup(e.key) {
			flat = append(flat, e)
			continue
		}
		for _, key := range sortedKeys(group) {
			flat = append(flat, entry{key: e.key + "." + key, line: e.line, value: group[key]})
		}
	}
	return flat
}

// convert turns an entry's value into the Go type that set takes. Types are strict, as Serf's are: no
// numbers for strings, no strings for numbers, durations as text.
func (s *setting) convert(e entry) (any, error) {
	wrong := func(want string) error {
		return fmt.Errorf("'%s' expected %s, got %s", e.key, want, describe(e.value))
	}
	switch s.kind {
	case text, textSet:
		if v, ok := e.value.(string); ok {
			return v, nil
		}
		return nil, wrong("a string")
	case integer, count:
		v, ok := e.value.(float64)
		if !ok {
			return nil, wrong("a whole number")
		}
		if v = math.Trunc(v); math.Abs(v) > math.MaxInt32 {
			return nil, fmt.Errorf("'%s' is too large: %v", e.key, v)
		}
		return int(v), nil
	case duration, interval:
		v, ok := e.value.(string)
		if !ok {
			return nil, wrong(`a duration in quotes such as "30s"`)
		}
		if v == "" && s.kind == duration {
			return time.Duration(0), nil
		}
		d, err := time.ParseDuration(v)
		if err != nil {
			return nil, fmt.Errorf("'%s' expected a duration such as \"30s\": %w", e.key, err)
		}
		return d, nil
	case onSwitch, toggle, ignored:
		if v, ok := e.value.(bool); ok {
			return v, nil
		}
		return nil, wrong("true or false")
	case list:
		items, ok := e.value.([]any)
		if !ok {
			return nil, wrong("a list of strings")
		}
		v := make([]string, len(items))
		for i, item := range items {
			if v[i], ok = item.(string); !ok {
				return nil, fmt.Errorf("'%s[%d]' expected a string, got %s", e.key, i, describe(item))
			}
		}
		return v, nil
	case table:
		items, ok := e.value.(map[string]any)
		if !ok {
			return nil, wrong("an object of strings")
		}
		v := make(map[string]string, len(items))
		for _, key := range sortedKeys(items) {
			if v[key], ok = items[key].(string); !ok {
				return nil, fmt.Errorf("'%s[%s]' expected a string, got %s", e.key, strings.Trim(strconv.Quote(key), `"`), describe(items[key]))
			}
		}
		return v, nil
	}
	panic(fmt.Sprintf("config: setting %s is of kind %d", s.key, s.kind))
}

// describe names a value's type for people, without showing the value, which may be a secret.
func describe(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "true or false"
	case float64:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", v), "*")
}

func isPlain(key string) bool {
	return !strings.ContainsFunc(key, func(r rune) bool { return !unicode.IsPrint(r) })
}
