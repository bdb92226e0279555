package client

import (
	"context"
	"errors"
	"net"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/api/frame"
)

// fakeAgent answers a Watcher. stock makes it refuse extensions.
type fakeAgent struct {
	t     *testing.T
	stock bool
	gate  chan struct{} // if set, lists wait until it is closed

	mu         sync.Mutex      // guards what follows
	confidence *api.Confidence // told with each list
	silent     bool            // takes requests after the subscription and does not answer
	members    []string        // nil: connections are refused
	conn       net.Conn
	lists      int
	dials      int
	sub        uint64 // number of the subscription
}

// set changes what the agent does from now on.
func (a *fakeAgent) set(members ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.members = members
}

func (a *fakeAgent) silence() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.silent = true
}

// hangUp ends the newest connection.
func (a *fakeAgent) hangUp() {
	a.mu.Lock()
	defer a.mu.Unlock()
	_ = a.conn.Close()
}

// counts returns how often the agent was asked for a list, and for a connection.
func (a *fakeAgent) counts() (lists, dials int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.lists, a.dials
}

func (a *fakeAgent) dial(context.Context, string, string) (net.Conn, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dials++
	if a.members == nil {
		return nil, errors.New("connection refused")
	}
	here, there := net.Pipe()
	a.conn = there
	go a.serve(there)
	return here, nil
}

func (a *fakeAgent) serve(conn net.Conn) {
	in := frame.NewReader(conn)
	decode := func(v any) bool {
		b, err := in.Next(nil, 1<<20)
		return err == nil && frame.Decode(b, v) == nil
	}
	for {
		var h api.RequestHeader
		if !decode(&h) {
			return
		}
		reply := []any{api.ResponseHeader{Seq: h.Seq}}
		switch h.Command {
		case api.CommandHandshake:
			decode(new(api.HandshakeRequest))
		case api.CommandStream:
			var req api.StreamRequest
			decode(&req)
			if a.stock && req.Type == api.FilterRevision {
				reply = []any{api.ResponseHeader{Seq: h.Seq, Error: string(api.ErrInvalidFilter)}}
			}
			a.mu.Lock()
			a.sub = h.Seq
			a.mu.Unlock()
		case api.CommandStats:
			if a.stock {
				reply = []any{api.ResponseHeader{Seq: h.Seq, Error: string(api.ErrUnsupportedCommand)}}
			} else {
				reply = append(reply, api.Stats{"agent": {"name": "alpha"}})
			}
		case api.CommandMembers:
			list, ok := a.list()
			if a.gate != nil {
				<-a.gate
			}
			if !ok {
				continue
			}
			reply = append(reply, list)
		}
		if _, err := conn.Write(encode(a.t, reply...)); err != nil {
			return
		}
	}
}

func (a *fakeAgent) list() (list api.MembersResponse, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lists++
	list.Confidence = a.confidence
	for _, name := range a.members {
		list.Members = append(list.Members, api.Member{Name: name, Status: "alive"})
	}
	return list, !a.silent
}

// tell sends a record of the kind that the Watcher has subscribed to.
func (a *fakeAgent) tell() {
	var record any = api.RevisionRecord{Event: api.FilterRevision, Revision: 7}
	if a.stock {
		record = api.MemberEventRecord{Event: "member-join"}
	}
	a.mu.Lock()
	conn, sub := a.conn, a.sub
	a.mu.Unlock()
	_, _ = conn.Write(encode(a.t, api.ResponseHeader{Seq: sub}, record))
}

// watch runs a Watcher of a in a bubble of virtual time.
func watch(t *testing.T, a *fakeAgent, play func(t *testing.T, w *Watcher)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a.t = t
		w := NewWatcher(WatcherConfig{Client: Config{Dialer: a.dial}})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.Run(ctx) }()
		synctest.Wait()
		play(t, w)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
		if v, _ := w.Watch(); v.Connected || !errors.Is(v.Err, context.Canceled) {
			t.Errorf("after the end: %+v", v)
		}
		if err := w.Run(t.Context()); err == nil {
			t.Error("a second Run went through")
		}
	})
}

