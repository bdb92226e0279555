package agent_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent"
	"github.com/seed-645ce708/gossip/agent/agenttest"
	"github.com/seed-645ce708/gossip/agent/agenttest/loopback"
	"github.com/seed-645ce708/gossip/agent/api"
)

// often makes an agent look for lost members often enough for a test.
func often(cfg *agent.Config) { cfg.HealInterval = 200 * time.Millisecond }

// TestSeedsAreFoundInTheEnd: a join that reached one seed is not over for the others.
func TestSeedsAreFoundInTheEnd(t *testing.T) {
	t.Parallel()
	late := loopback.Addr(t)
	named, err := loopback.FreeAddr("127.0.0.1") // as localhost
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(named)
	if err != nil {
		t.Fatal(err)
	}
	a := agenttest.Start(t, "a", nil)
	b := agenttest.Start(t, "b", func(cfg *agent.Config) {
		often(cfg)
		cfg.StartJoin = []string{a.GossipAddr(), late, "localhost:" + port}
	})
	agenttest.WaitMembers(t, b, 2, "alive")
	c := agenttest.Start(t, "c", func(cfg *agent.Config) { cfg.Bind = late })
	d := agenttest.Start(t, "d", func(cfg *agent.Config) { cfg.Bind = named })
	for _, x := range []*agent.Agent{a, b, c, d} {
		agenttest.WaitMembers(t, x, 4, "alive")
	}
}

// TestWholeSiteOutage: the one that went down last saw everyone leave or fail, and finds them again, although they have
// given up.
func TestWholeSiteOutage(t *testing.T) {
	t.Parallel()
	first, second := agenttest.Start(t, "w-1", nil), agenttest.Start(t, "w-2", nil)
	path := filepath.Join(t.TempDir(), "snapshot")
	long := time.Now().Add(-20 * time.Hour).Unix()
	text := fmt.Sprintf("alive: w-1 %[1]s\nnot-alive: w-1\n# gossip:seen failed %[3]d %[1]s w-1\n# gossip:seen left %[3]d %[2]s w-2\nclock: 7\n",
		first.GossipAddr(), second.GossipAddr(), long)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	last := agenttest.Start(t, "w-3", func(cfg *agent.Config) { cfg.SnapshotPath = path })
	for _, a := range []*agent.Agent{first, second, last} {
		agenttest.WaitMembers(t, a, 3, "alive")
	}
}

// TestClusterNames: agents of two clusters do not join, and say in one line why not.
func TestClusterNames(t *testing.T) {
	t.Parallel()
	prod := agenttest.Cluster(t, "p", 2, func(_ int, cfg *agent.Config) { cfg.Cluster = "prod" })
	for _, name := range []string{"stage", ""} {
		cfg := agenttest.Config("x")
		cfg.Cluster, cfg.StartJoin = name, []string{prod[0].GossipAddr()}
		a, err := agent.New(cfg, agent.Options{})
		if err == nil {
			err = a.Start(t.Context())
		}
		if err == nil || !strings.Contains(err.Error(), `that member is of cluster "prod"`) || strings.Contains(err.Error(), "\n") {
			t.Errorf("cluster %q: got %v", name, err)
		}
	}
	agenttest.WaitMembers(t, prod[0], 2, "alive")
}

// TestReplacedNode: a member that starts again at another address, before the others know that it is gone, gets its
// name back in a moment, and does not lose a vote about it.
func TestReplacedNode(t *testing.T) {
	t.Parallel()
	soon := func(cfg *agent.Config) { cfg.ReclaimTimeout = 500 * time.Millisecond }
	agents := agenttest.Cluster(t, "r", 3, func(_ int, cfg *agent.Config) { soon(cfg) })
	agenttest.Stop(t, agents[2])
	again := agenttest.Start(t, "r-3", func(cfg *agent.Config) {
		soon(cfg)
		cfg.StartJoin = []string{agents[0].GossipAddr()}
	})
	for _, a := range []*agent.Agent{agents[0], agents[1], again} {
		agenttest.WaitFor(t, a, "r-3 at its new address", func(members []api.Member) bool {
			m := member(members, "r-3")
			return m.Status == "alive" && net.JoinHostPort(m.Addr.String(), strconv.Itoa(int(m.Port))) == again.GossipAddr()
		})
	}
	select {
	case <-again.Done():
		t.Error("it gave up its name")
	default:
	}
}

// TestNameTaken: two that are alive have a vote, and the newcomer goes.
func TestNameTaken(t *testing.T) {
	t.Parallel()
	agents := agenttest.Cluster(t, "v", 3, nil)
	twin := agenttest.Start(t, "v-3", func(cfg *agent.Config) { cfg.StartJoin = []string{agents[0].GossipAddr()} })
	select {
	case <-twin.Done():
	case <-time.After(time.Minute):
		t.Error("it stays")
	}
	agenttest.WaitMembers(t, agents[0], 3, "alive")
	select {
	case <-agents[2].Done():
		t.Error("the one who was there first goes")
	default:
	}
}

// safeBuffer is a log that can be read while it is written.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestOpenRPCIsWarnedOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		addr string
		auth agent.Secret
		want int
	}{{"0.0.0.0:0", "", 1}, {"0.0.0.0:0", "token", 0}, {"127.0.0.1:0", "", 0}} {
		cfg := agenttest.Config("x")
		cfg.RPCAddr, cfg.RPCAuth = tt.addr, tt.auth
		log := &safeBuffer{}
		a, err := agent.New(cfg, agent.Options{LogOutput: log})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		agenttest.Stop(t, a)
		if n := strings.Count(log.String(), "[WARN] agent.ipc: RPC is open to the network"); n != tt.want {
			t.Errorf("%s with token %q: %d warnings, want %d:\n%s", tt.addr, string(tt.auth), n, tt.want, log)
		}
	}
}
