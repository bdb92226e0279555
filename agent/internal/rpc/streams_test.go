package rpc_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/client"
	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/rpc"
	"github.com/seed-645ce708/gossip/agent/internal/rpc/rpctest"
	"github.com/seed-645ce708/gossip/agent/internal/view"
)

func subscribe(t *testing.T, c *client.Client, filter string) *client.EventStream {
	t.Helper()
	st, err := c.Stream(t.Context(), filter)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func TestStream(t *testing.T) {
	t.Parallel()
	s := rpctest.Start(t, rpc.Config{}, rpctest.NewBackend())
	c := dial(t, s, "")
	all, joins := subscribe(t, c, ""), subscribe(t, c, "member-join,user:deploy")
	beta := rpctest.Member("beta", "10.0.0.2", "role", "db")
	s.Events.Append(&event.Member{Kind: event.TypeMemberJoin, Members: []*view.Member{beta}})
	s.Events.Append(&event.Member{Kind: event.TypeMemberFailed, Members: []*view.Member{beta}})
	s.Events.Append(&event.User{LTime: 7, Name: "restart"})
	s.Events.Append(&event.User{LTime: 300, Name: "deploy", Payload: []byte("v1"), Coalesce: true})

	wire := []api.Member{{
		Name: "beta", Addr: []byte{10, 0, 0, 2}, Port: 7946, Tags: map[string]string{"role": "db"}, Status: "alive",
		ProtocolMin: 1, ProtocolMax: 5, ProtocolCur: 2, DelegateMin: 2, DelegateMax: 5, DelegateCur: 5,
	}}
	join := &api.MemberEventRecord{Event: "member-join", Members: wire}
	failed := &api.MemberEventRecord{Event: "member-failed", Members: wire}
	restart := &api.UserEventRecord{Event: "user", LTime: 7, Name: "restart"}
	deploy := &api.UserEventRecord{Event: "user", LTime: 300, Name: "deploy", Payload: []byte("v1"), Coalesce: true}
	for i, want := range []api.Event{join, failed, restart, deploy} {
		if got := <-all.C(); !reflect.DeepEqual(got, want) {
			t.Errorf("event %d: got %+v, want %+v", i, got, want)
		}
	}
	for i, want := range []api.Event{join, deploy} {
		if got := <-joins.C(); !reflect.DeepEqual(got, want) {
			t.Errorf("filtered event %d: got %+v, want %+v", i, got, want)
		}
	}
	_ = all.Close()
	if _, ok := <-all.C(); ok || all.Err() != nil {
		t.Errorf("after Close: %v", all.Err())
	}
	s.Events.Append(&event.User{LTime: 301, Name: "deploy"})
	if got := <-joins.C(); got.EventType() != "user" {
		t.Errorf("after another stream's end: %+v", got)
	}
	s.Close()
	if _, ok := <-joins.C(); ok || !errors.Is(joins.Err(), client.ErrClosed) {
		t.Errorf("after the server's end: %v", joins.Err())
	}
}

func TestStreamRefusals(t *testing.T) {
	t.Parallel()
	c := dial(t, rpctest.Start(t, rpc.Config{}, rpctest.NewBackend()), "")
	for _, filter := range []string{"nonsense", "member-join,", "member-join:x", "x-gossip-other", "x-gossip-revision,nonsense"} {
		if _, err := c.Stream(t.Context(), filter); !errors.Is(err, api.ErrInvalidFilter) {
			t.Errorf("filter %q: %v", filter, err)
		}
	}
	for range 256 {
		subscribe(t, c, "user")
	}
	if _, err := c.Stream(t.Context(), "user"); err == nil || !strings.Contains(err.Error(), "at most 256") {
		t.Errorf("one stream more than allowed: %v", err)
	}
	if _, err := c.Query(t.Context(), api.QueryRequest{Name: "load"}); err == nil || !strings.Contains(err.Error(), "at most 256") {
		t.Errorf("a query more than allowed: %v", err)
	}
}

func TestStreamTellsRevisions(t *testing.T) {
	t.Parallel()
	s := rpctest.Start(t, rpc.Config{}, rpctest.NewBackend())
	c := dial(t, s, "")
	st := subscribe(t, c, "x-gossip-revision,user")
	var last uint64
	for last < 20 {
		s.Backend.Store.Publish(nil)
		if rev := s.Backend.Store.Load().Rev; rev%5 != 0 {
			continue // so that some are skipped, perhaps
		}
		for last < s.Backend.Store.Load().Rev {
			rec := (<-st.C()).(*api.RevisionRecord)
			if rec.Revision <= last || rec.Event != api.FilterRevision {
				t.Fatalf("after revision %d: %+v", last, rec)
			}
			last = rec.Revision
		}
	}
	s.Events.Append(&event.User{Name: "deploy"})
	if got := <-st.C(); got.EventType() != "user" {
		t.Errorf("beside revisions: %+v", got)
	}
}

// A client that does not read loses the oldest events and is told so, if it asked.
func TestStreamOverflow(t *testing.T) {
	t.Parallel()
	s := rpctest.Start(t, rpc.Config{}, rpctest.NewBackend())
	raw := rawDial(t, s)
	raw.ask(api.CommandStream, api.StreamRequest{Type: "user,x-gossip-dropped"})
	raw.answer()
	const fired = 5000
	for i := range fired {
		s.Events.Append(&event.User{Name: fmt.Sprint(i)})
	}
	got, dropped, next := 0, uint64(0), 0
	for got+int(dropped) < fired {
		raw.header()
		var rec struct {
			Event, Name string
			Dropped     uint64
		}
		raw.body(&rec)
		if rec.Event == api.FilterDropped {
			dropped += rec.Dropped
			next += int(rec.Dropped)
			continue
		}
		if rec.Name != fmt.Sprint(next) {
			t.Fatalf("event %s where %d was due", rec.Name, next)
		}
		got++
		next++
	}
	if dropped == 0 {
		t.Error("nothing was dropped")
	}
}

func TestMonitor(t *testing.T) {
	t.Parallel()
	s := rpctest.Start(t, rpc.Config{}, rpctest.NewBackend())
	c := dial(t, s, "")
	if _, err := c.Monitor(t.Context(), "zzz"); err == nil || err.Error() != "Unknown log level: ZZZ" {
		t.Errorf("unknown level: %v", err)
	}
	m, err := c.Monitor(t.Context(), "warn")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Monitor(t.Context(), "info"); !errors.Is(err, api.ErrMonitorExists) {
		t.Errorf("second monitor: %v", err)
	}
	_ = m.Close()
	if _, err = c.Monitor(t.Context(), "INFO"); err != nil {
		t.Errorf("a monitor after the first one's end: %v", err)
	}
}

func TestMonitorReplaysThenFollows(t *testing.T) {
	t.Parallel()
	s := rpctest.Start(t, rpc.Config{Logger: hclog.NewNullLogger()}, rpctest.NewBackend())
	logger := s.Log.Logger("agent")
	logger.Info("old")
	logger.Debug("old and too quiet")
	m, err := dial(t, s, "").Monitor(t.Context(), "info")
	if err != nil {
		t.Fatal(err)
	}
	logger.Log(hclog.Debug, "too quiet")
	logger.Error("new")
	for _, want := range []string{"[INFO] agent: old", "[ERR] agent: new"} {
		if got := <-m.C(); !strings.HasSuffix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if n := m.Dropped(); n != 0 {
		t.Errorf("%d lines were dropped", n)
	}
}
