package session_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/agentfake"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/session"
)

func quick(addrs ...string) session.Config {
	return session.Config{
		Addrs:   addrs,
		Timeout: time.Minute,
		Retry:   session.Retry{Max: 2, MinWait: time.Millisecond, MaxWait: time.Millisecond},
	}
}

func failure(t *testing.T, err error) *session.Error {
	t.Helper()
	var f *session.Error
	if !errors.As(err, &f) {
		t.Fatalf("error is %v, want a *session.Error", err)
	}
	return f
}

func TestReadsAreRepeated(t *testing.T) {
	t.Parallel()
	fake := agentfake.New(t, "n1", "")
	fake.Drop(api.CommandMembers, 2)
	view, err := session.New(quick(fake.Addr())).View(t.Context())
	if err != nil || view.Observer != "n1" {
		t.Errorf("View() = %+v, %v, want the view of n1 at the third try", view, err)
	}
	fake.Drop(api.CommandMembers, 3)
	if _, err = session.New(quick(fake.Addr())).View(t.Context()); err == nil {
		t.Error("a read that failed three times was tried again")
	}
	if f := failure(t, err); f.Refused() || f.Permanent() || !strings.Contains(f.Hint(), "Check that the agent runs") {
		t.Errorf("the failure is %+v with hint %q", f, f.Hint())
	}
}

func TestRefusalsAreNotRepeated(t *testing.T) {
	t.Parallel()
	fake := agentfake.New(t, "n1", "")
	fake.Fail(api.CommandEvent, "no")
	_, err := session.New(quick(fake.Addr())).Fire(t.Context(), session.Event{Name: "deploy"})
	if f := failure(t, err); !f.Refused() || !f.Permanent() || f.NotSent() || fake.Calls(api.CommandEvent) != 1 {
		t.Errorf("the failure is %+v after %d calls, want a refusal after one", f, fake.Calls(api.CommandEvent))
	}
}

func TestWritesAreNotRepeatedOnceSent(t *testing.T) {
	t.Parallel()
	fake := agentfake.New(t, "n1", "")
	fake.Drop(api.CommandStats, 2) // before anything was sent
	fake.Drop(api.CommandEvent, 1)
	_, err := session.New(quick(fake.Addr())).Fire(t.Context(), session.Event{Name: "deploy"})
	if f := failure(t, err); f.NotSent() || f.Refused() {
		t.Errorf("the failure is %+v, want one that leaves open whether the event was fired", f)
	}
	if n := fake.Calls(api.CommandEvent); n != 1 {
		t.Errorf("the event was sent %d times, want once", n)
	}
}

// A node that does not answer about keys is asked again: it was too slow, or the network lost its answer.
func TestSilentNodesAreAskedAgain(t *testing.T) {
	t.Parallel()
	const key = "AAECAwQFBgcICQoLDA0ODw=="
	fake := agentfake.New(t, "n1", "")
	fake.SetKeys(3, key, map[string]int{key: 3})
	agent := session.New(quick(fake.Addr()))
	fake.Mute(3) // more often than a failure of the network is met, and for less than a request may take
	if ring, err := agent.Keyring(t.Context()); err != nil || ring.Nodes != 3 || len(ring.Keys) != 1 {
		t.Errorf("Keyring() = %+v, %v, want that of three nodes", ring, err)
	}
	fake.Mute(3)
	if err := agent.InstallKey(t.Context(), key); err != nil {
		t.Errorf("InstallKey() = %v", err)
	}

	// When the time is over, those who were silent are named, and not only the time.
	fake.Mute(1000)
	hour := hour{t.Context(), make(chan struct{})}
	fake.AfterCalls(api.CommandListKeys, 5, func() { close(hour.over) })
	_, err := agent.Keyring(hour)
	var nodes *session.NodesError
	if !errors.As(err, &nodes) || !strings.Contains(err.Error(), "2 of 3 nodes did so\n  - 1 did not answer") {
		t.Errorf("Keyring() fails with %v, want that a node did not answer", err)
	}
}

