package haproxy

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/command"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/lbtest"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
	"github.com/seed-645ce708/gossip/lbsync/internal/reload"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func server(name, addr string) pool.Server {
	ap := netip.MustParseAddrPort(addr)
	return pool.Server{Name: name, Addr: ap.Addr(), Port: ap.Port(), Weight: 100}
}

func fleet() ([]config.Backend, adapter.Pools) {
	drains, backup, light := server("web-2", "10.0.0.2:8080"), server("web-3", "[fd00::3]:8080"), server("web-4", "10.0.0.4:8080")
	drains.State, backup.Backup, light.Weight = pool.Draining, true, 7
	services := adapter.Services{
		"web":  {Name: "web", Servers: []pool.Server{server("web-1", "10.0.0.1:8080"), drains, backup, light}},
		"db":   {Name: "db", Servers: []pool.Server{server("db:1_a.b", "10.0.1.1:5432")}},
		"none": {Name: "none"},
	}
	for _, s := range services {
		pool.AssignIDs(s.Servers)
	}
	return []config.Backend{
		{Name: "be_web", Service: "web", Mode: "http", Balance: "roundrobin", Options: "check inter 2s", Lines: []string{"option httpchk GET /health"}},
		{Name: "be_db", Service: "db", Mode: "tcp", Balance: "leastconn"},
		{Name: "be_none", Service: "none", Mode: "http", Balance: "roundrobin", Options: "check"},
		{Name: "be_slots", Service: "web", Mode: "http", Balance: "static-rr", Options: "check", Servers: config.ServersSlots, Slots: 6},
	}, adapter.Pools{Services: services}
}

// memory keeps what an adapter wants to be kept.
type memory struct{ saved []byte }

func (m *memory) Load(v any) (bool, error) {
	if m.saved == nil {
		return false, nil
	}
	return true, json.Unmarshal(m.saved, v)
}

func (m *memory) Save(v any) (err error) {
	m.saved, err = json.Marshal(v)
	return err
}

// text is the file for the pools, of an adapter that knows no slots yet.
func text(t *testing.T, backends []config.Backend, pools adapter.Pools) []byte {
	t.Helper()
	a, err := New(config.Target{Files: []config.File{{}}, HAProxy: &config.HAProxy{Backends: backends}}, &memory{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := a.Render(pools)
	if err != nil {
		t.Fatal(err)
	}
	return r.Files[0]
}

func TestRender(t *testing.T) {
	t.Parallel()
	backends, pools := fleet()
	got := text(t, backends, pools)
	path := filepath.Join("testdata", "backends.cfg")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("got\n%s\nwant (go test -update rewrites it)\n%s", got, want)
	}
}

// TestRenderedIsValid has the real program read what we write.
func TestRenderedIsValid(t *testing.T) {
	t.Parallel()
	program := lbtest.Program(t, "haproxy")
	dir := t.TempDir()
	main := lbtest.Write(t, dir, "main.cfg", "defaults\n timeout connect 1s\n timeout client 1s\n timeout server 1s\nfrontend f\n bind 127.0.0.1:1\n")
	backends, pools := fleet()
	candidate := lbtest.Write(t, dir, "candidate.cfg", string(text(t, backends, pools)))
	argv := DefaultCheck(main)
	argv[0], argv[len(argv)-1] = program, candidate
	out, err := command.Run(context.Background(), time.Minute, argv)
	if err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(out) {
		if strings.Contains(line, "WARNING") && !strings.Contains(line, "option httpchk") && !strings.Contains(line, "redispatch") {
			t.Errorf("haproxy warns: %s", line)
		}
	}
}

// TestReload asks a real master for reloads that succeed and that fail.
func TestReload(t *testing.T) {
	t.Parallel()
	b := lbtest.HAProxy(t)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, name := range []string{"one", "two"} {
		web := lbtest.Web(t, name)
		lbtest.Write(t, b.Dir, "web.cfg", "backend web\n    server a "+web.Listener.Addr().String()+"\n")
		if err := Reload(ctx, b.Socket); err != nil {
			t.Fatalf("good configuration: %v", err)
		}
		lbtest.Eventually(t, func() error { // an accept queue of the old worker may still hold a connection
			if got, err := b.Get(); err != nil || got != name {
				return errors.Join(fmt.Errorf("got %q", got), err)
			}
			return nil
		})
	}
	lbtest.Write(t, b.Dir, "web.cfg", "backend web\n    nonsense\n")
	for range 2 {
		if err := Reload(ctx, b.Socket); err == nil || errors.Is(err, reload.ErrNotRunning) || ctx.Err() != nil {
			t.Errorf("bad configuration: %v", err)
		}
	}
	if got, err := b.Get(); err != nil || got != "two" {
		t.Errorf("after a bad reload: %q, %v", got, err)
	}
	web := lbtest.Web(t, "three")
	lbtest.Write(t, b.Dir, "web.cfg", "backend web\n    server a "+web.Listener.Addr().String()+"\n")
	if err := Reload(ctx, b.Socket); err != nil {
		t.Errorf("good again: %v", err)
	}
}

// TestReloadByUSR2 does the same by the signal, proved by the master's children.
func TestReloadByUSR2(t *testing.T) {
	t.Parallel()
	b := lbtest.HAProxy(t)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := reload.Signal(ctx, b.PIDFile, "USR2"); err != nil {
		t.Fatalf("good configuration: %v", err)
	}
	lbtest.Write(t, b.Dir, "web.cfg", "backend web\n    nonsense\n")
	short, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := reload.Signal(short, b.PIDFile, "USR2"); err == nil {
		t.Error("bad configuration gave no error")
	}
}

func TestReloadWithoutMaster(t *testing.T) {
	t.Parallel()
	if err := Reload(context.Background(), filepath.Join(t.TempDir(), "none.sock")); !errors.Is(err, reload.ErrNotRunning) {
		t.Errorf("got %v", err)
	}
}
