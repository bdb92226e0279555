package event_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/lamport"
	"github.com/seed-645ce708/gossip/agent/internal/view"
)

func member(kind event.Type, names ...string) *event.Member {
	e := &event.Member{Kind: kind}
	for _, n := range names {
		name, role, _ := strings.Cut(n, "/")
		m := &view.Member{Name: name, Addr: netip.MustParseAddr("127.0.0.1"), Tags: map[string]string{}}
		if role != "" {
			m.Tags["role"] = role
		}
		e.Members = append(e.Members, m)
	}
	return e
}

// show writes events as "member-join a b" or "user deploy@3".
func show(events []event.Event) string {
	var out []string
	for _, e := range events {
		switch e := e.(type) {
		case *event.Member:
			s := string(e.Kind)
			for _, m := range e.Members {
				s += " " + m.Name
			}
			out = append(out, s)
		case *event.User:
			out = append(out, fmt.Sprintf("user %s@%d", e.Name, e.LTime))
		default:
			out = append(out, e.String())
		}
	}
	return strings.Join(out, "; ")
}

// TestMemberCoalescing runs flushes one after the other; each step lists what came in and what goes out.
func TestMemberCoalescing(t *testing.T) {
	t.Parallel()
	const (
		join, leave, failed = event.TypeMemberJoin, event.TypeMemberLeave, event.TypeMemberFailed
		update, reap        = event.TypeMemberUpdate, event.TypeMemberReap
	)
	type step struct {
		in   []*event.Member
		want string
	}
	for name, steps := range map[string][]step{
		"grouped by type, in order of arrival": {{
			[]*event.Member{member(join, "a"), member(failed, "b"), member(join, "c")}, "member-join a c; member-failed b"}},
		"newest of a node wins": {{
			[]*event.Member{member(join, "a"), member(failed, "a")}, "member-failed a"}},
		"one event of several members": {{
			[]*event.Member{member(join, "a", "b"), member(leave, "b")}, "member-join a; member-leave b"}},
		"a flap is suppressed": {
			{[]*event.Member{member(join, "a")}, "member-join a"},
			{[]*event.Member{member(failed, "a"), member(join, "a")}, ""},
		},
		"a flap with other tags is an update": {
			{[]*event.Member{member(join, "a/web")}, "member-join a"},
			{[]*event.Member{member(failed, "a/web"), member(join, "a/db")}, "member-update a"},
			{[]*event.Member{member(join, "a/db")}, "member-join a"}, // newest sent was an update, as in Serf
		},
		"a change is not suppressed": {
			{[]*event.Member{member(join, "a")}, "member-join a"},
			{[]*event.Member{member(failed, "a")}, "member-failed a"},
			{[]*event.Member{member(join, "a")}, "member-join a"},
		},
		"every update goes on": {
			{[]*event.Member{member(update, "a")}, "member-update a"},
			{[]*event.Member{member(update, "a")}, "member-update a"},
		},
		"an update is not repeated later": {
			{[]*event.Member{member(update, "a")}, "member-update a"},
			{[]*event.Member{member(join, "b")}, "member-join b"},
		},
		"nothing is remembered of a reaped node": {
			{[]*event.Member{member(join, "a")}, "member-join a"},
			{[]*event.Member{member(reap, "a")}, "member-reap a"},
			{[]*event.Member{member(join, "a")}, "member-join a"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := event.NewCoalescer(event.DefaultCoalesceConfig())
			now := time.Unix(0, 0)
			for i, s := range steps {
				for _, e := range s.in {
					if !c.Add(now, e) {
						t.Fatalf("step %d: %v was not held", i, e)
					}
				}
				now = now.Add(time.Second)
				if got := show(c.Flush(now)); got != s.want {
					t.Errorf("step %d: flushed %q, want %q", i, got, s.want)
				}
			}
		})
	}
}

func TestUserCoalescing(t *testing.T) {
	t.Parallel()
	u := func(name string, ltime lamport.Time) *event.User {
		return &event.User{Name: name, LTime: ltime, Coalesce: true}
	}
	for name, tt := range map[string]struct {
		in   []*event.User
		want string
	}{
		"newest of a name":            {[]*event.User{u("a", 1), u("a", 2)}, "user a@2"},
		"older ones that come late":   {[]*event.User{u("a", 2), u("a", 1)}, "user a@2"},
		"ties are kept":               {[]*event.User{u("a", 2), u("a", 2), u("a", 1)}, "user a@2; user a@2"},
		"names apart, first come":     {[]*event.User{u("b", 1), u("a", 2), u("b", 3)}, "user b@3; user a@2"},
		"a newer one replaces a tie":  {[]*event.User{u("a", 1), u("a", 1), u("a", 5)}, "user a@5"},
		"names that differ in case":   {[]*event.User{u("a", 1), u("A", 1)}, "user a@1; user A@1"},
		"an empty name is also one":   {[]*event.User{u("", 1), u("", 2)}, "user @2"},
		"nothing in, nothing comes":   {nil, ""},
		"the largest time is a time":  {[]*event.User{u("a", ^lamport.Time(0)), u("a", 0)}, "user a@18446744073709551615"},
		"one alone waits all the way": {[]*event.User{u("a", 7)}, "user a@7"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := event.NewCoalescer(event.DefaultCoalesceConfig())
			now := time.Unix(0, 0)
			for _, e := range tt.in {
				if !c.Add(now, e) {
					t.Fatalf("%v was not held", e)
				}
			}
			if got := show(c.Flush(now.Add(999 * time.Millisecond))); got != "" {
				t.Errorf("flushed %q before its time", got)
			}
			if got := show(c.Flush(now.Add(time.Second))); got != tt.want {
				t.Errorf("flushed %q, want %q", got, tt.want)
			}
			if _, ok := c.Deadline(); ok {
				t.Error("there is a deadline though nothing is held")
			}
		})
	}
}

