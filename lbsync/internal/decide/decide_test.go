package decide_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/decide"
	"github.com/seed-645ce708/gossip/lbsync/internal/desired"
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
		Guard: guard}}
}

var lax = config.Guard{MinServers: 1, MaxRemoval: 1, Window: time.Minute}

// set writes a service as "a b+drain".
func set(s desired.Service) string {
	var words []string
	for _, srv := range s.Servers {
		word := srv.Name
		if srv.Drain {
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
		{"a leave waits less than a failure", lax, "a b c", "", []step{{0, "a b=left c=failed", "", false, "a b c", "", 100}, {100, "a b=left c=failed", "", false, "a", "", 0}}},
		{"a failure that was none changes nothing", lax, "a b", "", []step{{0, "a b=failed", "", false, "a b", "", 1000}, {900, "a b", "", false, "a b", "", 0}, {1000, "a b", "", false, "a b", "", 0}}},
		{"a drain", lax, "a b", "", []step{{0, "a b+drain", "", true, "a b+drain", "", 0}, {1, "a b=left", "", true, "a", "", 0}}},
		{"everyone drains", lax, "a b", "", []step{{0, "a+drain b+drain", "", true, "a b+drain", "a", 0}}},
		{"emptied by failures", lax, "a b", "", []step{{0, "a=failed b=failed", "", true, "a", "a", 60000}, {5000, "", "", true, "a", "a", 60000}}},
		{"emptied by leaves", lax, "a b", "", []step{{0, "a=left b=left", "", true, "a", "a", 0}}},
		{"emptied by leaves, allowed", config.Guard{MinServers: 1, MaxRemoval: 1, Window: time.Minute, AllowEmpty: true}, "a b", "", []step{{0, "a=left b=left", "", true, "", "", 0}}},
		{"a member that vanishes or withdraws counts as failed", config.Guard{MinServers: 1, MaxRemoval: 0.25, Window: time.Minute}, "a b c d", "",
			[]step{{0, "c d", "", true, "b c d", "b", 60000}, {59999, "c d", "", true, "b c d", "b", 60000}, {60000, "c d", "", true, "c d", "", 0}}},
		{"a leave goes through although the view is doubtful", lax, "a b c", "", []step{{0, "a=left b=failed c", cut, true, "b c", "b", 0}}},
		{"another address is taken although the view is doubtful", lax, "a", "", []step{{0, "a@10.9.9.9", cut, true, "a", "", 0}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			in := decide.Initial{Known: tt.initial != "?", Unsure: tt.unsure}
			if in.Known {
				in.Last = desired.Evaluate(desired.Spec{Name: "web", Published: "web"}, members(tt.initial)).Service
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

// TestHistories: whatever happens, a service is never emptied, only so many failures are acted on in a window,
// and when things calm down the set is what the members ask for.
func TestHistories(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		guard := config.Guard{MinServers: 1 + rnd.IntN(3), MaxRemoval: 0.4, Window: time.Minute}
		d := decide.New(web(guard), map[string]decide.Initial{"web": {}})
		now := start
		view := decide.View{Members: members("a b c d e f")}
		statuses, _ := d.Step(now, view, true)
		for range 200 {
			now = now.Add(time.Duration(rnd.IntN(3000)) * time.Millisecond)
			view = decide.View{}
			if rnd.IntN(4) == 0 {
				view.Distrust = "test"
			}
			var words []string
			for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
				switch rnd.IntN(6) {
				case 0:
					words = append(words, name+"=failed")
				case 1:
					words = append(words, name+"=left")
				case 2:
					words = append(words, name+"+drain")
				case 3: // vanished
				default:
					words = append(words, name)
				}
			}
			view.Members = members(strings.Join(words, " "))
			before := statuses[0].Service
			statuses, _ = d.Step(now, view, false)
			after := statuses[0].Service
			if len(after.Ready()) < min(guard.MinServers, len(before.Ready())) || len(after.Ready()) == 0 {
				t.Fatalf("seed %d: from %q to %q by %q", seed, set(before), set(after), words)
			}
			if !slices.IsSortedFunc(after.Servers, func(a, b desired.Server) int { return strings.Compare(a.Name, b.Name) }) {
				t.Fatalf("seed %d: unsorted %q", seed, set(after))
			}
			if view.Distrust != "" {
				for _, name := range before.Ready() {
					announced := slices.Contains(words, name+"=left") || slices.Contains(words, name+"+drain")
					if !slices.Contains(after.Ready(), name) && !announced {
						t.Fatalf("seed %d: %s went on an untrusted view", seed, name)
					}
				}
			}
		}
		view = decide.View{Members: members("a b=failed c=left d e f+drain")}
		for range 10 {
			now = now.Add(time.Minute)
			statuses, _ = d.Step(now, view, false)
		}
		if want := "a d e f+drain"; guard.MinServers <= 3 && set(statuses[0].Service) != want {
			t.Fatalf("seed %d: ends with %q, want %q", seed, set(statuses[0].Service), want)
		}
	}
}
