package tagtext_test

import (
	"maps"
	"testing"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/tagtext"
)

func FuzzRoundTrip(f *testing.F) {
	f.Add("role=web,zone=a")
	f.Add(" a = b ,c==")
	f.Add("a,b")
	f.Fuzz(func(t *testing.T, text string) {
		tags, err := tagtext.Parse(text)
		if err != nil {
			return
		}
		again, err := tagtext.Format(tags)
		if err != nil {
			return // some values can only be read
		}
		back, err := tagtext.Parse(again)
		if err != nil || !maps.Equal(tags, back) {
			t.Errorf("%q reads as %q, and %q as %q, %v", text, tags, again, back, err)
		}
	})
}
