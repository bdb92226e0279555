package client_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/agenttest/loopback"
	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/client"
	"github.com/seed-645ce708/gossip/agent/internal/rpc"
	"github.com/seed-645ce708/gossip/agent/internal/rpc/rpctest"
)

func needSerf(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("serf")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("serf is not installed; CI needs it")
		}
		t.Skip("serf is not installed")
	}
	return path
}

// serfAgent is a real Serf agent of the name alpha, bound to loopback.
type serfAgent struct {
	t          *testing.T
	bind, rpc  string
	args       []string
	cmd        *exec.Cmd
	transcript bytes.Buffer
}

func startSerf(t *testing.T, args ...string) *serfAgent {
	t.Helper()
	needSerf(t)
	s := &serfAgent{t: t, bind: loopback.Addr(t), rpc: loopback.Addr(t), args: args}
	s.start()
	t.Cleanup(s.kill)
	return s
}

func (s *serfAgent) start() {
	s.t.Helper()
	args := append([]string{"agent", "-node=alpha", "-profile=local", "-bind=" + s.bind, "-rpc-addr=" + s.rpc, "-log-level=debug"}, s.args...)
	s.cmd = exec.Command("serf", args...)
	s.cmd.Stdout = &s.transcript
	s.cmd.Stderr = &s.transcript
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *serfAgent) kill() {
	if s.cmd.ProcessState == nil {
		_ = s.cmd.Process.Kill() // it may have ended by itself
		_ = s.cmd.Wait()
	}
	if s.t.Failed() {
		s.t.Logf("serf said:\n%s", s.transcript.String())
		s.transcript.Reset()
	}
}