func names(v View) []string {
	var n []string
	for _, m := range v.Members {
		n = append(n, m.Name)
	}
	return n
}

func TestWatcherFollows(t *testing.T) {
	t.Parallel()
	for _, stock := range []bool{false, true} {
		a := &fakeAgent{stock: stock, members: []string{"beta", "alpha"}}
		watch(t, a, func(t *testing.T, w *Watcher) {
			v, changed := w.Watch()
			if !v.Connected || v.Err != nil || !slices.Equal(names(v), []string{"alpha", "beta"}) || !v.Since.Equal(time.Now()) {
				t.Fatalf("first view: %+v", v)
			}
			a.set("gamma")
			start := time.Now()
			a.tell()
			<-changed
			next, changed := w.Watch()
			if !slices.Equal(names(next), []string{"gamma"}) || next.Rev != v.Rev+1 || time.Since(start) > maxPause {
				t.Errorf("after an event: %+v, %v later", next, time.Since(start))
			}
			if !slices.Equal(names(v), []string{"alpha", "beta"}) {
				t.Errorf("the old view changed: %+v", v)
			}
			// Without an event the list is asked for after Resync; if it brings nothing new nobody is woken.
			time.Sleep(DefaultResync)
			synctest.Wait()
			same, _ := w.Watch()
			if same.Rev != next.Rev || !same.Updated.After(next.Updated) {
				t.Errorf("after an idle resync: %+v", same)
			}
			select {
			case <-changed:
				t.Error("woken for nothing")
			default:
			}
			a.set("delta")
			start = time.Now()
			<-changed
			if d := time.Since(start); d > DefaultResync {
				t.Errorf("a change without an event took %v", d)
			}
		})
	}
}

// Many events at a time, and more than fit into the stream, are answered by one list.
func TestWatcherCoalesces(t *testing.T) {
	t.Parallel()
	a := &fakeAgent{members: []string{"alpha"}}
	watch(t, a, func(t *testing.T, w *Watcher) {
		before, _ := a.counts()
		a.gate = make(chan struct{})
		a.tell()
		synctest.Wait() // a list is on its way
		for range 10 * eventQueue {
			a.tell()
		}
		a.set("beta")
		close(a.gate)
		synctest.Wait()
		v, _ := w.Watch()
		if lists, _ := a.counts(); !slices.Equal(names(v), []string{"beta"}) || lists != before+2 {
			t.Errorf("%+v after %d lists", v, lists-before)
		}
	})
}

func TestWatcherReconnects(t *testing.T) {
	t.Parallel()
	a := &fakeAgent{members: []string{"alpha"}}
	watch(t, a, func(t *testing.T, w *Watcher) {
		v, changed := w.Watch()
		a.set()
		a.hangUp()
		lost := time.Now()
		<-changed
		down, _ := w.Watch()
		if down.Connected || !errors.Is(down.Err, ErrClosed) || !slices.Equal(names(down), []string{"alpha"}) || !down.Since.Equal(lost) {
			t.Errorf("after the loss: %+v", down)
		}
		// Attempts come with growing pauses: each between half and all of 0.2, 0.4, ... 10 s.
		_, dials := a.counts()
		at, limit := lost, DefaultMinBackoff
		for range 12 {
			now := dials
			for now == dials {
				time.Sleep(time.Millisecond)
				synctest.Wait()
				_, now = a.counts()
			}
			dials = now
			pause := time.Since(at)
			at = time.Now()
			if pause < limit/2 || pause > limit+2*time.Millisecond {
				t.Errorf("a pause of %v where at most %v was due", pause, limit)
			}
			limit = min(2*limit, DefaultMaxBackoff)
		}
		still, changed := w.Watch()
		if !slices.Equal(names(still), []string{"alpha"}) || still.Err == nil || !still.Since.Equal(lost) {
			t.Errorf("after many attempts: %+v", still)
		}
		a.set("beta")
		<-changed
		up, _ := w.Watch()
		if !up.Connected || up.Err != nil || !slices.Equal(names(up), []string{"beta"}) || up.Rev <= v.Rev {
			t.Errorf("after the return: %+v", up)
		}
		// A connection that worked makes the next pause short again.
		_, dials = a.counts()
		a.hangUp()
		time.Sleep(DefaultMinBackoff)
		synctest.Wait()
		if _, now := a.counts(); now != dials+1 {
			t.Errorf("%d attempts after a loss", now-dials)
		}
	})
}

