package dnsbridge

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/view"
	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// world is a bridge under a judge that says what it is told to, in virtual time.
type world struct {
	t       *testing.T
	store   *view.Store
	bridge  *Bridge
	members []*view.Member
	verdict view.Verdict
	again   time.Time
}

func (w *world) Judge([]*view.Member) view.Verdict { return w.verdict }

// newWorld has members a to e, who all offer web; e offers solo, too.
func newWorld(t *testing.T) *world {
	w := &world{t: t, store: view.NewStore("a")}
	w.store.SetJudge(w)
	w.bridge = newBridge(t, w.store, func(c *Config) { c.StaleLimit = 5 * time.Minute })
	for i, name := range []string{"a", "b", "c", "d", "e"} {
		m := member(name, fmt.Sprintf("10.0.0.%d", i+1), view.StatusAlive, "svc:web=80")
		if name == "e" {
			m.Tags["svc:solo"] = "81"
		}
		w.members = append(w.members, m)
	}
	w.apply()
	return w
}

func (w *world) apply() { w.again = w.bridge.apply(w.store.Publish(w.members)) }

// set gives members, one letter each, another status.
func (w *world) set(names string, s view.Status) {
	w.members = append([]*view.Member(nil), w.members...)
	for _, c := range names {
		i := int(c - 'a')
		m := *w.members[i]
		m.Status = s
		w.members[i] = &m
	}
	w.apply()
}

func (w *world) isolated(yes bool) {
	w.verdict.Confidence = view.Confidence{Isolated: yes, VisibleShare: 1}
	w.apply()
}

func (w *world) suppress(names string) {
	w.verdict.Marks = map[string]view.Mark{}
	for _, c := range names {
		w.verdict.Marks[string(c)] = view.Mark{Suppressed: true}
	}
	w.apply()
}

// check compares who is in the answers about web and solo, and what those about each of the nodes' names are: the node, a
// dash for nothing, an exclamation mark for no answer, an x for no such name. Stale answers have a question mark.
func (w *world) check(what, web, solo, nodes string) {
	w.t.Helper()
	ask := func(name string) string {
		wire, err := zone.ParseName(name)
		if err != nil {
			w.t.Fatal(err)
		}
		r := w.bridge.zone.Load().Lookup(wire, zone.TypeA)
		if r.Outcome != zone.Success {
			return r.Outcome.String()
		}
		var b strings.Builder
		for _, a := range r.Answer.Addrs {
			b.WriteByte('a' + a.As4()[3] - 1)
		}
		if r.Answer.Stale {
			b.WriteByte('?')
		}
		return b.String()
	}
	var there string
	for _, n := range []string{"a", "b", "c", "d", "e"} {
		got := ask(n + ".node.gossip")
		if sign, ok := map[string]string{"nodata": "-", "unsure": "!", "nxdomain": "x"}[got]; ok {
			got = sign
		}
		there += got
	}
	if g1, g2 := ask("web.service.gossip"), ask("solo.service.gossip"); g1 != web || g2 != solo || there != nodes {
		w.t.Errorf("%s: got web %s, solo %s, nodes %s; want %s, %s, %s", what, g1, g2, there, web, solo, nodes)
	}
}

func TestStaleAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.set("e", view.StatusFailed)
		w.check("a failure shows at once", "abcd", "nodata", "abcd-")
		time.Sleep(2 * time.Minute)
		w.set("d", view.StatusFailed)
		time.Sleep(30 * time.Second)
		w.isolated(true)
		w.check("who vanished just before is shown again, who was gone long before is not", "abcd?", "unsure", "abcd?!")
		w.set("b", view.StatusFailed)
		w.set("c", view.StatusLeft)
		w.check("failures are held, leaves are not", "abd?", "unsure", "ab?!d?!")
		time.Sleep(time.Until(w.again) - 1)
		w.apply()
		w.check("until the limit", "abd?", "unsure", "ab?!d?!")
		time.Sleep(time.Nanosecond)
		w.apply()
		if !w.again.IsZero() {
			t.Errorf("nobody is left to be held, but again in %v", time.Until(w.again))
		}
		w.check("and no longer", "a", "unsure", "a!!!!")
		time.Sleep(time.Hour)
		w.apply()
		w.check("ever", "a", "unsure", "a!!!!")
		w.set("bcde", view.StatusAlive)
		w.check("they are back", "abcde", "e", "abcde")
	})
}

