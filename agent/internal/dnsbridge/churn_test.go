package dnsbridge

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/view"
)

// TestADayOfChurn: members come, make mistakes, fail, leave and are forgotten for a day, in which the agent looks cut off
// now and then. At the end nothing is remembered of those who are not there.
func TestADayOfChurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rnd := rand.New(rand.NewPCG(7, 8))
		w := newWorld(t)
		first := slices.Clone(w.members)
		next := 0
		for start := time.Now(); time.Since(start) < 24*time.Hour; time.Sleep(time.Duration(1+rnd.IntN(20)) * time.Second) {
			w.members = slices.Clone(w.members)
			i := rnd.IntN(len(w.members))
			m := *w.members[i]
			switch {
			case len(w.members) < 40:
				name := fmt.Sprintf("pod%06d", next)
				if next%20 == 1 {
					name = fmt.Sprintf("POD%06d", next-1)
				}
				bad := ""
				if next%9 == 0 {
					bad = "svc:bad=" + name
				}
				next++
				w.members = append(w.members, member(name, fmt.Sprintf("10.%d.%d.%d", 1+next>>16, next>>8&255, next&255), view.StatusAlive,
					"svc:web=80", fmt.Sprintf("svc:s%d=81", next%7), "id="+name, bad))
				slices.SortFunc(w.members, func(a, b *view.Member) int { return strings.Compare(a.Name, b.Name) })
			case m.Status == view.StatusAlive:
				m.Status = []view.Status{view.StatusFailed, view.StatusLeaving, view.StatusLeft}[rnd.IntN(3)]
				w.members[i] = &m
			case m.Status == view.StatusFailed && rnd.IntN(2) == 0:
				m.Status = view.StatusAlive
				w.members[i] = &m
			default:
				w.members = slices.Delete(w.members, i, i+1) // forgotten
			}
			if rnd.IntN(50) == 0 {
				w.verdict.Confidence = view.Confidence{Isolated: !w.verdict.Confidence.Isolated, VisibleShare: 1}
				w.suppress([]string{"", "a", "ab"}[rnd.IntN(3)])
			}
			w.apply()
			if f := &w.bridge.follower; len(f.doubt.lost) > next || len(f.offers) > 50 || len(f.badTags) > 50 {
				t.Fatalf("remembers too much: %d lost, %d offers, %d mistakes", len(f.doubt.lost), len(f.offers), len(f.badTags))
			}
		}
		w.members, w.verdict = first, view.Verdict{}
		w.apply()
		time.Sleep(2 * lookBack)
		w.apply()
		w.check("at last", "abcde", "e", "abcde")
		f := &w.bridge.follower
		if len(f.doubt.lost)+len(f.doubt.held)+len(f.badTags)+len(f.problems)+len(f.suppressed) != 0 || len(f.offers) != 5 || len(f.steady) != 2 {
			t.Errorf("left behind after %d members: %d lost, %d held, %d mistakes, %d problems, %d offers, %d services", next,
				len(f.doubt.lost), len(f.doubt.held), len(f.badTags), len(f.problems), len(f.offers), len(f.steady))
		}
		if z := w.bridge.zone.Load(); z.Members() != 5 || len(z.Problems()) != 0 {
			t.Errorf("the zone has %d members and problems %v", z.Members(), z.Problems())
		}
	})
}
