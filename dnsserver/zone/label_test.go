package zone_test

import (
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

func TestLabel(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in, want string // want "": no label
	}{
		{"web1", "web1"},
		{"Web-1", "web-1"},
		{"my_app_1", "my_app_1"},
		{"db1.example.com", "db1_x2eexample_x2ecom"},
		{"a b", "a_x20b"},
		{"-x-", "_x2dx_x2d"},
		{"_tcp", "_x5ftcp"},
		{"a_x2e", "a_x5fx2e"}, // would read as an escape
		{"a_x2", "a_x2"},
		{"a_X2E", "a_x5fx2e"},
		{"svc:web", "svc_x3aweb"},
		{"é", "_xc3_xa9"},
		{"", ""},
		{strings.Repeat("a", 63), strings.Repeat("a", 63)},
		{strings.Repeat("a", 64), ""},
		{strings.Repeat(".", 15), strings.Repeat("_x2e", 15)},
		{strings.Repeat(".", 16), ""},
	}
	for _, tt := range tests {
		got, ok := zone.Label(tt.in)
		if !ok {
			got = ""
		}
		if ok != (tt.want != "") || got != tt.want {
			t.Errorf("Label(%q) = %q, %v; want %q", tt.in, got, ok, tt.want)
		}
		if ok && zone.Unlabel(got) != strings.ToLower(tt.in) {
			t.Errorf("Unlabel(%q) = %q, want %q", got, zone.Unlabel(got), strings.ToLower(tt.in))
		}
	}
}

// FuzzLabel: the escape can be undone, hence no two names share a label but by case.
func FuzzLabel(f *testing.F) {
	for _, s := range []string{"web1", "a.b", "_x2e", "__x2e", "a_x", "_", "-", "\x00\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		label, ok := zone.Label(name)
		if !ok {
			return
		}
		if len(label) < 1 || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Errorf("Label(%q) = %q, which is no plain label", name, label)
		}
		var folded strings.Builder
		for _, c := range []byte(name) {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			folded.WriteByte(c)
		}
		if got := zone.Unlabel(label); got != folded.String() {
			t.Errorf("Unlabel(Label(%q)) = %q", name, got)
		}
	})
}
