package scenario

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseNamesTheLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"start 3\nfly 2":                "line 2: fly 2: there is no such thing to do",
		"run":                           "line 1: run: something is missing",
		"run soon":                      `line 1: run soon: "soon" is not a duration`,
		"loss 5":                        `"5" is not a share`,
		"kill 5-3":                      `"5-3" is not a list of agents`,
		"kill 99999999":                 `"99999999" is not a list of agents`,
		"leave 1 2":                     `"2" is one word too many`,
		"expect 3 asleep within 1s":     `"asleep" is not a status`,
		"expect converge in 1s":         `"in" is where "within" belongs`,
		"start 3 slowly":                "only stagger= may follow",
		"partition":                     "something is missing",
		"expect":                        "something is missing",
		"event 0 x":                     `"0" is not the number of an agent`,
		"# nothing\n\nexpect deploy in": `line 3: expect deploy in`,
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
	if s, err := Parse("start 3 # agents\nkill 1,4-7\n"); err != nil || s.Agents != 7 || len(s.steps) != 2 {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestRandomStoriesParse(t *testing.T) {
	t.Parallel()
	one, again, other := Random(1, 20, 30), Random(1, 20, 30), Random(2, 20, 30)
	if one != again || one == other {
		t.Error("a seed does not make one story")
	}
	for seed := range uint64(100) {
		if s, err := Parse(Random(seed, 20, 30)); err != nil || s.Agents != 20 {
			t.Fatal(seed, s, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := Parse(text); err == nil && s.Agents > maxAgents {
			t.Errorf("%d agents", s.Agents)
		}
	})
}
