package dnsbridge

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/view"
)

func TestRemovals(t *testing.T) {
	t.Parallel()
	some := func(from, to int) (labels []string) {
		for i := from; i < to; i++ {
			labels = append(labels, fmt.Sprintf("n%02d", i))
		}
		return labels
	}
	type step struct {
		after time.Duration // since the step before
		gone  []string
		of    int
		held  string
	}
	for name, tt := range map[string]struct {
		limit time.Duration
		left  []string
		steps []step
	}{
		"half may go": {limit: 5 * time.Minute, steps: []step{
			{0, some(0, 5), 10, ""},
			{time.Second, some(5, 6), 5, "1 of 5 nodes"},
			{time.Minute, some(5, 6), 5, ""},
		}},
		"more than half are held, and go in the end": {limit: 5 * time.Minute, steps: []step{
			{0, some(0, 6), 10, "6 of 10 nodes would go at once without having left"},
			{4 * time.Minute, some(0, 6), 10, "6 of 10"},
			{time.Minute, some(0, 6), 10, ""},
		}},
		"who comes back is not held against the others": {limit: 5 * time.Minute, steps: []step{
			{0, some(1, 100), 100, "99 of 100"},
			{10 * time.Second, some(90, 100), 100, ""},
		}},
		"while nothing is believed no time passes": {limit: 5 * time.Minute, steps: []step{
			{0, some(0, 6), 10, "6 of 10"},
			{time.Minute, nil, 10, ""},
			{10 * time.Minute, some(0, 6), 10, "6 of 10"},
		}},
		"who left may go":         {limit: 5 * time.Minute, left: []string{"N00", "n01", "n02", "n03", "n04"}, steps: []step{{0, some(0, 10), 10, ""}}},
		"all of one may go":       {limit: 5 * time.Minute, steps: []step{{0, some(0, 1), 1, ""}}},
		"both of two may not":     {limit: 5 * time.Minute, steps: []step{{0, some(0, 2), 2, "2 of 2"}}},
		"without a limit all may": {steps: []step{{0, some(0, 10), 10, ""}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var members []*view.Member
				for _, name := range tt.left {
					members = append(members, member(name, "", view.StatusLeft))
				}
				r := newRemovals(tt.limit, func() []*view.Member { return members })
				for i, s := range tt.steps {
					time.Sleep(s.after)
					got := r.Hold(s.gone, s.of)
					if (got == "") != (s.held == "") || !strings.HasPrefix(got, s.held) {
						t.Errorf("step %d: held as %q, want %q", i, got, s.held)
					}
					if got == "" && len(s.gone) > 0 {
						r.Gone(s.gone, s.of)
					}
				}
			})
		})
	}
}
