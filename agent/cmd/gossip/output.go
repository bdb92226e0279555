package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// columns aligns rows as Serf does: cells are left-justified, two spaces lie between columns, the last column is
// not padded, and the whole ends without white space.
func columns(rows [][]string) string {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		b.WriteByte('\n')
	}
	return strings.TrimSpace(b.String())
}

// clean makes a name or tag fit for one cell of a terminal: control characters, which a member could put into its
// tags, are shown and not obeyed.
func clean(text string) string {
	if !strings.ContainsFunc(text, unicode.IsControl) {
		return strings.TrimSpace(text)
	}
	var b strings.Builder
	for _, r := range text {
		if unicode.IsControl(r) {
			quoted := fmt.Sprintf("%q", r)
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteRune(r)
		}
	}
	return strings.TrimSpace(b.String())
}

// pairs writes tags as k=v,k=v, sorted.
func pairs(tags map[string]string) string {
	list := make([]string, 0, len(tags))
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, key+"="+tags[key])
	}
	return strings.Join(list, ",")
}

// printJSON writes v as Serf writes JSON: indented by two spaces, with <, > and & escaped.
func (c *cli) printJSON(v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return failed("Encoding error", err)
	}
	return c.printf("%s\n", text)
}

// format is the value of -format.
type format string

const (
	formatText format = "text"
	formatJSON format = "json"
)

// formatFlag defines -format. The value is checked before anything is done.
func formatFlag(fs *flag.FlagSet) *format {
	f := formatText
	fs.Func("format", "print as `text|json` (default text)", func(v string) error {
		switch f = format(v); f {
		case formatText, formatJSON:
			return nil
		}
		return errors.New("want text or json")
	})
	return &f
}

// tagMap is a flag of KEY=VALUE that may be repeated.
type tagMap map[string]string

func (m *tagMap) String() string { return pairs(*m) }

func (m *tagMap) Set(v string) error {
	key, value, ok := strings.Cut(v, "=")
	if !ok || key == "" {
		return errors.New("want KEY=VALUE")
	}
	if *m == nil {
		*m = tagMap{}
	}
	(*m)[key] = value
	return nil
}

// stringList is a flag that may be repeated.
type stringList []string

func (l *stringList) String() string { return strings.Join(*l, ",") }

func (l *stringList) Set(v string) error {
	*l = append(*l, v)
	return nil
}
