package event_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/agent/internal/event"
)

func TestFilter(t *testing.T) {
	t.Parallel()
	events := map[string]event.Event{
		"join":   &event.Member{Kind: event.TypeMemberJoin},
		"leave":  &event.Member{Kind: event.TypeMemberLeave},
		"failed": &event.Member{Kind: event.TypeMemberFailed},
		"update": &event.Member{Kind: event.TypeMemberUpdate},
		"reap":   &event.Member{Kind: event.TypeMemberReap},
		"deploy": &event.User{Name: "deploy"},
		"other":  &event.User{Name: "other"},
		"load":   &event.Query{Name: "load"},
		"uptime": &event.Query{Name: "uptime"},
	}
	all := "join leave failed update reap deploy other load uptime"
	for _, tt := range []struct{ text, matches, canonical string }{
		{"", all, "*"},
		{"*", all, "*"},
		{"member-join", "join", "member-join"},
		{"member-join,member-leave", "join leave", "member-join,member-leave"},
		{"member-failed,member-update,member-reap", "failed update reap", "member-failed,member-update,member-reap"},
		{"user", "deploy other", "user"},
		{"user:deploy", "deploy", "user:deploy"},
		{"user:", "deploy other", "user"},
		{"user:a:b", "", "user:a:b"},
		{"query", "load uptime", "query"},
		{"query:load,user:other", "other load", "query:load,user:other"},
		{"query:load,*", all, "query:load,*"},
		{"user:Deploy", "", "user:Deploy"},
	} {
		f, err := event.ParseFilter(tt.text)
		if err != nil {
			t.Errorf("ParseFilter(%q): %v", tt.text, err)
			continue
		}
		if got := f.String(); got != tt.canonical {
			t.Errorf("ParseFilter(%q).String() = %q, want %q", tt.text, got, tt.canonical)
		}
		for name, e := range events {
			want := strings.Contains(" "+tt.matches+" ", " "+name+" ")
			if got := f.Match(e); got != want {
				t.Errorf("filter %q matches %s: %v, want %v", tt.text, name, got, want)
			}
		}
	}
}

func TestFilterErrors(t *testing.T) {
	t.Parallel()
	for text, element := range map[string]string{
		"bogus":                    "bogus",
		"member-join,":             "",
		"member-join, user":        " user",
		"member-join:a":            "member-join:a",
		"*:x":                      "*:x",
		"user,Query":               "Query",
		",":                        "",
		"member-join,member-joins": "member-joins",
	} {
		_, err := event.ParseFilter(text)
		var bad *event.FilterError
		if !errors.As(err, &bad) || bad.Element != element {
			t.Errorf("ParseFilter(%q) = %v, want a FilterError about %q", text, err, element)
			continue
		}
		if !strings.HasPrefix(err.Error(), "Invalid event filter") {
			t.Errorf("ParseFilter(%q) = %q, want Serf's text first", text, err)
		}
	}
}

func FuzzParseFilter(f *testing.F) {
	for _, s := range []string{"", "*", "member-join,user:deploy", "query:", "user:a:b,", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		f1, err := event.ParseFilter(text)
		if err != nil {
			return
		}
		f2, err := event.ParseFilter(f1.String())
		if err != nil || f2.String() != f1.String() {
			t.Fatalf("%q prints as %q, which reads as %q, %v", text, f1, f2, err)
		}
	})
}
