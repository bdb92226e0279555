package keyid_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/keyid"
)

func TestOf(t *testing.T) {
	t.Parallel()
	// Users keep fingerprints in their state: this one must never change.
	id, err := keyid.Of("AAECAwQFBgcICQoLDA0ODw==")
	if err != nil || id != "31326cd8db972390f0a41fe9354e3830" {
		t.Errorf("Of() = %s, %v", id, err)
	}
	if err := keyid.Check(id); err != nil {
		t.Error(err)
	}
	for _, length := range []int{16, 24, 32} {
		if _, err := keyid.Of(keyid.New(length)); err != nil {
			t.Error(err)
		}
	}
	if one, other := keyid.New(32), keyid.New(32); one == other {
		t.Error("two new keys are the same")
	}
	for _, bad := range []string{"", "secret!", "c2VjcmV0"} {
		if _, err := keyid.Of(bad); !errors.Is(err, keyid.ErrNotAKey) || bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("Of(%q): %v", bad, err)
		}
	}
	for _, bad := range []string{"", "abc", strings.Repeat("G", 32), strings.Repeat("A", 32)} {
		if keyid.Check(bad) == nil {
			t.Errorf("Check(%q) passes", bad)
		}
	}
}
