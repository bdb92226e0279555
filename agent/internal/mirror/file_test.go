package mirror

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	oneMember = `{"members": [{"name": "a", "addr": "10.0.0.1:7946", "port": 7946, "tags": {"role": "web"}, "status": "alive",
		"protocol": {"max": 5, "min": 2, "version": 5}}]}`
	twoMembers = `{"members": [{"name": "b", "addr": "[fd00::1]:7946", "status": "failed"}, {"name": "a", "addr": "10.0.0.1", "status": "alive"}]}`
)

func TestParse(t *testing.T) {
	t.Parallel()
	list, err := parse([]byte(twoMembers))
	if err != nil {
		t.Fatal(err)
	}
	sortMembers(list)
	if len(list) != 2 || list[0].Name != "a" || list[1].Addr.String() != "fd00::1" || list[1].Port != 7946 || list[1].Status != "failed" {
		t.Errorf("got %+v", list)
	}
	for text, want := range map[string]string{
		"":                            "not JSON",
		oneMember[:60]:                "not JSON",
		"{\n\n\"members\": x}":        "line 3",
		`{"members": null}`:           "lists no members",
		`{"members": []}`:             "lists no members",
		`{"nodes": [{}]}`:             "lists no members",
		`[]`:                          "not a list of members: no array belongs at its top; write it with",
		`{"members": [{"tags": []}]}`: "no array belongs at members.tags",
		`{"members": [{"x": 1}]}`:     `member 1 ("")`,
		`{"members": [{"name": "a", "addr": "10.0.0.1", "status": "alive"}, {"name": "a", "addr": "10.0.0.1", "status": "alive"}]}`: `member 2 ("a"): the name comes twice`,
		`{"members": [{"name": "a", "addr": "host:7946", "status": "alive"}]}`:                                                      `addr "host:7946" is not`,
		`{"members": [{"name": "a", "addr": "10.0.0.1"}]}`:                                                                          "no status",
	} {
		if _, err := parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("parse(%s): %v, want %q in it", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(oneMember))
	f.Add([]byte(twoMembers))
	f.Add([]byte(`{"members": null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := parse(text)
		if err != nil {
			return
		}
		if len(list) == 0 {
			t.Error("an empty list passed")
		}
		sortMembers(list)
		if members := convert(list, nil); len(members) != len(list) {
			t.Errorf("%d members of %d", len(members), len(list))
		}
	})
}

func write(t *testing.T, path, text string, age time.Duration) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	then := time.Now().Add(-age)
	if err := os.Chtimes(path, then, then); err != nil {
		t.Fatal(err)
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "members.json")
	f, m := Open(path), New(Config{})
	if err := m.Load(f); err == nil || m.Ready() {
		t.Fatalf("a file that is not there: %v, ready %v", err, m.Ready())
	}
	write(t, path, oneMember, time.Hour)
	if err := m.Load(f); err != nil || !m.Ready() {
		t.Fatalf("%v, ready %v", err, m.Ready())
	}
	check := func(what string, changed bool, members int) {
		t.Helper()
		if got := f.changed(); got != changed {
			t.Errorf("%s: changed is %v", what, got)
		}
		m.reload(f)
		if got := len(m.Store().Load().Members); got != members || !m.Ready() {
			t.Errorf("%s: %d members, ready %v; want %d", what, got, m.Ready(), members)
		}
	}
	check("nothing happened", false, 1)
	write(t, path, twoMembers, time.Minute)
	check("two members", true, 2)
	write(t, path, twoMembers[:50], 0)
	check("half a file", true, 2)
	check("half a file that was written a moment ago", true, 2)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	check("no file", true, 2)
	write(t, path, oneMember, time.Hour)
	check("one member again", true, 1)
	check("nothing happened again", false, 1)
}