// hour is a context whose deadline comes when the test says so.
type hour struct {
	context.Context
	over chan struct{}
}

func (h hour) Done() <-chan struct{} { return h.over }

func (h hour) Err() error {
	select {
	case <-h.over:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	fake := agentfake.New(t, "n1", "open-sesame")
	for token, want := range map[string]bool{"": false, "wrong-token": false, "open-sesame": true} {
		cfg := quick(fake.Addr())
		cfg.Token = token
		_, err := session.New(cfg).View(t.Context())
		if want {
			if err != nil {
				t.Errorf("with the right token: %v", err)
			}
			continue
		}
		f := failure(t, err)
		if !f.Refused() || !strings.Contains(f.Hint(), "GOSSIP_RPC_AUTH") {
			t.Errorf("with token %q: %v, hint %q", token, f, f.Hint())
		}
		if token != "" && strings.Contains(f.Error()+f.Hint(), token) {
			t.Errorf("the error shows the token: %v", f)
		}
	}
}

// The first address that answers is kept, also when it goes away: the next one may know another state of
// the cluster, and a run must not see both.
func TestFirstAddressThatAnswersIsKept(t *testing.T) {
	t.Parallel()
	gone, first, second := agentfake.New(t, "gone", ""), agentfake.New(t, "first", ""), agentfake.New(t, "second", "")
	gone.Stop()
	agent := session.New(quick(gone.Addr(), first.Addr(), second.Addr()))
	for range 2 {
		if view, err := agent.View(t.Context()); err != nil || view.Observer != "first" {
			t.Fatalf("View() = %+v, %v, want that of first", view, err)
		}
	}
	gone.Restart(t)
	if view, err := agent.View(t.Context()); err != nil || view.Observer != "first" {
		t.Errorf("View() = %+v, %v, want that of first still", view, err)
	}
	first.Stop()
	if view, err := agent.View(t.Context()); err == nil {
		t.Errorf("View() = %+v, want an error: first is gone", view)
	}
}

func TestUnknownAddress(t *testing.T) {
	t.Parallel()
	_, err := session.Unknown().View(t.Context())
	if f := failure(t, err); !errors.Is(err, session.ErrUnknownAddress) || !f.Permanent() || !strings.Contains(f.Hint(), "depends_on") {
		t.Errorf("error is %v, hint %q", err, f.Hint())
	}
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	fake := agentfake.New(t, "n1", "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := session.New(quick(fake.Addr())).View(ctx)
	if f := failure(t, err); f.Hint() != "The run was interrupted." {
		t.Errorf("error is %v, hint %q", err, f.Hint())
	}
}

func TestJoinReportsEachPeer(t *testing.T) {
	t.Parallel()
	fake := agentfake.New(t, "n1", "")
	fake.Kill("10.0.0.2:7946")
	results, err := session.New(quick(fake.Addr())).Join(t.Context(), []string{"10.0.0.2:7946", "10.0.0.3:7946", "127.0.0.1:7946"}, true)
	if err != nil || len(results) != 3 {
		t.Fatalf("Join() = %+v, %v", results, err)
	}
	if r := results[0]; r.Err == nil || !strings.HasPrefix(r.Err.Error(), "Failed to join 10.0.0.2:7946") {
		t.Errorf("the dead peer: %+v", r)
	}
	if r := results[1]; r.Err != nil || r.Self {
		t.Errorf("the live peer: %+v", r)
	}
	if r := results[2]; !r.Self {
		t.Errorf("the agent itself: %+v", r)
	}
	if joins := fake.Joins(); len(joins) != 2 || !joins[0].Replay {
		t.Errorf("the agent was asked %+v, want two joins with replay", joins)
	}
}

func TestLeave(t *testing.T) {
	t.Parallel()
	fake := agentfake.New(t, "n1", "")
	if err := session.New(quick(fake.Addr())).Leave(t.Context()); err != nil || !fake.Left() {
		t.Errorf("Leave() = %v, left is %v", err, fake.Left())
	}
}