func (s *serfAgent) dial(authKey string) *client.Client {
	s.t.Helper()
	var c *client.Client
	eventually(s.t, func() (err error) {
		c, err = client.Dial(s.t.Context(), client.Config{Addr: s.rpc, AuthKey: authKey})
		return err
	})
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

func eventually(t *testing.T, try func() error) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// All commands against a real Serf agent.
func TestClientWithSerf(t *testing.T) {
	t.Parallel()
	key := base64.StdEncoding.EncodeToString([]byte("0123456789abcdef"))
	config := filepath.Join(t.TempDir(), "serf.json") // there is no flag for the token
	if err := os.WriteFile(config, []byte(`{"rpc_auth": "secret"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startSerf(t, "-tag", "role=web", "-encrypt="+key, "-config-file="+config)
	c := s.dial("secret")
	ctx := t.Context()

	if _, err := client.Dial(ctx, client.Config{Addr: s.rpc, AuthKey: "wrong"}); !errors.Is(err, client.ErrAuth) {
		t.Errorf("wrong token: %v", err)
	}
	unauthorised := s.dial("")
	if _, err := unauthorised.Members(ctx); !errors.Is(err, client.ErrAuth) {
		t.Errorf("no token: %v", err)
	}

	events, err := c.Stream(ctx, "user,query,member-update")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Stream(ctx, api.FilterRevision); !errors.Is(err, api.ErrInvalidFilter) {
		t.Errorf("an extension at stock Serf: %v", err)
	}
	lines, err := c.Monitor(ctx, "debug")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Monitor(ctx, "debug"); !errors.Is(err, api.ErrMonitorExists) {
		t.Errorf("second monitor: %v", err)
	}
	if line := <-lines.C(); line == "" {
		t.Error("the log is empty")
	}

	members, err := c.Members(ctx)
	if err != nil || len(members) != 1 || members[0].Name != "alpha" || members[0].Tags["role"] != "web" ||
		members[0].Status != "alive" || !strings.HasPrefix(s.bind, members[0].Addr.String()+":") || members[0].DelegateCur != 5 {
		t.Errorf("members: %+v, %v", members, err)
	}
	if members, err = c.MembersFiltered(ctx, api.MembersFilteredRequest{Name: "b.*"}); err != nil || members == nil || len(members) != 0 {
		t.Errorf("no members: %+v, %v", members, err)
	}
	if members, err = c.MembersFiltered(ctx, api.MembersFilteredRequest{Tags: map[string]string{"role": "w.*"}}); err != nil || len(members) != 1 {
		t.Errorf("filtered members: %+v, %v", members, err)
	}
	if n, err := c.Join(ctx, []string{loopback.Addr(t)}, false); n != 0 || err == nil {
		t.Errorf("joining nobody: %d, %v", n, err)
	}
	if n, err := c.Join(ctx, []string{s.bind}, true); n != 1 || err != nil {
		t.Errorf("joining itself: %d, %v", n, err)
	}
	if err := c.ForceLeave(ctx, "nobody", true); err != nil {
		t.Errorf("force-leave: %v", err)
	}
	if stats, err := c.Stats(ctx); err != nil || stats["agent"]["name"] != "alpha" || stats["serf"]["encrypted"] != "true" {
		t.Errorf("stats: %v, %v", stats, err)
	}
	if coord, ok, err := c.Coordinate(ctx, "alpha"); err != nil || !ok || len(coord.Vec) != 8 {
		t.Errorf("coordinate: %+v, %v, %v", coord, ok, err)
	}
	if _, ok, err := c.Coordinate(ctx, "nobody"); err != nil || ok {
		t.Errorf("unknown coordinate: %v, %v", ok, err)
	}

	if err := c.UserEvent(ctx, "deploy", []byte("v1"), false); err != nil {
		t.Errorf("event: %v", err)
	}
	if err := c.UserEvent(ctx, "deploy", bytes.Repeat([]byte("x"), 513), false); err == nil ||
		err.Error() != "user event exceeds configured limit of 512 bytes before encoding" {
		t.Errorf("large event: %v", err)
	}
	if ev, ok := (<-events.C()).(*api.UserEventRecord); !ok || ev.Name != "deploy" || string(ev.Payload) != "v1" || ev.LTime == 0 {
		t.Errorf("user event: %+v", ev)
	}
	if err := c.UpdateTags(ctx, map[string]string{"dc": "east"}, []string{"role"}); err != nil {
		t.Errorf("tags: %v", err)
	}
	if ev, ok := (<-events.C()).(*api.MemberEventRecord); !ok || ev.Event != "member-update" || ev.Members[0].Tags["dc"] != "east" {
		t.Errorf("member event: %+v", ev)
	}

	q, err := c.Query(ctx, api.QueryRequest{Name: "load", Payload: []byte("?"), RequestAck: true, Timeout: 6 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	ev, ok := (<-events.C()).(*api.QueryEventRecord)
	if !ok || ev.Name != "load" || string(ev.Payload) != "?" {
		t.Fatalf("query event: %+v", ev)
	}
	if err := c.Respond(ctx, ev.ID, []byte("42")); err != nil {
		t.Errorf("respond: %v", err)
	}
	if err := c.Respond(ctx, ev.ID+1, nil); !errors.Is(err, api.ErrNoSuchQuery) {
		t.Errorf("respond to nothing: %v", err)
	}
	var got []string
	for r := range q.C() {
		got = append(got, fmt.Sprintf("%s %s %s", r.Type, r.From, r.Payload))
	}
	if len(got) == 3 {
		slices.Sort(got[:2]) // Serf passes acks and responses on in any order
	}
	if want := []string{"ack alpha ", "response alpha 42", "done  "}; !slices.Equal(got, want) || q.Err() != nil {
		t.Errorf("query: %q, %v, want %q", got, q.Err(), want)
	}

	other := base64.StdEncoding.EncodeToString([]byte("fedcba9876543210"))
	if r, err := c.InstallKey(ctx, other); err != nil || r.NumResp != 1 || r.NumNodes != 1 {
		t.Errorf("install: %+v, %v", r, err)
	}
	if r, err := c.ListKeys(ctx); err != nil || r.Keys[key] != 1 || r.Keys[other] != 1 {
		t.Errorf("list: %+v, %v", r, err)
	}
	if r, err := c.UseKey(ctx, "AAAAAAAAAAAAAAAAAAAAAA=="); err == nil || r.NumErr != 1 || r.Messages["alpha"] == "" {
		t.Errorf("use of an unknown key: %+v, %v", r, err)
	}
	if r, err := c.UseKey(ctx, other); err != nil {
		t.Errorf("use: %+v, %v", r, err)
	}
	if r, err := c.RemoveKey(ctx, key); err != nil {
		t.Errorf("remove: %+v, %v", r, err)
	}
	if _, err := c.InstallKey(ctx, "!"); err == nil || err.Error() != "illegal base64 data at input byte 0" {
		t.Errorf("install of nonsense: %v", err)
	}

	if err := events.Close(); err != nil {
		t.Error(err)
	}
	if err := c.Leave(ctx); err != nil {
		t.Errorf("leave: %v", err)
	}
	<-c.Done()
	for range lines.C() {
	}
	if !errors.Is(lines.Err(), client.ErrClosed) {
		t.Errorf("the monitor ended with %v", lines.Err())
	}
}

// A Watcher keeps up with a Serf agent that restarts.
func TestWatcherWithSerf(t *testing.T) {
	t.Parallel()
	s := startSerf(t, "-tag", "generation=1")
	w := client.NewWatcher(client.WatcherConfig{Client: client.Config{Addr: s.rpc}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = w.Run(ctx) // ends with ctx
	}()
	defer func() { cancel(); <-ended }()
	see := func(what string, good func(client.View) bool) client.View {
		t.Helper()
		deadline := time.After(20 * time.Second)
		for {
			v, changed := w.Watch()
			if good(v) {
				return v
			}
			select {
			case <-changed:
			case <-deadline:
				t.Fatalf("%s: %+v", what, v)
			}
		}
	}
	generation := func(n string) func(client.View) bool {
		return func(v client.View) bool {
			return v.Connected && len(v.Members) == 1 && v.Members[0].Tags["generation"] == n
		}
	}
	if v := see("start", generation("1")); v.Node != "alpha" {
		t.Errorf("its own member is %q", v.Node)
	}
	if err := s.dial("").UpdateTags(ctx, map[string]string{"generation": "2"}, nil); err != nil {
		t.Fatal(err)
	}
	see("event", generation("2"))
	s.kill()
	down := see("loss", func(v client.View) bool { return !v.Connected })
	if len(down.Members) != 1 || down.Err == nil {
		t.Errorf("while down: %+v", down)
	}
	s.args = []string{"-tag", "generation=3"}
	s.start()
	see("restart", generation("3"))
}

// A Watcher of our own agent follows its revisions and needs no events.
func TestWatcherWithGossip(t *testing.T) {
	t.Parallel()
	b := rpctest.NewBackend()
	b.Stat = api.Stats{"agent": {"name": "n1"}}
	s := rpctest.Start(t, rpc.Config{AuthKey: "secret"}, b)
	w := client.NewWatcher(client.WatcherConfig{Client: client.Config{AuthKey: "secret", Dialer: s.Dial}, Resync: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = w.Run(ctx) // ends with ctx
	}()
	defer func() { cancel(); <-ended }()
	for n := range 5 {
		b.Store.Publish(nodes(n))
		deadline := time.After(20 * time.Second)
		for {
			v, changed := w.Watch()
			if v.Connected && len(v.Members) == n {
				if v.Node != "n1" {
					t.Errorf("its own member is %q", v.Node)
				}
				break
			}
			select {
			case <-changed:
			case <-deadline:
				t.Fatalf("with %d members: %+v", n, v)
			}
		}
	}
}
