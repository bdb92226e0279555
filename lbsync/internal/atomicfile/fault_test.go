package atomicfile

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestCrash ends the writing before each step that changes anything on disk, as a crash would. Not parallel: the
// steps are seen by a variable of the package.
func TestCrash(t *testing.T) {
	t.Cleanup(func() { reached = func(string) {} })
	var steps []string
	reached = func(step string) { steps = append(steps, step) }
	opts := Options{Backups: 3}
	path := filepath.Join(t.TempDir(), "f")
	for _, text := range []string{"0", "1", "2", "3"} {
		if err := Write(path, []byte(text), opts); err != nil {
			t.Fatal(err)
		}
	}
	steps = steps[slices.Index(steps, "shift backup"):]
	steps = steps[slices.Index(steps, "create"):]
	steps = steps[:slices.Index(steps, "sync folder")+1]
	if len(steps) < 10 {
		t.Fatalf("only the steps %q", steps)
	}
	for at := range steps {
		dir := t.TempDir()
		path := filepath.Join(dir, "f")
		reached = func(string) {}
		for _, text := range []string{"0", "1", "old"} {
			if err := Write(path, []byte(text), opts); err != nil {
				t.Fatal(err)
			}
		}
		n := 0
		reached = func(string) {
			if n++; n == at+1 {
				panic("crash")
			}
		}
		func() {
			defer func() { _ = recover() }()
			_ = Write(path, []byte("new"), opts)
			t.Errorf("step %d was not reached", at)
		}()
		text, err := os.ReadFile(path)
		if want := map[bool]string{true: "new", false: "old"}[steps[at] == "sync folder"]; err != nil || string(text) != want {
			t.Errorf("a crash before %q: the file holds %q, %v", steps[at], text, err)
		}
		reached = func(string) {}
		if err := Write(path, []byte("newer"), opts); err != nil {
			t.Errorf("after a crash before %q: %v", steps[at], err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".") {
				t.Errorf("after a crash before %q there is a leftover %s", steps[at], e.Name())
			}
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != "newer" {
			t.Errorf("after a crash before %q and another write: %q, %v", steps[at], text, err)
		}
	}
}

// TestLeftovers removes those of this file only.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mine, others := ".f.123.tmp", []string{".f.x.123.tmp", ".f.tmp", ".f..tmp", "f.123.tmp", ".g.123.tmp"}
	for _, name := range append(others, mine) {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := Write(filepath.Join(dir, "f"), nil, Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, mine)); err == nil {
		t.Error("the leftover is there")
	}
	for _, name := range others {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Errorf("a foreign file is gone: %v", err)
		}
	}
}
