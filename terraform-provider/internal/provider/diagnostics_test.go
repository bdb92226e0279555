package provider

import (
	"context"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/again"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/membership"
)

// A run that was interrupted says so, and gives no advice.
func TestInterruptedIsExplained(t *testing.T) {
	t.Parallel()
	end := &again.Error{Elapsed: 3 * time.Second, Cause: context.Canceled}
	for err, want := range map[error]string{
		&membership.WaitError{Elapsed: 3 * time.Second, Cause: context.Canceled}: "Interrupted after 3s while waiting for members.",
		&gateError{query: "release", end: end}:                                   `Interrupted after 3s while asking "release".`,
	} {
		if got := explain(err); got != want {
			t.Errorf("%v is explained as %q, want %q", err, got, want)
		}
	}
}
