package agent_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent"
	"github.com/seed-645ce708/gossip/agent/agenttest"
	"github.com/seed-645ce708/gossip/agent/agenttest/loopback"
	"github.com/seed-645ce708/gossip/agent/api"
)

func member(members []api.Member, name string) api.Member {
	for _, m := range members {
		if m.Name == name {
			return m
		}
	}
	return api.Member{}
}

func TestLifeOfACluster(t *testing.T) {
	t.Parallel()
	agents := agenttest.Cluster(t, "n", 3, func(i int, cfg *agent.Config) {
		cfg.Tags["number"] = string(rune('1' + i))
	})
	first, second, third := agents[0], agents[1], agents[2]
	c := agenttest.Dial(t, first)
	stream, err := c.Stream(t.Context(), "user")
	if err != nil {
		t.Fatal(err)
	}
	if err := agenttest.Dial(t, second).UserEvent(t.Context(), "deploy", []byte("v1"), false); err != nil {
		t.Fatal(err)
	}
	if e, ok := (<-stream.C()).(*api.UserEventRecord); !ok || e.Name != "deploy" || string(e.Payload) != "v1" {
		t.Errorf("event: got %+v", e)
	}
	if err := second.UpdateTags(t.Context(), map[string]string{"number": "two"}, nil); err != nil {
		t.Fatal(err)
	}
	agenttest.WaitFor(t, first, "new tag of n-2", func(m []api.Member) bool { return member(m, "n-2").Tags["number"] == "two" })

	if err := third.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := third.Leave(t.Context()); err != nil {
		t.Errorf("leaving twice: %v", err)
	}
	if _, err := third.Join(t.Context(), []string{first.GossipAddr()}, false); err == nil || !strings.Contains(err.Error(), "after Leave") {
		t.Errorf("join after leave: got %v", err)
	}
	agenttest.WaitFor(t, first, "n-3 left", func(m []api.Member) bool { return member(m, "n-3").Status == "left" })
	agenttest.Stop(t, second)
	agenttest.WaitFor(t, first, "n-2 failed", func(m []api.Member) bool { return member(m, "n-2").Status == "failed" })
	if err := c.ForceLeave(t.Context(), "n-2", false); err != nil {
		t.Fatal(err)
	}
	agenttest.WaitFor(t, first, "n-2 left", func(m []api.Member) bool { return member(m, "n-2").Status == "left" })
	if err := c.ForceLeave(t.Context(), "n-2", true); err != nil {
		t.Fatal(err)
	}
	agenttest.WaitFor(t, first, "n-2 forgotten", func(m []api.Member) bool { return member(m, "n-2").Name == "" })
}

