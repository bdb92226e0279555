// Package tagtext reads and writes tags as text, as in "role=web,zone=a". It is pure and imports the standard library
// alone.
package tagtext

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Parse reads KEY=VALUE pairs that commas separate. Spaces around a pair are cut off; a value may have equals signs.
func Parse(text string) (map[string]string, error) {
	tags := map[string]string{}
	if strings.TrimSpace(text) == "" {
		return tags, nil
	}
	for _, pair := range strings.Split(text, ",") {
		pair = strings.TrimSpace(pair)
		key, value, ok := strings.Cut(pair, "=")
		switch _, double := tags[key]; {
		case !ok || key == "":
			return nil, fmt.Errorf("%q is no tag; write KEY=VALUE, and a comma between two", pair)
		case double:
			return nil, fmt.Errorf("the tag %q is there twice", key)
		}
		tags[key] = value
	}
	return tags, nil
}

// Format writes tags, sorted by key, so that Parse reads the same.
func Format(tags map[string]string) (string, error) {
	pairs := make([]string, 0, len(tags))
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		pair := key + "=" + tags[key]
		back, err := Parse(pair)
		if value, ok := back[key]; err != nil || !ok || value != tags[key] || len(back) != 1 {
			return "", fmt.Errorf("the tag %q=%q cannot be written as text: a key must not be empty or have an equals sign, and neither may have commas, or spaces at the ends",
				key, tags[key])
		}
		pairs = append(pairs, pair)
	}
	return strings.Join(pairs, ","), nil
}
