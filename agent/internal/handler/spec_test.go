package handler_test

import (
	"errors"
	"maps"
	"testing"

	"github.com/seed-645ce708/gossip/agent/internal/handler"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, filter, command string }{
		{"./h.sh", "*", "./h.sh"},
		{"*=./h.sh --x=1", "*", "./h.sh --x=1"},
		{"=./h.sh", "*", "./h.sh"},
		{"member-join=a", "member-join", "a"},
		{"member-join,user:deploy=a b", "member-join,user:deploy", "a b"},
		{"query:load=uptime | cut -d= -f1", "query:load", "uptime | cut -d= -f1"},
	} {
		s, err := handler.Parse(tt.text)
		if err != nil || s.Filter.String() != tt.filter || s.Command != tt.command {
			t.Errorf("Parse(%q) = %q runs %q, %v; want %q runs %q", tt.text, s.Filter, s.Command, err, tt.filter, tt.command)
		}
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	const hint = "write [FILTER=]COMMAND; FILTER is a list of member-join, member-leave, member-failed, member-update, " +
		"member-reap, user, user:NAME, query, query:NAME, with commas between, or *"
	for text, want := range map[string]string{
		"bogus=./h.sh":            "Invalid event script: Event 'bogus' invoking './h.sh'",
		"user,member-join:x=h":    "Invalid event script: Event 'member-join:x' invoking 'h'",
		"cmd --x=1":               "Invalid event script: Event 'cmd --x' invoking '1'",
		"member-join=":            "Invalid event script: Event 'member-join' invoking ''",
		"":                        "Invalid event script: Event '' invoking ''",
		"member-join, user=./h.s": "Invalid event script: Event ' user' invoking './h.s'",
	} {
		_, err := handler.Parse(text)
		var bad *handler.SpecError
		if !errors.As(err, &bad) || err.Error() != want+" ("+hint+")" {
			t.Errorf("Parse(%q): %v, want %q", text, err, want)
		}
	}
	if _, err := handler.ParseAll([]string{"a", "x=b"}); err == nil {
		t.Error("ParseAll took a bad specification")
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	specs, err := handler.ParseAll([]string{"./h.sh", "member-join,user:deploy=a", "query=b", "user:deploy=c"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"*:": "./h.sh", "member-join:": "a", "user:deploy": "c", "query:": "b"}
	if got := handler.Describe(specs); !maps.Equal(got, want) {
		t.Errorf("Describe = %v, want %v", got, want)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "=", "a=b=c", "user:x=y", "*,query=z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := handler.Parse(text)
		if err != nil {
			return
		}
		again, err := handler.Parse(s.Filter.String() + "=" + s.Command)
		if err != nil || again.Command != s.Command || again.Filter.String() != s.Filter.String() {
			t.Fatalf("%q reads as %q, %q, which does not read the same: %v", text, s.Filter, s.Command, err)
		}
	})
}
