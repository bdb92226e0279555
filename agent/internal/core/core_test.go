package core

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/state"
	"github.com/seed-645ce708/gossip/agent/internal/view"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// fakeNet records what the core sends. Nothing is ever sent out unless the test says so.
type fakeNet struct {
	mu         sync.Mutex
	broadcasts []fakeBroadcast
	sends      [][]byte
}

type fakeBroadcast struct {
	queue state.Queue
	msg   []byte
	sent  chan<- struct{}
}

func (n *fakeNet) Send(_ netip.AddrPort, _ string, msg []byte) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sends = append(n.sends, msg)
	return nil
}

func (n *fakeNet) Broadcast(q state.Queue, msg []byte, sent chan<- struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.broadcasts = append(n.broadcasts, fakeBroadcast{q, msg, sent})
}

// take returns the broadcasts since the last call.
func (n *fakeNet) take() []fakeBroadcast {
	n.mu.Lock()
	defer n.mu.Unlock()
	b := n.broadcasts
	n.broadcasts = nil
	return b
}

type world struct {
	core   *Core
	net    *fakeNet
	view   *view.Store
	mu     sync.Mutex
	events []event.Event
	counts map[string]float64
	onEmit func(event.Event)
}

// newWorld runs a core named "local" in the current bubble; end stops it.
func newWorld(change func(*Config)) (w *world, end func()) {
	w = &world{net: &fakeNet{}, view: view.NewStore("local"), counts: map[string]float64{}}
	cfg := Config{
		State: state.New(state.DefaultConfig(), state.Node{Name: "local"}),
		View:  w.view,
		Emit: func(e event.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, e)
			if w.onEmit != nil {
				w.onEmit(e)
			}
		},
		Internal:  func(state.InternalQuery) []byte { return nil },
		Reconnect: func(string, netip.AddrPort) {},
		Reaped:    func(string) {},
		Quit:      func(string) {},
		Metric: func(m state.Metric) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.counts[m.Name] += m.Value
		},
		Log: hclog.NewNullLogger(),
	}
	if change != nil {
		change(&cfg)
	}
	w.core = New(cfg)
	w.core.Start(w.net)
	w.core.Post(state.NodeJoin{Node: node("local", 1)})
	return w, w.core.Stop
}

func node(name string, last byte) state.Node {
	return state.Node{
		Name: name, Addr: netip.AddrFrom4([4]byte{127, 0, 0, last}), Port: 7946, Meta: []byte{0xff, 0x80},
		ProtocolMin: 1, ProtocolMax: 5, ProtocolCur: 2, DelegateMin: 2, DelegateMax: 5, DelegateCur: 5,
	}
}

func TestViewIsPublishedBeforeEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, end := newWorld(nil)
		defer end()
		seen := 0
		w.onEmit = func(e event.Event) {
			for _, m := range e.(*event.Member).Members {
				if _, ok := w.view.Load().Member(m.Name); ok {
					seen++
				} else {
					t.Errorf("%s of %s was emitted before it could be read", e, m.Name)
				}
			}
		}
		for i := range 100 {
			w.core.Post(state.NodeJoin{Node: node(fmt.Sprintf("n%d", i), 2)})
		}
		synctest.Wait()
		if seen < 100 || w.core.NumMembers() != 101 {
			t.Errorf("saw %d joins, %d members", seen, w.core.NumMembers())
		}
		if rev := w.view.Load().Rev; rev > 50 {
			t.Errorf("a burst of 100 joins made %d snapshots", rev)
		}
	})
}

func TestDoWaitsForTheBroadcast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, end := newWorld(nil)
		defer end()
		w.core.Post(state.NodeJoin{Node: node("other", 2)})
		synctest.Wait()
		w.net.take()

		start := time.Now()
		err := w.core.Do(t.Context(), state.ForceLeave{Name: "gone"}, 5*time.Second)
		if !errors.Is(err, ErrBroadcast) || time.Since(start) != 5*time.Second {
			t.Errorf("nobody takes it: got %v after %v", err, time.Since(start))
		}
		w.net.take()
		result := make(chan error)
		go func() { result <- w.core.Do(t.Context(), state.ForceLeave{Name: "gone"}, 5*time.Second) }()
		synctest.Wait()
		b := w.net.take()
		if len(b) != 1 || b[0].queue != state.QueueIntent || b[0].sent == nil {
			t.Fatalf("broadcasts: %+v", b)
		}
		close(b[0].sent)
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}