func TestQueryIsAnsweredByHandlers(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the handler is a shell command")
	}
	agents := agenttest.Cluster(t, "q", 3, func(_ int, cfg *agent.Config) {
		cfg.EventHandlers = []string{"query:who=echo $SERF_SELF_NAME"}
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	records, err := agents[0].Query(ctx, api.QueryRequest{Name: "who", RequestAck: true, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	acks, responses := 0, map[string]string{}
	for acks < 3 || len(responses) < 3 {
		r := <-records
		switch r.Type {
		case api.QueryRecordAck:
			acks++
		case api.QueryRecordResponse:
			responses[r.From] = string(r.Payload)
		default:
			t.Fatalf("the query ended with %d acks and responses %v", acks, responses)
		}
	}
	for from, answer := range responses {
		if answer != from+"\n" {
			t.Errorf("%s answered %q", from, answer)
		}
	}
}

func TestKeyRotation(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	oldKey := base64.StdEncoding.EncodeToString([]byte("0123456789abcdef"))
	newKey := base64.StdEncoding.EncodeToString([]byte("fedcba9876543210"))
	agents := agenttest.Cluster(t, "k", 2, func(i int, cfg *agent.Config) {
		if i == 0 {
			cfg.EncryptKey = agent.Secret(oldKey)
			return
		}
		cfg.KeyringFile = filepath.Join(dir, "keyring")
		if err := os.WriteFile(cfg.KeyringFile, []byte(`["`+oldKey+`"]`), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	c := agenttest.Dial(t, agents[0])
	steps := []struct {
		what string
		do   func() (api.KeyResponse, error)
		fail string
	}{
		{"install", func() (api.KeyResponse, error) { return c.InstallKey(t.Context(), newKey) }, ""},
		{"use", func() (api.KeyResponse, error) { return c.UseKey(t.Context(), newKey) }, ""},
		{"remove the primary", func() (api.KeyResponse, error) { return c.RemoveKey(t.Context(), newKey) }, "2/2 nodes reported failure"},
		{"remove", func() (api.KeyResponse, error) { return c.RemoveKey(t.Context(), oldKey) }, ""},
		{"bad key", func() (api.KeyResponse, error) { return c.InstallKey(t.Context(), "%") }, "illegal base64"},
	}
	for _, s := range steps {
		r, err := s.do()
		if s.fail == "" && (err != nil || r.NumResp != 2 || r.NumErr != 0) {
			t.Fatalf("%s: %+v, %v", s.what, r, err)
		}
		if s.fail != "" && (err == nil || !strings.Contains(err.Error(), s.fail)) {
			t.Fatalf("%s: got %v, want %q", s.what, err, s.fail)
		}
	}
	r, err := c.ListKeys(t.Context())
	if err != nil || len(r.Keys) != 1 || r.Keys[newKey] != 2 {
		t.Errorf("list: %+v, %v", r, err)
	}
	var file []string
	data, err := os.ReadFile(filepath.Join(dir, "keyring"))
	if err = errors.Join(err, json.Unmarshal(data, &file)); err != nil || len(file) != 1 || file[0] != newKey {
		t.Errorf("keyring file: %s, %v", data, err)
	}
}

func TestTagsFileAndReload(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tags")
	a := agenttest.Start(t, "a", func(cfg *agent.Config) { cfg.TagsFile = path })
	if err := a.UpdateTags(t.Context(), map[string]string{"x": "1", "y": "2"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := a.UpdateTags(t.Context(), map[string]string{"z": "3"}, []string{"y"}); err != nil {
		t.Fatal(err)
	}
	const want = "{\n  \"x\": \"1\",\n  \"z\": \"3\"\n}"
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("tags file: got %s, %v, want %s", got, err, want)
	}
	agenttest.Stop(t, a)
	b := agenttest.Start(t, "a", func(cfg *agent.Config) { cfg.TagsFile = path })
	if tags := b.Tags(); len(tags) != 2 || tags["x"] != "1" || tags["z"] != "3" {
		t.Errorf("tags after a restart: %v", tags)
	}
	cfg := agenttest.Config("a")
	cfg.Tags = map[string]string{"x": "from the file", "w": "4"}
	if _, err := b.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	if tags := b.Tags(); len(tags) != 3 || tags["x"] != "1" || tags["w"] != "4" {
		t.Errorf("tags after a reload: %v; what was set at run time must stay", tags)
	}
	if err := b.UpdateTags(t.Context(), map[string]string{"big": strings.Repeat("x", 600)}, nil); err == nil {
		t.Error("tags above the limit were taken")
	}
	if tags := b.Tags(); len(tags) != 3 {
		t.Errorf("refused tags changed something: %v", tags)
	}
}

func TestStartErrors(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() }) // after the parallel subtests
	addr := taken.Addr().String()
	tests := []struct {
		name   string
		change func(*agent.Config)
		want   []string
	}{
		{"gossip address taken", func(c *agent.Config) { c.Bind = addr }, []string{addr, "taken", "-bind"}},
		{"RPC address taken", func(c *agent.Config) { c.RPCAddr = addr }, []string{addr, "taken", "-rpc-addr"}},
		{"DNS address taken", func(c *agent.Config) { c.DNSAddr, c.DNSAddrSet = addr, true }, []string{addr, "taken"}},
		{"nobody to join", func(c *agent.Config) { c.StartJoin = []string{addr} }, []string{addr}},
		{"no keyring", func(c *agent.Config) { c.KeyringFile = "/no/such/file" }, []string{"/no/such/file"}},
		{"no such syslog", func(c *agent.Config) { c.EnableSyslog, c.SyslogFacility = true, "LOCAL8" }, []string{"syslog setup failed"}},
		{"bad profile", func(c *agent.Config) { c.Profile = "moon" }, []string{"moon"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := agenttest.Config("x")
			cfg.Profile = "local" // time-outs of a second
			tt.change(&cfg)
			a, err := agent.New(cfg, agent.Options{})
			if err == nil {
				err = a.Start(t.Context())
			}
			if err == nil {
				agenttest.Stop(t, a)
				t.Fatal("it started")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q lacks %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
		})
	}
}

func TestDefaultDNSAddressTaken(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	a := agenttest.Start(t, "a", func(cfg *agent.Config) { cfg.DNSAddr = taken.Addr().String() })
	if a.DNSAddr() != "" {
		t.Errorf("DNS at %s", a.DNSAddr())
	}
}

func TestRPCLeaveEndsTheAgent(t *testing.T) {
	t.Parallel()
	agents := agenttest.Cluster(t, "l", 2, nil)
	if err := agenttest.Dial(t, agents[1]).Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-agents[1].Done()
	if err := agents[1].Err(); err != nil {
		t.Error(err)
	}
	agenttest.Stop(t, agents[1])
	agenttest.WaitMembers(t, agents[0], 1, "left")
}

func TestRetryJoin(t *testing.T) {
	t.Parallel()
	addr := loopback.Addr(t)
	a := agenttest.Start(t, "a", func(cfg *agent.Config) {
		cfg.RetryJoin, cfg.RetryInterval = []string{addr}, time.Second
	})
	b := agenttest.Start(t, "b", func(cfg *agent.Config) { cfg.Bind = addr })
	agenttest.WaitMembers(t, a, 2, "alive")
	agenttest.WaitMembers(t, b, 2, "alive")

	gone := agenttest.Start(t, "c", func(cfg *agent.Config) {
		cfg.RetryJoin, cfg.RetryInterval, cfg.RetryMaxAttempts = []string{"127.0.0.1:1"}, time.Second, 1
	})
	<-gone.Done()
	if !errors.Is(gone.Err(), agent.ErrRetryJoin) {
		t.Errorf("got %v, want ErrRetryJoin", gone.Err())
	}
}

func TestStopDuringJoin(t *testing.T) {
	t.Parallel()
	hole, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hole.Close() }()
	cfg := agenttest.Config("a")
	cfg.Profile = "wan" // time-outs of 30 s
	cfg.StartJoin = []string{hole.Addr().String()}
	a, err := agent.New(cfg, agent.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		conn, err := hole.Accept()
		cancel()
		if err == nil {
			defer func() { _ = conn.Close() }()
			<-t.Context().Done()
		}
	}()
	if err := a.Start(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}

// TestSnapshot: killed and started again, an agent finds its cluster and does not run old events once more.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	path, addr := filepath.Join(t.TempDir(), "snapshot"), loopback.Addr(t)
	agents := agenttest.Cluster(t, "s", 2, func(i int, cfg *agent.Config) {
		if i == 1 {
			cfg.SnapshotPath, cfg.Bind = path, addr
		}
	})
	if err := agents[0].UserEvent("old", nil, false); err != nil {
		t.Fatal(err)
	}
	agenttest.Poll(t, "event in the snapshot", func() bool {
		data, _ := os.ReadFile(path)
		return strings.Contains(string(data), "event-clock: 1\n") && strings.Contains(string(data), "alive: s-1 ")
	}, func() string { data, _ := os.ReadFile(path); return string(data) })
	agenttest.Stop(t, agents[1])
	agenttest.WaitMembers(t, agents[0], 1, "failed")

	again := agenttest.Start(t, "s-2", func(cfg *agent.Config) { cfg.SnapshotPath, cfg.Bind = path, addr })
	stream, err := agenttest.Dial(t, again).Stream(t.Context(), "user")
	if err != nil {
		t.Fatal(err)
	}
	agenttest.WaitMembers(t, again, 2, "alive")
	agenttest.WaitMembers(t, agents[0], 2, "alive")
	if err := agents[0].UserEvent("new", nil, false); err != nil {
		t.Fatal(err)
	}
	if e, ok := (<-stream.C()).(*api.UserEventRecord); !ok || e.Name != "new" {
		t.Errorf("got %+v, want the new event and not the old one again", e)
	}
	if err := again.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	agenttest.Stop(t, again)
	if data, err := os.ReadFile(path); err != nil || !strings.HasSuffix(string(data), "leave\n") {
		t.Errorf("snapshot after a leave: %q, %v", data, err)
	}
}
