package mirror

import (
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/client"
	"github.com/seed-645ce708/gossip/agent/internal/view"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// rig drives a mirror with views at times of its own.
type rig struct {
	t    *testing.T
	m    *Mirror
	now  time.Time
	view client.View
}

func newRig(t *testing.T) *rig {
	return &rig{t: t, m: New(Config{StaleLimit: 5 * time.Minute, FlapHalfLife: 2 * time.Minute}), now: start}
}

// list shows a list that a connection of this moment brings, or the one that is there. One letter is an alive member,
// with "!" behind it a failed one.
func (r *rig) list(members string, c *api.Confidence) time.Time {
	if !r.view.Connected {
		r.view.Since = r.now
	}
	r.view.Connected, r.view.Updated, r.view.Confidence, r.view.Members = true, r.now, c, nil
	for i, name := range members {
		if name == '!' {
			continue
		}
		m := api.Member{Name: string(name), Addr: net.IPv4(10, 0, 0, byte(name)), Port: 7946, Status: "alive"}
		if i+1 < len(members) && members[i+1] == '!' {
			m.Status = "failed"
		}
		r.view.Members = append(r.view.Members, m)
	}
	return r.m.apply(r.now, r.view)
}

func (r *rig) lose() time.Time {
	r.view.Connected, r.view.Since, r.view.Err = false, r.now, errors.New("gone")
	return r.m.apply(r.now, r.view)
}

func (r *rig) pass(d time.Duration) time.Time {
	r.now = r.now.Add(d)
	return r.m.apply(r.now, r.view)
}

func (r *rig) check(what string, ready, stale, isolated bool) {
	r.t.Helper()
	c := r.m.Store().Load().Confidence
	if r.m.Ready() != ready || c.Stale != stale || c.Isolated != isolated {
		r.t.Errorf("%s: ready %v, stale %v, isolated %v (%s); want %v, %v, %v",
			what, r.m.Ready(), c.Stale, c.Isolated, c.Evidence, ready, stale, isolated)
	}
}

var synced = &api.Confidence{Synced: true, VisibleShare: 1}

func TestTrustOfAGossipAgent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.m.apply(r.now, client.View{Err: errors.New("connection refused")})
	r.check("before the first list", false, false, false)
	r.list("a", &api.Confidence{})
	r.check("an agent that has not joined yet", false, false, false)
	if again := r.list("abc", synced); !again.IsZero() {
		t.Errorf("the first list wants to be looked at again at %v", again)
	}
	r.check("the first list", true, false, false)

	if end := r.lose(); !end.Equal(r.now.Add(5 * time.Minute)) {
		t.Errorf("the limit ends at %v, not in five minutes", end)
	}
	r.check("the agent is gone", true, true, false)
	r.pass(5*time.Minute - 1)
	r.check("just before the limit", true, true, false)
	r.pass(1)
	r.check("at the limit", false, true, false)
	r.list("a", &api.Confidence{})
	r.check("back, and not joined", false, true, false)

	r.list("abc", synced)
	r.check("joined again, a moment after it came", true, false, true)
	if again := r.list("abc", synced); !again.Equal(r.view.Since.Add(settle)) {
		t.Errorf("the settling ends at %v", again)
	}
	r.pass(settle)
	r.check("settled", true, false, false)
	r.list("ab!c!", &api.Confidence{Synced: true, Isolated: true, Evidence: "silence"})
	r.check("it says that it is cut off", true, false, true)
}

// A restarted agent that has joined nobody yet must not empty the zone.
func TestRestartedAgentIsDoubted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]*api.Confidence{"gossip": {}, "serf": nil} {
		r := newRig(t)
		if c == nil {
			r.list("abc", nil)
		} else {
			r.list("abc", synced)
		}
		r.pass(time.Hour)
		r.lose()
		r.pass(time.Second)
		r.list("a", c)
		r.check(name, true, false, true)
	}
}

// A stock Serf agent says nothing of its view; the burst rule of package trust does.
func TestTrustOfASerfAgent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.list("abcdefg", nil)
	if again := r.pass(time.Minute); !again.Equal(r.now.Add(rejudge)) {
		t.Errorf("looks again at %v", again)
	}
	r.check("all is well", true, false, false)
	r.list("abcdefg!", nil)
	r.check("one failed", true, false, false)
	for range 60 {
		r.pass(time.Second) // silence of the stream is no silence of the members
	}
	r.check("a minute later", true, false, false)
	r.list("ab!c!d!e!f!g!", nil)
	r.check("nearly all failed at once", true, false, true)
	r.list("abcdefg", nil)
	for range 11 {
		r.pass(time.Second)
	}
	r.check("all are back", true, false, false)
}

func TestUnchangedMembersKeepTheirPointers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.list("abd", synced)
	before := r.m.Store().Load()
	r.list("abd", synced)
	if now := r.m.Store().Load(); now != before {
		t.Error("the same list made a new snapshot")
	}
	r.list("b!cd", synced)
	now := r.m.Store().Load()
	names := func(s *view.Snapshot) (list []string) {
		for _, m := range s.Members {
			list = append(list, m.Name+" "+m.Status.String())
		}
		return list
	}
	if got, want := names(now), []string{"b failed", "c alive", "d alive"}; !slices.Equal(got, want) {
		t.Errorf("members are %q, want %q", got, want)
	}
	if now.Members[2] != before.Members[2] || now.Members[0] == before.Members[1] {
		t.Error("pointers do not tell who changed")
	}
}

func TestMarksTravel(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.list("ab", synced)
	r.view.Members = slices.Clone(r.view.Members)
	r.view.Members[1].Damped, r.view.Members[1].Note = true, "flapping"
	r.pass(0)
	if !r.m.Store().Load().Suppressed("b") {
		t.Error("a member that the agent damps is not suppressed")
	}
}