func TestDoReturnsRefusals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, end := newWorld(nil)
		defer end()
		big := make([]byte, 513)
		if err := w.core.Do(t.Context(), state.UserEvent{Payload: big}, 0); err == nil {
			t.Error("an event above the limit was taken")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w.core.Do(ctx, state.UserEvent{Name: "x"}, 0); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestQueryAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, end := newWorld(nil)
		defer end()
		w.core.Post(state.NodeJoin{Node: node("other", 2)})
		w.onEmit = func(e event.Event) {
			if q, ok := e.(*event.Query); ok {
				go func() {
					if err := q.Respond([]byte("mine")); err != nil {
						t.Error(err)
					}
					if err := q.Respond([]byte("again")); !errors.Is(err, state.ErrAnswered) {
						t.Errorf("second answer: got %v", err)
					}
				}()
			}
		}
		q, err := w.core.Query(t.Context(), state.Query{Name: "load", WantAck: true, Timeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if q.Expect != 2 {
			t.Errorf("expect: got %d, want 2", q.Expect)
		}
		synctest.Wait()
		for _, flags := range []uint32{wire.FlagAck, 0, 0} { // the last is a duplicate
			m := &wire.QueryResponse{LTime: q.id.ltime, ID: q.id.id, From: "other", Flags: flags, Payload: []byte("theirs")}
			w.core.Post(state.Receive{Msg: m, Raw: wire.Encode(m)})
		}
		got := map[string]int{}
		for a := range q.Answers { // closed at the deadline, which virtual time reaches
			got[fmt.Sprintf("%s ack=%v %s", a.From, a.Ack, a.Payload)]++
		}
		for _, want := range []string{"local ack=true ", "other ack=true ", "local ack=false mine", "other ack=false theirs"} {
			if got[want] != 1 {
				t.Errorf("%q came %d times, want once; all: %v", want, got[want], got)
			}
		}
		q.Cancel() // after the end: harmless
	})
}

func TestQueryCancel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, end := newWorld(nil)
		defer end()
		start := time.Now()
		q, err := w.core.Query(t.Context(), state.Query{Name: "load", Timeout: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		q.Cancel()
		for range q.Answers {
		}
		if time.Since(start) > time.Minute {
			t.Error("the query went on after it was cancelled")
		}
	})
}

func TestKeyQueriesAreAnswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		w, end := newWorld(func(cfg *Config) {
			cfg.Internal = func(q state.InternalQuery) []byte {
				asked = append(asked, q.Name)
				return []byte("keys")
			}
		})
		defer end()
		q, err := w.core.Query(t.Context(), state.Query{Name: wire.ListKeys, Internal: true, Timeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		q.Cancel()
		synctest.Wait()
		if !slices.Equal(asked, []string{wire.ListKeys}) {
			t.Errorf("asked %v", asked)
		}
	})
}

func TestStopEndsRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, end := newWorld(nil)
		w.core.Post(state.NodeJoin{Node: node("other", 2)})
		synctest.Wait()
		result := make(chan error)
		go func() { result <- w.core.Do(t.Context(), state.ForceLeave{Name: "x"}, time.Hour) }()
		synctest.Wait()
		end()
		if err := <-result; !errors.Is(err, ErrStopped) {
			t.Errorf("waiting request: got %v", err)
		}
		if err := w.core.Do(t.Context(), state.UserEvent{Name: "x"}, 0); !errors.Is(err, ErrStopped) {
			t.Errorf("late request: got %v", err)
		}
		if w.core.LocalState() != nil || w.core.Inspect(func(*state.State) {}) {
			t.Error("a stopped core still answers")
		}
		end() // twice is harmless
	})
}

func TestInboxDropsMessagesOnly(t *testing.T) {
	t.Parallel()
	b := newInbox()
	for range inboxLimit + 5 {
		b.put(item{in: state.Receive{}})
	}
	if !b.put(item{in: state.NodeJoin{}}) {
		t.Error("a node event was dropped")
	}
	items, dropped := b.take()
	if len(items) != inboxLimit+1 || dropped != 5 {
		t.Errorf("got %d items, %d dropped", len(items), dropped)
	}
	b.close()
	if b.put(item{in: state.NodeJoin{}}) {
		t.Error("a closed inbox took an item")
	}
}