func TestCoalescerLetsPass(t *testing.T) {
	t.Parallel()
	on, off := event.DefaultCoalesceConfig(), event.CoalesceConfig{}
	for _, tt := range []struct {
		cfg  event.CoalesceConfig
		e    event.Event
		held bool
	}{
		{on, &event.User{Name: "a"}, false},
		{on, &event.User{Name: "a", Coalesce: true}, true},
		{on, &event.Query{Name: "a"}, false},
		{on, member(event.TypeMemberReap, "a"), true},
		{off, &event.User{Name: "a", Coalesce: true}, false},
		{off, member(event.TypeMemberJoin, "a"), false},
	} {
		if got := event.NewCoalescer(tt.cfg).Add(time.Now(), tt.e); got != tt.held {
			t.Errorf("%v held: %v, want %v", tt.e, got, tt.held)
		}
	}
}

func TestCoalescerDeadlines(t *testing.T) {
	t.Parallel()
	c := event.NewCoalescer(event.DefaultCoalesceConfig())
	start := time.Unix(0, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	check := func(want time.Time) {
		t.Helper()
		if got, ok := c.Deadline(); !ok || !got.Equal(want) {
			t.Errorf("Deadline = %v, %v, want %v", got.Sub(start), ok, want.Sub(start))
		}
	}
	c.Add(at(0), member(event.TypeMemberJoin, "a"))
	check(at(1000))
	c.Add(at(900), member(event.TypeMemberJoin, "b")) // quiescence starts anew
	check(at(1900))
	c.Add(at(1800), member(event.TypeMemberJoin, "c"))
	c.Add(at(2700), member(event.TypeMemberJoin, "d")) // but the quantum does not move
	check(at(3000))
	c.Add(at(2750), &event.User{Name: "x", Coalesce: true}) // a later deadline of its own
	check(at(3000))
	if got := show(c.Flush(at(3000))); got != "member-join a b c d" {
		t.Errorf("flushed %q, want the member events alone", got)
	}
	check(at(3750))
	if got := show(c.FlushAll()); got != "user x@0" {
		t.Errorf("FlushAll = %q", got)
	}
}

func TestCoalescerIsBounded(t *testing.T) {
	t.Parallel()
	c := event.NewCoalescer(event.DefaultCoalesceConfig())
	now := time.Unix(0, 0)
	n := 0
	for ; n < 1<<20; n++ {
		c.Add(now, &event.User{Name: fmt.Sprint(n), Coalesce: true})
		if at, _ := c.Deadline(); !at.After(now) {
			break
		}
	}
	if n > 1<<16 {
		t.Fatalf("%d events are held and none is due", n)
	}
	if got := len(c.Flush(now)); got != n+1 {
		t.Errorf("flushed %d events, want all %d", got, n+1)
	}
}

func TestPipelineCoalescesIntoTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		log := event.NewLog(0)
		c := log.Subscribe()
		p := event.StartPipeline(event.PipelineConfig{Out: log, Coalesce: event.DefaultCoalesceConfig()})
		p.Emit(member(event.TypeMemberJoin, "a"))
		p.Emit(&event.Query{Name: "now"})
		want := func(text string, after time.Duration) {
			t.Helper()
			e, err := c.Next(t.Context())
			if err != nil || show([]event.Event{e}) != text || time.Since(start) != after {
				t.Fatalf("%v after %v (%v), want %q after %v", e, time.Since(start), err, text, after)
			}
		}
		want("query: now", 0)
		time.Sleep(600 * time.Millisecond)
		p.Emit(member(event.TypeMemberJoin, "b"))
		want("member-join a b", 1600*time.Millisecond)

		p.Emit(&event.User{Name: "last", Coalesce: true})
		p.Stop()
		p.Stop()
		want("user last@0", 1600*time.Millisecond)
		if p.Emit(member(event.TypeMemberJoin, "c")) {
			t.Error("a stopped pipeline took an event")
		}
	})
}

// TestPipelineQuantum checks that a steady flow of events is let go every 3 s.
func TestPipelineQuantum(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		log := event.NewLog(0)
		c := log.Subscribe()
		p := event.StartPipeline(event.PipelineConfig{Out: log, Coalesce: event.DefaultCoalesceConfig()})
		for n := range 130 { // 6.5 s
			p.Emit(&event.User{Name: "tick", LTime: lamport.Time(n), Coalesce: true})
			time.Sleep(50 * time.Millisecond)
		}
		p.Stop()
		log.Close()
		var got []lamport.Time
		for {
			e, err := c.Next(t.Context())
			if err != nil {
				break
			}
			got = append(got, e.(*event.User).LTime)
		}
		if len(got) != 3 || got[2] != 129 || !slices.IsSorted(got) {
			t.Errorf("events %v came through, want three, the last one 129", got)
		}
		if took := time.Since(start); took != 6500*time.Millisecond {
			t.Errorf("took %v", took)
		}
	})
}
