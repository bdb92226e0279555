package decide_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/guard"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/decide"
	"github.com/seed-645ce708/gossip/lbsync/internal/desired"
	"github.com/seed-645ce708/gossip/lbsync/internal/instance"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// members reads "a b=failed c=left d+drain e@10.0.0.9" into members that serve web.
func members(text string) []api.Member {
	var out []api.Member
	for i, word := range strings.Fields(text) {
		m := api.Member{Status: "alive", Addr: net.IPv4(10, 0, 0, byte(i+1)).To4(), Tags: map[string]string{"svc:web": "80"}}
		word, status, ok := strings.Cut(word, "=")
		if ok {
			m.Status = status
		}
		word, addr, ok := strings.Cut(word, "@")
		if ok {
			m.Addr = net.ParseIP(addr).To4()
		} else {
			m.Addr = net.IPv4(10, 0, 1, word[0]).To4()
		}
		if name, ok := strings.CutSuffix(word, "+drain"); ok {
			word = name
			m.Tags["svc:web"] = "80,drain"
		}
		m.Name = word
		out = append(out, m)
	}
	return out
}

func web(guard config.Guard) []config.Service {
	return []config.Service{{Name: "web", Spec: desired.Spec{Name: "web", Published: "web"},
		Wait:  config.Wait{Add: 300 * time.Millisecond, Leave: 100 * time.Millisecond, Fail: time.Second, Max: 5 * time.Second},
		Guard: guard, Drain: config.Drain{Timeout: 30 * time.Second}}}
}

// active returns instances as a run before this one left them.
func active(text string) decide.Kept {
	var out decide.Kept
	for _, srv := range desired.Evaluate(desired.Spec{Name: "web", Published: "web"}, members(text)).Service.Servers {
		out.Instances = append(out.Instances, instance.Instance{Server: srv, State: pool.Active, Since: start.Add(-time.Hour), Ask: instance.Wants, AskSince: start.Add(-time.Hour)})
	}
	return out
}

var (
	lax      = config.Guard{MinServers: 1, MaxRemoval: 1, Window: time.Minute}
	graceful = config.Guard{MinServers: 1, MaxRemoval: 1, Window: time.Minute, FailedGrace: 5 * time.Second}
)

