package record_test

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/guard"
	"github.com/seed-645ce708/gossip/lbsync/internal/decide"
	"github.com/seed-645ce708/gossip/lbsync/internal/desired"
	"github.com/seed-645ce708/gossip/lbsync/internal/instance"
	"github.com/seed-645ce708/gossip/lbsync/internal/override"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
	"github.com/seed-645ce708/gossip/lbsync/internal/record"
)

func TestStore(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	if _, ok, err := record.Peek(dir).Service("web"); ok || err != nil {
		t.Errorf("an absent folder: %t, %v", ok, err)
	}
	s, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := record.Open(dir); !errors.Is(err, record.ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	server := desired.Server{Name: "a", Addr: netip.MustParseAddr("fd00::1"), Port: 80, Weight: 5, Backup: true, Tags: map[string]string{"k": "v"}}
	kept := decide.Kept{Instances: []instance.Instance{{Server: server, State: pool.Suspect, Since: time.Unix(1, 0).UTC(), Ask: instance.Failed, Points: 1.5}},
		Window: guard.Spent{Begin: time.Unix(3, 0).UTC(), Size: 4, Removed: 2}}
	if err := s.SaveService("web", kept); err != nil {
		t.Fatal(err)
	}
	if got, ok, err := record.Peek(dir).Service("web"); !reflect.DeepEqual(got, kept) || !ok || err != nil {
		t.Errorf("got %+v, %t, %v", got, ok, err)
	}
	node := pool.Node{Name: "lb-1", Addr: netip.MustParseAddr("10.0.0.9"), Tags: map[string]string{"zone": "eu"}}
	if got, err := s.Node(); got.Name != "" || err != nil {
		t.Errorf("nobody is %+v, %v", got, err)
	}
	if err := s.SaveNode(node); err != nil {
		t.Fatal(err)
	}
	if got, err := record.Peek(dir).Node(); !got.Equal(node) || err != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	old := `{"name": "old", "servers": [{"name": "a", "addr": "10.0.0.1", "port": 80, "weight": 1}, {"name": "b", "addr": "10.0.0.2", "port": 80, "weight": 1, "drain": true}]}`
	if err := os.WriteFile(filepath.Join(dir, "service-old.json"), []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, ok, err := s.Service("old"); len(got.Instances) != 2 || got.Instances[0].State != pool.Active || got.Instances[1].State != pool.Draining || !ok || err != nil {
		t.Errorf("by the first version: %+v, %t, %v", got, ok, err)
	}
	list := override.List{{Kind: override.Hold, Service: "web", Until: time.Unix(2, 0).UTC()}}
	if err := s.SaveOverrides(list); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Overrides(); !reflect.DeepEqual(got, list) || err != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := s.SaveFallback("haproxy/edge", [][]byte{[]byte("x"), nil, {}}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Fallback("haproxy/edge"); len(got) != 3 || string(got[0]) != "x" || got[1] != nil || got[2] == nil || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := s.Fallback("nginx/none"); err == nil {
		t.Error("a fallback that was never saved")
	}
	want := record.Target{Written: []string{"v", "w"}, Loaded: "l", Instance: "1@2"}
	if err := s.SaveTarget("haproxy/edge", want); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Target("haproxy/edge"); !reflect.DeepEqual(got, want) || err != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "service-db.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Service("db"); err == nil || !strings.Contains(err.Error(), "service-db.json") {
		t.Errorf("damaged file: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := record.Open(dir)
	if err != nil {
		t.Fatalf("after closing: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// TestDamaged: what cannot be read is put aside, and all else is there.
func TestDamaged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{"service-a.json": "", "service-b.json": `{"instances": []}`, "target-nginx-www.json": `{"written": 5}`,
		"overrides.json": "[]", "fallback-nginx-www.json": "\x00\x00", "adapter-haproxy-edge.json": `{"a"`, "lock.json.tmp": "{"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := record.Peek(dir).Service("a"); err == nil {
		t.Error("who only looks is not told")
	}
	s, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // the folder goes anyway
	var names []string
	for _, path := range s.Damaged() {
		names = append(names, filepath.Base(path))
		if _, err := os.Stat(path + ".damaged"); err != nil {
			t.Error(err)
		}
	}
	if got := strings.Join(names, " "); got != "adapter-haproxy-edge.json fallback-nginx-www.json service-a.json target-nginx-www.json" {
		t.Errorf("damaged: %s", got)
	}
	if _, known, err := s.Service("a"); known || err != nil {
		t.Errorf("a: %t, %v", known, err)
	}
	if _, known, err := s.Service("b"); !known || err != nil {
		t.Errorf("b: %t, %v", known, err)
	}
	if got, err := s.Target("nginx/www"); got.Written != nil || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestLock: all files or none, by whatever name, until they are given back.
func TestLock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	one, err := record.Open(filepath.Join(dir, "one"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = one.Close() }) // the folder goes anyway
	two, err := record.Open(filepath.Join(dir, "two"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = two.Close() })
	a, b, c := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c")
	if err := os.WriteFile(b, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := one.Lock(a, b, a); err != nil {
		t.Fatal(err)
	}
	if err := two.Lock(c, b); !errors.Is(err, record.ErrLocked) || !strings.HasPrefix(err.Error(), b) {
		t.Errorf("what the other has: %v", err)
	}
	if err := one.Lock(b, c); err != nil {
		t.Errorf("after the other failed: %v", err)
	}
	if link := filepath.Join(dir, "link"); os.Symlink(b, link) == nil {
		if err := two.Lock(link); !errors.Is(err, record.ErrLocked) {
			t.Errorf("by another name: %v", err)
		}
	}
	one.Keep(c)
	if err := two.Lock(a, b); err != nil {
		t.Errorf("after they were given back: %v", err)
	}
	if err := two.Lock(c); !errors.Is(err, record.ErrLocked) {
		t.Errorf("what was kept: %v", err)
	}
}

// TestRemoved: a folder that is removed while it is in use is there again with the next record, for its owner alone, and is
// still taken; unless somebody else took it meanwhile.
func TestRemoved(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	s, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // the folder goes anyway
	if !record.Owned(dir) {
		t.Error("nobody has it")
	}
	remove := func() {
		t.Helper()
		if err := os.RemoveAll(dir); err != nil {
			t.Skip("a folder in use cannot be removed here:", err)
		}
		if record.Owned(dir) {
			t.Error("somebody has what is not there")
		}
	}
	remove()
	var saving sync.WaitGroup
	for _, id := range []string{"nginx/a", "nginx/b", "nginx/c"} {
		saving.Go(func() {
			if err := s.SaveTarget(id, record.Target{Loaded: id}); err != nil {
				t.Error(err)
			}
		})
	}
	saving.Wait()
	if got, err := record.Peek(dir).Target("nginx/b"); got.Loaded != "nginx/b" || err != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	if info, err := os.Stat(dir); err != nil {
		t.Error(err)
	} else if info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows" {
		t.Errorf("the folder has mode %v", info.Mode())
	}
	if _, err := record.Open(dir); !errors.Is(err, record.ErrLocked) || !record.Owned(dir) {
		t.Errorf("it is not ours any more: %v", err)
	}

	remove()
	other, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SaveTarget("nginx/a", record.Target{}); !errors.Is(err, record.ErrLocked) || !strings.Contains(err.Error(), "was removed") {
		t.Errorf("another has it: %v", err)
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
	if err := s.SaveTarget("nginx/a", record.Target{}); err != nil {
		t.Errorf("after the other: %v", err)
	}
}
