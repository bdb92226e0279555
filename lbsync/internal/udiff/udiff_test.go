package udiff_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/lbsync/internal/udiff"
)

func numbers(n int, change map[int]string) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		if text, ok := change[i]; ok {
			b.WriteString(text)
			continue
		}
		fmt.Fprintln(&b, i)
	}
	return b.String()
}

func TestUnified(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ before, after, want string }{
		"same":  {"a\n", "a\n", ""},
		"new":   {"", "a\nb\n", "@@ -0,0 +1,2 @@\n+a\n+b\n"},
		"gone":  {"a\n", "", "@@ -1,1 +0,0 @@\n-a\n"},
		"edit":  {"a\nb\nc\n", "a\nx\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n"},
		"near":  {numbers(9, nil), numbers(9, map[int]string{1: "", 8: "x\n"}), "@@ -1,9 +1,8 @@\n-1\n 2\n 3\n 4\n 5\n 6\n 7\n-8\n+x\n 9\n"},
		"apart": {numbers(20, nil), numbers(20, map[int]string{2: "", 18: "x\n"}), "@@ -1,5 +1,4 @@\n 1\n-2\n 3\n 4\n 5\n@@ -15,6 +14,6 @@\n 15\n 16\n 17\n-18\n+x\n 19\n 20\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := tt.want
			if want != "" {
				want = "--- f\n+++ f\n" + want
			}
			if got := udiff.Unified("f", tt.before, tt.after); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// FuzzUnified: the patch program turns the one text into the other with what we print.
func FuzzUnified(f *testing.F) {
	if _, err := exec.LookPath("patch"); err != nil {
		f.Skip("the program patch is not installed")
	}
	f.Add("abcdefgh", "abxdeffgh")
	f.Add("aaaaaaaaaaaaaaaaaab", "baaaaaaaaaaaaaaaaaa")
	f.Fuzz(func(t *testing.T, before, after string) {
		text := func(s string) string { // a line per byte
			var b strings.Builder
			for i := range len(s) {
				fmt.Fprintf(&b, "%x\n", s[i])
			}
			return b.String()
		}
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, []byte(text(before)), 0o600); err != nil {
			t.Fatal(err)
		}
		diff := udiff.Unified("f", text(before), text(after))
		if diff == "" || text(after) == "" { // patch removes what became empty
			return
		}
		cmd := exec.Command("patch", "-s", path)
		cmd.Stdin = strings.NewReader(diff)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s\n%s", err, out, diff)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text(after) {
			t.Fatalf("got %q, %v\n%s", got, err, diff)
		}
	})
}