// set writes a service as "a b+drain".
func set(s pool.Service) string {
	var words []string
	for _, srv := range s.Servers {
		word := srv.Name
		if srv.Draining() {
			word += "+drain"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestStep(t *testing.T) {
	t.Parallel()
	const cut = "the agent is unreachable"
	type step struct {
		at       int // ms
		members  string
		distrust string
		now      bool
		want     string // the set, or "?" if undecided
		held     string
		again    int // ms after start; 0 for never
	}
	tests := []struct {
		name    string
		guard   config.Guard
		initial string // "?" for none
		unsure  string
		steps   []step
	}{
		{"the first set comes at once", lax, "?", "", []step{{0, "a b", "", false, "a b", "", 0}}},
		{"but not from an untrusted view", lax, "?", "", []step{{0, "a", cut, false, "?", "", 0}, {1, "a b", "", false, "a b", "", 0}}},
		{"a service without members is empty from the start", lax, "?", "", []step{{0, "", "", false, "", "", 0}, {1, "a", "", false, "", "", 301}, {301, "a", "", false, "a", "", 0}}},
		{"unless the file may know better", lax, "?", "it may", []step{{0, "", "", false, "?", "", 0}, {1, "a", "", false, "a", "", 0}}},
		{"after a restart it begins with the last good set", lax, "a b", "", []step{{0, "", cut, false, "a b", "a b", 0}, {1, "a b", "", false, "a b", "", 0}}},
		{"an addition waits", lax, "a", "", []step{{0, "a b", "", false, "a", "", 300}, {200, "a b c", "", false, "a", "", 500}, {500, "a b c", "", false, "a b c", "", 0}}},
		{"or not, on demand", lax, "a", "", []step{{0, "a b", "", true, "a b", "", 0}}},
		{"a leave waits less than a failure", lax, "a b c", "", []step{{0, "a b=left c=failed", "", false, "a b c", "", 100},
			{100, "a b=left c=failed", "", false, "a b+drain", "", 30100}, {30100, "a c=failed", "", false, "a b+drain", "", 30200}, {30200, "a c=failed", "", false, "a", "", 0}}},
		{"a failure that was none changes nothing", lax, "a b", "", []step{{0, "a b=failed", "", false, "a b", "", 1000}, {900, "a b", "", false, "a b", "", 0}, {1000, "a b", "", false, "a b", "", 0}}},
		{"a failure has its grace", graceful, "a b", "", []step{{0, "a b=failed", "", true, "a b", "", 5000}, {4999, "a b=failed", "", true, "a b", "", 5000}, {5000, "a b=failed", "", true, "a", "", 0}}},
		{"and is back within it", graceful, "a b", "", []step{{0, "a b=failed", "", true, "a b", "", 5000}, {4000, "a b", "", true, "a b", "", 0}, {5000, "a b", "", true, "a b", "", 0}}},
		{"a drain", lax, "a b", "", []step{{0, "a b+drain", "", true, "a b+drain", "", 30000}, {1, "a b=left", "", true, "a b+drain", "", 30000}, {30000, "a b=left", "", true, "a", "", 0}}},
		{"a drain that is over comes back at last", lax, "a b", "", []step{{0, "a b+drain", "", true, "a b+drain", "", 30000}, {30000, "a b+drain", "", true, "a", "", 0}, {40000, "a b", "", true, "a b", "", 0}}},
		{"who dies while it drains goes", lax, "a b", "", []step{{0, "a b+drain", "", true, "a b+drain", "", 30000}, {1, "a b=failed", "", true, "a", "", 0}}},
		{"who drains before it was ever in stays out", lax, "a", "", []step{{0, "a b+drain", "", true, "a", "", 0}}},
		{"everyone drains", lax, "a b", "", []step{{0, "a+drain b+drain", "", true, "a b+drain", "a", 30000}}},
		{"emptied by failures", lax, "a b", "", []step{{0, "a=failed b=failed", "", true, "a", "a", 60000}, {5000, "", "", true, "a", "a", 60000}}},
		{"emptied by leaves", lax, "a b", "", []step{{0, "a=left b=left", "", true, "a b+drain", "a", 30000}}},
		{"emptied by leaves, allowed", config.Guard{MinServers: 1, MaxRemoval: 1, Window: time.Minute, AllowEmpty: true}, "a b", "", []step{{0, "a=left b=left", "", true, "a+drain b+drain", "", 30000}, {30000, "", "", true, "", "", 0}}},
		{"a member that vanishes or withdraws counts as failed", config.Guard{MinServers: 1, MaxRemoval: 0.25, Window: time.Minute}, "a b c d", "",
			[]step{{0, "c d", "", true, "b c d", "b", 60000}, {59999, "c d", "", true, "b c d", "b", 60000}, {60000, "c d", "", true, "c d", "", 0}}},
		{"a held removal goes at last, if that was said", config.Guard{MinServers: 1, MaxRemoval: 1, Window: time.Minute, ApplyAfter: time.Minute}, "a b", "",
			[]step{{0, "a b=failed", cut, true, "a b", "b", 60000}, {59999, "a b=failed", cut, true, "a b", "b", 60000}, {60000, "a b=failed", cut, true, "a", "", 0}}},
		{"but never the last", config.Guard{MinServers: 2, MaxRemoval: 1, Window: time.Minute, ApplyAfter: time.Minute}, "a b", "",
			[]step{{0, "", cut, true, "a b", "a b", 60000}, {60000, "", cut, true, "a", "a", 0}}},
		{"a leave goes through although the view is doubtful", lax, "a b c", "", []step{{0, "a=left b=failed c", cut, true, "a+drain b c", "b", 30000}}},
		{"another address is taken although the view is doubtful", lax, "a", "", []step{{0, "a@10.9.9.9", cut, true, "a", "", 0}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			in := decide.Initial{Known: tt.initial != "?", Unsure: tt.unsure}
			if in.Known {
				in.Last = active(tt.initial)
			}
			d := decide.New(web(tt.guard), map[string]decide.Initial{"web": in})
			for i, s := range tt.steps {
				statuses, again := d.Step(start.Add(time.Duration(s.at)*time.Millisecond), decide.View{Members: members(s.members), Distrust: s.distrust}, s.now)
				st := statuses[0]
				got := "?"
				if st.Known {
					got = set(st.Service)
				}
				if (got == "?") != (st.Waiting != "") {
					t.Errorf("step %d: known %t, waiting for %q", i, st.Known, st.Waiting)
				}
				var held []string
				for _, h := range st.Held {
					held = append(held, h.Name)
				}
				wake := 0
				if !again.IsZero() {
					wake = int(again.Sub(start).Milliseconds())
				}
				if got != s.want || strings.Join(held, " ") != s.held || wake != s.again {
					t.Errorf("step %d: got %q, held %v, again at %d; want %q, %q, %d", i, got, held, wake, s.want, s.held, s.again)
				}
			}
		})
	}
}

// TestUpdateIsReported: an address that changes is an update, not an exchange.
func TestUpdateIsReported(t *testing.T) {
	t.Parallel()
	d := decide.New(web(lax), map[string]decide.Initial{"web": {}})
	d.Step(start, decide.View{Members: members("a b")}, true)
	statuses, _ := d.Step(start, decide.View{Members: members("a@10.9.9.9 b=left c")}, true)
	st := statuses[0]
	got := fmt.Sprint(st.Added, st.Updated, st.Removed, st.Changed)
	if want := "[c] [a] [{b left}] true"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if srv, _ := st.Service.Server("a"); srv.Addr.String() != "10.9.9.9" {
		t.Errorf("a is at %v", srv.Addr)
	}
}

// TestHistories: whatever happens, a service is never emptied and never falls below its floor, only so many failures are
// acted on in a window, nobody goes on a doubtful view or a hold without having said so; and when things calm
// down every leave is honoured and the set is what the members ask for.
func TestHistories(t *testing.T) {
	t.Parallel()
	for seed := range uint64(400) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		g := config.Guard{MinServers: 1 + rnd.IntN(3), MaxRemoval: 0.4, Window: time.Minute, FailedGrace: time.Duration(rnd.IntN(3)) * 5 * time.Second}
		if rnd.IntN(2) == 0 {
			g.Flap = config.Flap{HalfLife: 20 * time.Second, Suppress: 3, Reuse: 1, Max: time.Minute}
		}
		d := decide.New(web(g), map[string]decide.Initial{"web": {}})
		now := start
		statuses, _ := d.Step(now, decide.View{Members: members("a b c d e f")}, true)
		left := map[string]bool{}
		var windowEnds time.Time
		size, failures := 0, 0
		for range 200 {
			now = now.Add(time.Duration(rnd.IntN(3000)) * time.Millisecond)
			view := decide.View{}
			if rnd.IntN(4) == 0 {
				view.Distrust = "test"
			}
			held := rnd.IntN(8) == 0
			if held {
				view.Overrides = map[string]decide.Overrides{"web": {Hold: "an operator"}}
			}
			if rnd.IntN(2) == 0 { // the balancers keep up, and have no sessions
				view.Facts = map[string]decide.Facts{"web": {Gen: statuses[0].Gen, Counted: true}}
			}
			var words []string
			for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
				switch rnd.IntN(6) {
				case 0:
					words = append(words, name+"=failed")
					left[name] = false
				case 1:
					words = append(words, name+"=left")
					left[name] = true
				case 2:
					words = append(words, name+"+drain")
					left[name] = false
				case 3: // vanished, or reaped
				default:
					words = append(words, name)
					left[name] = false
				}
			}
			view.Members = members(strings.Join(words, " "))
			before := statuses[0].Service
			statuses, _ = d.Step(now, view, false)
			after := statuses[0].Service
			if len(after.Ready()) < min(g.MinServers, len(before.Ready())) || len(after.Ready()) == 0 {
				t.Fatalf("seed %d: from %q to %q by %q", seed, set(before), set(after), words)
			}
			if !slices.IsSortedFunc(after.Servers, func(a, b pool.Server) int { return strings.Compare(a.Name, b.Name) }) {
				t.Fatalf("seed %d: unsorted %q", seed, set(after))
			}
			for _, r := range statuses[0].Removed {
				announced := left[r.Name] || slices.Contains(words, r.Name+"+drain")
				if held || view.Distrust != "" && !announced {
					t.Fatalf("seed %d: %s went, %s, held %t, distrust %q", seed, r.Name, r.Why, held, view.Distrust)
				}
				if r.Why == decide.WhyLeft || r.Why == decide.WhyDrain {
					continue
				}
				if !now.Before(windowEnds) {
					windowEnds, size, failures = now.Add(g.Window), len(before.Ready()), 0
				}
				if failures++; float64(failures) > math.Ceil(g.MaxRemoval*float64(size)) {
					t.Fatalf("seed %d: %d of %d removed in a window", seed, failures, size)
				}
			}
		}
		for range 10 {
			now = now.Add(time.Minute)
			statuses, _ = d.Step(now, decide.View{Members: members("a b=failed c=left d e f+drain")}, false)
		}
		if want := "a d e"; set(statuses[0].Service) != want {
			t.Fatalf("seed %d: ends with %q, want %q", seed, set(statuses[0].Service), want)
		}
	}
}

// TestOverrides: an operator drains, holds, and lets held removals go.
func TestOverrides(t *testing.T) {
	t.Parallel()
	d := decide.New(web(lax), map[string]decide.Initial{"web": {Known: true, Last: active("a b c")}})
	at := start
	step := func(view string, distrust string, over decide.Overrides) decide.Status {
		at = at.Add(time.Second)
		st, _ := d.Step(at, decide.View{Members: members(view), Distrust: distrust, Overrides: map[string]decide.Overrides{"web": over}}, true)
		return st[0]
	}
	if st := step("a b c", "", decide.Overrides{Drain: map[string]bool{"a": true}}); set(st.Service) != "a+drain b c" {
		t.Errorf("drained: %q", set(st.Service))
	}
	if st := step("a b c", "", decide.Overrides{}); set(st.Service) != "a b c" {
		t.Errorf("resumed: %q", set(st.Service))
	}
	st := step("a=left b=failed c", "", decide.Overrides{Hold: "an operator holds it"})
	if set(st.Service) != "a b c" || len(st.Held) != 2 || st.Held[0].Reason != "an operator holds it" || st.Service.HoldReason == "" || st.HeldSet != "" {
		t.Errorf("held: %q, %v", set(st.Service), st.Held)
	}
	st = step("a b=failed c=failed", "cut off", decide.Overrides{Ack: "000000000000"})
	if set(st.Service) != "a b c" || st.HeldSet == "" || st.AckSpent {
		t.Errorf("wrong set acked: %q", set(st.Service))
	}
	st = step("a b=failed c=failed", "cut off", decide.Overrides{Ack: st.HeldSet})
	if set(st.Service) != "a" || !st.AckSpent || len(st.Held) > 0 {
		t.Errorf("acked: %q, %+v", set(st.Service), st.Held)
	}
	if st = step("a=failed", "", decide.Overrides{}); set(st.Service) != "a" || len(st.Held) != 1 || st.HeldSet != "" {
		t.Errorf("the last one: %q, %+v; an ack of %q is offered, which would not help", set(st.Service), st.Held, st.HeldSet)
	}
}

// TestFlaps: who fails and comes back again and again is kept out; but not who only seems to, because the view of the members does.
func TestFlaps(t *testing.T) {
	t.Parallel()
	for _, distrust := range []string{"", "the view is settling"} {
		cfg := lax
		cfg.Window, cfg.Flap = time.Second, config.Flap{HalfLife: time.Hour, Suppress: 3, Reuse: 1, Max: time.Hour}
		d := decide.New(web(cfg), map[string]decide.Initial{"web": {Known: true, Last: active("a b c")}})
		at := start
		var st decide.Status
		for range 5 {
			for _, view := range []decide.View{{Members: members("a"), Distrust: distrust}, {Members: members("a b c"), Distrust: distrust}, {Members: members("a b c")}} {
				at = at.Add(2 * time.Second)
				view.Facts = map[string]decide.Facts{"web": {Gen: ^uint64(0), Counted: true}}
				all, _ := d.Step(at, view, true)
				st = all[0]
			}
		}
		if want := map[string]string{"": "a", "the view is settling": "a b c"}[distrust]; set(st.Service) != want || st.Suppress != 3-len(strings.Fields(want)) {
			t.Errorf("doubt %q: %q, %d suppressed", distrust, set(st.Service), st.Suppress)
		}
	}
}

// TestRestartsInAWindow: who is started again and again removes no more failed servers in a window than who is not.
func TestRestartsInAWindow(t *testing.T) {
	t.Parallel()
	half := config.Guard{MinServers: 1, MaxRemoval: 0.5, Window: time.Minute}
	for _, s := range []struct {
		what  string
		after time.Duration // from one start to the next
		want  string
	}{
		{"within the window", time.Second, "b c 1 held"},
		{"after it", time.Minute, "c 0 held"},
		{"and the clock was set back", -time.Hour, "c 0 held"},
	} {
		kept, at := active("a b c"), start
		kept.Window = guard.Spent{Begin: start, Size: 2, Removed: 0}
		var st decide.Status
		for _, view := range []string{"a=failed b c", "b=failed c"} {
			d := decide.New(web(half), map[string]decide.Initial{"web": {Known: true, Last: kept}})
			all, _ := d.Step(at, decide.View{Members: members(view)}, true)
			kept, st, at = d.Kept("web"), all[0], at.Add(s.after)
		}
		if got := fmt.Sprintf("%s %d held", set(st.Service), len(st.Held)); got != s.want {
			t.Errorf("started %s: %s, want %s", s.what, got, s.want)
		}
	}
}

// TestFacts: what the balancers say ends probation and drains.
func TestFacts(t *testing.T) {
	t.Parallel()
	d := decide.New(web(lax), map[string]decide.Initial{"web": {}})
	st := decide.Status{}
	at := start
	step := func(view string, facts decide.Facts) string {
		at = at.Add(time.Second)
		all, _ := d.Step(at, decide.View{Members: members(view), Facts: map[string]decide.Facts{"web": facts}}, true)
		st = all[0]
		out := ""
		for _, i := range d.Kept("web").Instances {
			out += i.Server.Name + "=" + string(i.State) + " "
		}
		return strings.TrimSpace(out)
	}
	has := func(facts ...instance.Fact) map[string]instance.Fact {
		out := map[string]instance.Fact{}
		for i, f := range facts {
			out[string(rune('a'+i))] = f
		}
		return out
	}
	for i, s := range []struct {
		members string
		behind  bool // the balancers have not caught up
		facts   []instance.Fact
		want    string
	}{
		{"a b", false, nil, "a=probation b=probation"},
		{"a b", true, []instance.Fact{{Present: true}, {Present: true, Judged: true}}, "a=probation b=probation"},
		{"a b", false, []instance.Fact{{Present: true}, {Present: true, Judged: true}}, "a=active b=probation"},
		{"a b", false, []instance.Fact{{Present: true}, {Present: true, Judged: true, Up: true}}, "a=active b=active"},
		{"a=left b", false, []instance.Fact{{Present: true, Sessions: 2}, {Present: true}}, "a=draining b=active"},
		{"a=left b", false, []instance.Fact{{Present: true, Sessions: 2}, {Present: true}}, "a=draining b=active"},
		{"a=left b", true, []instance.Fact{{Present: true}, {Present: true}}, "a=draining b=active"},
		{"a=left b", false, []instance.Fact{{Present: true}, {Present: true}}, "a=removing b=active"},
		{"a=left b", false, []instance.Fact{{Present: true}, {Present: true}}, "a=removing b=active"},
		{"a=left b", true, nil, "a=removing b=active"},
		{"a=left b", false, nil, "b=active"},
	} {
		facts := decide.Facts{Gen: st.Gen, Counted: true, Servers: has(s.facts...)}
		if s.behind {
			facts.Gen = 0
		}
		if got := step(s.members, facts); got != s.want {
			t.Errorf("step %d: got %q, want %q", i, got, s.want)
		}
	}
}