// A secondary says "no such name" of what is not in its copy. So it gets none that lacks members whom we lost sight of.
func TestCopiesOfADoubtfulZone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		check := func(what string, want bool) {
			t.Helper()
			if got := w.bridge.copied() != nil; got != want {
				t.Errorf("%s: a zone for secondaries: %t", what, got)
			}
		}
		check("no doubt", true)
		w.set("e", view.StatusFailed)
		check("a failure", true)
		time.Sleep(2 * time.Minute)
		w.isolated(true)
		check("cut off, and nobody was lost by that", true)
		w.set("bc", view.StatusFailed)
		check("those who were are shown", true)
		time.Sleep(time.Until(w.again))
		w.apply()
		check("and no longer", false)
		w.set("bc", view.StatusAlive)
		check("they are back", true)
		w.set("bc", view.StatusFailed)
		time.Sleep(time.Until(w.again))
		w.apply()
		check("lost again", false)
		w.isolated(false)
		check("the doubt is over, so they are gone", true)
	})
}

func TestStaleAnswersEndWithTheDoubt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.isolated(true)
		w.set("bcde", view.StatusFailed)
		w.check("cut off", "abcde?", "e?", "ab?c?d?e?")
		w.set("bc", view.StatusAlive)
		w.check("two are back", "abcde?", "e?", "abcd?e?")
		w.isolated(false)
		w.check("no doubt any more", "abc", "nodata", "abc--")
		if w.bridge.Stats()["stale"] != "0" {
			t.Errorf("stats: %v", w.bridge.Stats())
		}
	})
}

func TestNoStaleAnswersWithoutALimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.bridge.follower.doubt.holds.Limit = 0
		w.isolated(true)
		w.set("bcde", view.StatusFailed)
		w.check("cut off", "a", "unsure", "a!!!!")
	})
}

func TestSuppressedMembers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.suppress("be")
		w.check("out of the answers, but not as the last", "acd", "e", "abcde")
		w.set("acd", view.StatusFailed)
		w.check("nobody else is left", "be", "e", "-b--e")
		w.set("a", view.StatusAlive)
		w.check("somebody else is", "a", "e", "ab--e")
		w.suppress("b")
		w.check("one is back", "ae", "e", "ab--e")
		w.suppress("")
		w.check("so is the other", "abe", "e", "ab--e")
		if f := &w.bridge.follower; len(f.offers) != 3 || f.steady["web"] != 3 || f.steady["solo"] != 1 {
			t.Errorf("the count is wrong: %v, %v", f.offers, f.steady)
		}
	})
}

// TestWhateverHappens: an answer is never wrong by more than the rules allow, and all traces go.
func TestWhateverHappens(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 3))
			w := newWorld(t)
			letter := func() string { return string(rune('a' + rnd.IntN(5))) }
			for range 100 {
				switch rnd.IntN(5) {
				case 0, 1:
					w.set(letter(), []view.Status{view.StatusAlive, view.StatusFailed, view.StatusLeft, view.StatusLeaving}[rnd.IntN(4)])
				case 2:
					w.isolated(rnd.IntN(2) == 0)
				case 3:
					w.suppress(letter() + letter())
				}
				time.Sleep(time.Duration(rnd.IntN(90)) * time.Second)
				w.apply()
				wire, _ := zone.ParseName("web.service.gossip")
				r := w.bridge.zone.Load().Lookup(wire, zone.TypeA)
				shown := map[byte]bool{}
				if r.Answer != nil {
					for _, a := range r.Answer.Addrs {
						shown['a'+a.As4()[3]-1] = true
					}
				}
				alive := 0
				for _, m := range w.members {
					name := m.Name[0]
					switch {
					case m.Status == view.StatusAlive:
						alive++
						if !shown[name] && !w.verdict.Marks[m.Name].Suppressed {
							t.Fatalf("seed %d: %s is alive and not shown", seed, m.Name)
						}
					case shown[name] && (m.Status != view.StatusFailed || !w.verdict.Confidence.Isolated || !r.Answer.Stale):
						t.Fatalf("seed %d: %s is %v and shown, stale %t", seed, m.Name, m.Status, r.Answer.Stale)
					}
				}
				if alive > 0 && len(shown) == 0 {
					t.Fatalf("seed %d: %d are alive and none is shown", seed, alive)
				}
			}
			w.isolated(false)
			w.suppress("")
			w.set("abcde", view.StatusAlive)
			time.Sleep(2 * lookBack)
			w.apply()
			w.check(fmt.Sprintf("seed %d, at last", seed), "abcde", "e", "abcde")
			if f := &w.bridge.follower; len(f.doubt.lost) != 0 || len(f.doubt.held) != 0 || len(f.offers) != 5 {
				t.Errorf("seed %d: left behind: %+v", seed, f.doubt)
			}
		})
	}
}
