package record_test

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/lbsync/internal/desired"
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
	set := desired.Service{Name: "web", Servers: []desired.Server{{Name: "a", Addr: netip.MustParseAddr("fd00::1"), Port: 80, Weight: 5,
		Backup: true, Drain: true, Tags: map[string]string{"k": "v"}}}}
	if err := s.SaveService(set); err != nil {
		t.Fatal(err)
	}
	if got, ok, err := record.Peek(dir).Service("web"); !got.Equal(set) || !ok || err != nil {
		t.Errorf("got %+v, %t, %v", got, ok, err)
	}
	want := record.Target{Written: []string{"v", "w"}, Loaded: "l"}
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
