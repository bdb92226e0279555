package gossip

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var (
	keyA = []byte("0123456789abcdef")
	keyB = []byte("fedcba9876543210")
)

func TestKeyringFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keyring")
	a, b := base64.StdEncoding.EncodeToString(keyA), base64.StdEncoding.EncodeToString(keyB)
	if err := os.WriteFile(path, []byte(`["`+a+`"]`), 0o600); err != nil {
		t.Fatal(err)
	}
	ring, err := LoadKeyring(path)
	if err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		what string
		do   func() error
		want []string // keys in the file, the primary first
	}{
		{"install", func() error { return ring.Install(keyB) }, []string{a, b}},
		{"install again", func() error { return ring.Install(keyB) }, []string{a, b}},
		{"use", func() error { return ring.Use(keyB) }, []string{b, a}},
		{"remove", func() error { return ring.Remove(keyA) }, []string{b}},
		{"remove what is gone", func() error { return ring.Remove(keyA) }, []string{b}},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			t.Fatalf("%s: %v", s.what, err)
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want := "[\n  \"" + strings.Join(s.want, "\",\n  \"") + "\"\n]"
		if string(got) != want {
			t.Errorf("%s: file is %s, want %s", s.what, got, want)
		}
		if reread, err := LoadKeyring(path); err != nil || !bytes.Equal(reread.Primary(), ring.Primary()) {
			t.Errorf("%s: the file does not load back: %v", s.what, err)
		}
	}
	if err := ring.Remove(keyB); err == nil {
		t.Error("the primary key was removed")
	}
	if err := ring.Use(keyA); err == nil {
		t.Error("a key that is not installed was made the primary")
	}
}

func TestLoadKeyringErrors(t *testing.T) {
	t.Parallel()
	short := base64.StdEncoding.EncodeToString([]byte("short"))
	tests := []struct{ name, content, want string }{
		{"no keys", `[]`, "contains no keys"},
		{"not JSON", `secret-text`, "syntax error at byte 1"},
		{"not strings", `[12345]`, "an element is not a string"},
		{"not base64", `["%%%secret%%%"]`, "key 1"},
		{"bad size", `["` + short + `"]`, "key size"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "keyring")
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := LoadKeyring(path)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want an error with %q and the path", err, tt.want)
			}
			if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), short)) {
				t.Errorf("the error shows content of the file: %v", err)
			}
		})
	}
	if _, err := LoadKeyring(filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("missing file: got %v", err)
	}
}

func FuzzLoadKeyring(f *testing.F) {
	f.Add([]byte(`["MDEyMzQ1Njc4OWFiY2RlZg=="]`))
	f.Add([]byte(`[null]`))
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(t.TempDir(), "keyring")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if ring, err := LoadKeyring(path); err == nil && len(ring.Primary()) == 0 {
			t.Error("a keyring without a key")
		}
	})
}
