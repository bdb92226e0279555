package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// typeNames are what docs/configuration.md calls the kinds.
var typeNames = map[kind]string{
	text: "string", textSet: "string or empty", integer: "number", count: "number or 0", duration: "duration", interval: "duration or 0s",
	onSwitch: "switch", toggle: "yes or no", list: "list", table: "table", ignored: "ignored",
}

func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// shown is the default of the setting as the page shows it.
func (s *setting) shown() string {
	if s.field == nil {
		return "–"
	}
	c := Default()
	value := ""
	switch field := s.field(&c).(type) {
	case *time.Duration:
		value = field.String()
		for _, zero := range []string{"m0s", "h0m"} {
			if strings.HasSuffix(value, zero) {
				value = strings.TrimSuffix(value, zero[1:])
			}
		}
	case *inverse:
		value = fmt.Sprint(!c.EnableCompression)
	case *[]string, *map[string]string:
	default:
		value = fmt.Sprint(reflect.ValueOf(field).Elem())
	}
	if value == "" {
		return "–"
	}
	return "`" + value + "`"
}

// TestDocumentation holds the tables of docs/configuration.md to the table of settings: each has one row, with its key,
// flag, type and default, and there are no others.
func TestDocumentation(t *testing.T) {
	t.Parallel()
	text := page(t)
	rows := map[string]string{} // "key | flag" to "type | default"
	for _, m := range regexp.MustCompile(`(?m)^\| (.+?) \| (.+?) \| (.+?) \| (.+?) \| (.+) \|$`).FindAllStringSubmatch(text, -1) {
		if name := m[1] + " | " + m[2]; name != "key | flag" && name != "--- | ---" {
			if rows[name] != "" {
				t.Errorf("%s has two rows", name)
			}
			rows[name] = m[3] + " | " + m[4]
		}
	}
	quote := func(prefix, name string) string {
		if name == "" {
			return "–"
		}
		return "`" + prefix + name + "`"
	}
	for i := range settings {
		s := &settings[i]
		name := quote("", s.key) + " | " + quote("-", s.flag)
		if want := typeNames[s.kind] + " | " + s.shown(); rows[name] != want {
			t.Errorf("the row of %s says %q, want %q", name, rows[name], want)
		}
		delete(rows, name)
	}
	for name := range rows {
		t.Errorf("there is no setting %s", name)
	}
	for k, name := range typeNames {
		if k != ignored && strings.Count(text, "\n| "+name+" |") != 1 {
			t.Errorf("the page does not explain the type %q", name)
		}
	}
}

// TestDocumentedFiles reads the page's two files, which must say the same.
func TestDocumentedFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var configs []Config
	for _, language := range []string{"json", "hcl"} {
		m := regexp.MustCompile("(?ms)^```" + language + "\n(.*?)^```").FindStringSubmatch(page(t))
		if m == nil {
			t.Fatalf("the page has no file in %s", language)
		}
		file := filepath.Join(dir, "c."+language)
		if err := os.WriteFile(file, []byte(m[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		c := Default()
		if err := Load(&c, file); err != nil {
			t.Fatal(err)
		}
		configs = append(configs, c)
	}
	if !reflect.DeepEqual(configs[0], configs[1]) || configs[0].RPCAuth == "" {
		t.Errorf("the files differ:\n%+v\n%+v", configs[0], configs[1])
	}
}

// TestDocumentedReload holds the page's list of what a reload takes over to what Reload takes over.
func TestDocumentedReload(t *testing.T) {
	t.Parallel()
	samples := map[kind]any{text: "x", textSet: "x", integer: 7, count: 7, duration: time.Hour, interval: time.Hour, onSwitch: true,
		list: []string{"x"}, table: map[string]string{"x": "y"}}
	var names []string
	for i := range settings {
		s := &settings[i]
		if s.key == "" || s.kind == ignored {
			continue
		}
		sample := samples[s.kind]
		if s.kind == toggle {
			sample = false // the one there is defaults to true
		}
		old, next := Default(), Default()
		s.set(&next, sample)
		if reflect.DeepEqual(next, old) {
			t.Errorf("%s: the sample is the default", s.key)
		}
		if !reflect.DeepEqual(old.Reload(next), old) {
			names = append(names, "`"+s.key+"`")
		}
	}
	slices.Sort(names)
	last := len(names) - 1
	want := "takes over " + strings.Join(names[:last], ", ") + " and " + names[last] + "."
	if !strings.Contains(strings.Join(strings.Fields(page(t)), " "), want) {
		t.Errorf("the page does not say that the agent %s", want)
	}
}