// An agent that keeps the connection and no longer answers is given up.
func TestWatcherGivesUpSilentAgent(t *testing.T) {
	t.Parallel()
	a := &fakeAgent{members: []string{"alpha"}}
	watch(t, a, func(t *testing.T, w *Watcher) {
		_, changed := w.Watch()
		a.silence()
		start := time.Now()
		<-changed
		if v, _ := w.Watch(); v.Connected || !errors.Is(v.Err, context.DeadlineExceeded) {
			t.Errorf("got %+v", v)
		}
		if d := time.Since(start); d > DefaultResync+DefaultTimeout {
			t.Errorf("took %v", d)
		}
	})
}

// The watcher learns the name of the agent's own member, if the agent tells.
func TestNode(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		stock bool // refuses to tell
		want  string
	}{{false, "alpha"}, {true, ""}} {
		watch(t, &fakeAgent{stock: tt.stock, members: []string{"alpha"}}, func(t *testing.T, w *Watcher) {
			if v, _ := w.Watch(); !v.Connected || v.Node != tt.want {
				t.Errorf("got %+v, want node %q", v, tt.want)
			}
		})
	}
}

// What the agent thinks of its view comes with it, and is news by itself; a stock Serf agent says nothing.
func TestConfidence(t *testing.T) {
	t.Parallel()
	a := &fakeAgent{members: []string{"alpha"}}
	watch(t, a, func(t *testing.T, w *Watcher) {
		v, changed := w.Watch()
		if v.Confidence != nil || v.Confidence.Doubt() != "" {
			t.Errorf("from nothing: %+v", v.Confidence)
		}
		cut := api.Confidence{Synced: true, Isolated: true, Evidence: "silence", VisibleShare: 1}
		a.mu.Lock()
		a.confidence = &cut
		a.mu.Unlock()
		a.tell()
		<-changed
		v, _ = w.Watch()
		if v.Confidence == nil || *v.Confidence != cut || v.Confidence.Doubt() != "the agent looks cut off: silence" {
			t.Errorf("got %+v", v.Confidence)
		}
	})
}

func TestSteady(t *testing.T) {
	t.Parallel()
	v := View{Members: []api.Member{{Name: "a", Status: "alive"}, {Name: "b", Status: "left"}}}
	if got := v.Steady(); &got[0] != &v.Members[0] {
		t.Error("copied for nothing")
	}
	v.Members = append(v.Members, api.Member{Name: "c", Status: "alive", Damped: true})
	var got string
	for _, m := range v.Steady() {
		got += m.Name + "=" + m.Status + " "
	}
	if got != "a=alive b=left c=failed " || v.Members[2].Status != "alive" {
		t.Errorf("got %s of %+v", got, v.Members)
	}
}

// A change of any field makes a new view.
func TestSameMember(t *testing.T) {
	t.Parallel()
	member := func() api.Member {
		return api.Member{Name: "alpha", Addr: net.IP{10, 0, 0, 1}, Tags: map[string]string{"role": "web"}}
	}
	if !sameMember(member(), member()) {
		t.Error("a member differs from itself")
	}
	for i := range reflect.TypeFor[api.Member]().NumField() {
		other := member()
		switch f := reflect.ValueOf(&other).Elem().Field(i); f.Kind() {
		case reflect.String:
			f.SetString("other")
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Uint8, reflect.Uint16, reflect.Uint64:
			f.SetUint(9)
		case reflect.Slice:
			f.SetBytes([]byte{10, 0, 0, 2})
		case reflect.Map:
			f.Set(reflect.ValueOf(map[string]string{"role": "db"}))
		default:
			t.Fatalf("a field of kind %v", f.Kind())
		}
		if sameMember(member(), other) {
			t.Errorf("a change of %s goes unnoticed", reflect.TypeFor[api.Member]().Field(i).Name)
		}
	}
}
