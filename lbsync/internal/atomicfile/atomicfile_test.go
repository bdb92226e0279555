package atomicfile_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/lbsync/internal/atomicfile"
)

// folder returns a folder and a function that fails if it holds more than the named files.
func folder(t *testing.T) (string, func(want ...string)) {
	dir := t.TempDir()
	return dir, func(want ...string) {
		t.Helper()
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) != len(want) {
			t.Errorf("folder holds %v, want %v", entries, want)
		}
	}
}

func content(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s: got %q, %v; want %q", path, got, err, want)
	}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	dir, holds := folder(t)
	path := filepath.Join(dir, "f")
	for _, text := range []string{"one", "two", ""} {
		if err := atomicfile.Write(path, []byte(text), atomicfile.Options{}); err != nil {
			t.Fatal(err)
		}
		content(t, path, text)
	}
	holds("f")
}

func TestMode(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no file modes on windows")
	}
	dir, _ := folder(t)
	path := filepath.Join(dir, "f")
	for _, tt := range []struct{ give, want fs.FileMode }{{0, 0o644}, {0o600, 0o600}, {0, 0o600}, {0o640, 0o640}} {
		if err := atomicfile.Write(path, []byte("x"), atomicfile.Options{Mode: tt.give}); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != tt.want {
			t.Errorf("mode %v given: got %v, %v; want %v", tt.give, info.Mode(), err, tt.want)
		}
	}
}

func TestStageLeavesTheOldFile(t *testing.T) {
	t.Parallel()
	dir, holds := folder(t)
	path := filepath.Join(dir, "f")
	if err := atomicfile.Write(path, []byte("old"), atomicfile.Options{}); err != nil {
		t.Fatal(err)
	}
	s, err := atomicfile.Stage(path, []byte("new"), atomicfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	content(t, path, "old")
	content(t, s.Path(), "new")
	s.Discard()
	s.Discard()
	content(t, path, "old")
	holds("f")
}

func TestSymlink(t *testing.T) {
	t.Parallel()
	dir, holds := folder(t)
	real, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := os.WriteFile(real, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", link); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
	if err := atomicfile.Write(link, []byte("new"), atomicfile.Options{}); err != nil {
		t.Fatal(err)
	}
	content(t, real, "new")
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link was replaced: %v, %v", info, err)
	}
	holds("real", "link")
}

func TestErrors(t *testing.T) {
	t.Parallel()
	dir, holds := folder(t)
	if err := atomicfile.Write(filepath.Join(dir, "no", "f"), nil, atomicfile.Options{}); err == nil {
		t.Error("a missing folder gave no error")
	}
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.Write(filepath.Join(dir, "d"), nil, atomicfile.Options{}); err == nil {
		t.Error("a folder as destination gave no error")
	}
	holds("d")
}

func TestBackups(t *testing.T) {
	t.Parallel()
	dir, holds := folder(t)
	path := filepath.Join(dir, "f")
	for _, text := range []string{"1", "2", "3", "4"} {
		if err := atomicfile.Write(path, []byte(text), atomicfile.Options{Backups: 2}); err != nil {
			t.Fatal(err)
		}
	}
	content(t, path, "4")
	content(t, path+".1", "3")
	content(t, path+".2", "2")
	holds("f", "f.1", "f.2")
	for _, text := range []string{"5", "6"} {
		if err := atomicfile.Write(path, []byte(text), atomicfile.Options{Backups: 1}); err != nil {
			t.Fatal(err)
		}
	}
	content(t, path+".1", "5")
}

// TestObstacle: what is wrong on this host is known before anything is written.
func TestObstacle(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		opts atomicfile.Options
		want string
	}{
		{"f", atomicfile.Options{}, ""},
		{"new", atomicfile.Options{}, ""},
		{"no/f", atomicfile.Options{}, "there is no folder "},
		{"f/f", atomicfile.Options{}, "there is no folder "},
		{"f", atomicfile.Options{User: "nobody-of-this-name"}, "cannot set the owner"},
		{"f", atomicfile.Options{Group: "nobody-of-this-name"}, "cannot set the owner"},
	} {
		err := atomicfile.Obstacle(filepath.Join(dir, tt.name), tt.opts)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}
