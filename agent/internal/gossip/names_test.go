package gossip

import (
	"errors"
	"log"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/memberlist"

	"github.com/seed-645ce708/gossip/agent/internal/state"
)

// lockedLog is a log for several goroutines.
type lockedLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestNamesAreChecked: a member with a bad name does not come into view, one with a good name that it knows does, and
// the log says so once however often it is heard of.
func TestNamesAreChecked(t *testing.T) {
	t.Parallel()
	out := &lockedLog{}
	strict, inStrict := startNode(t, "strict", func(cfg *Config) {
		cfg.CheckName = func(name string) error {
			if strings.Contains(name, "_") {
				return errors.New("no underscores")
			}
			return nil
		}
		cfg.Log = hclog.New(&hclog.LoggerOptions{Output: out})
		cfg.Std = log.New(out, "", 0)
	})
	bad, _ := startNode(t, "bad_name", nil)
	good, _ := startNode(t, "good", nil)
	if n, err := good.Join(t.Context(), []string{bad.Addr().String()}, true); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	for range 3 {
		for _, peer := range []*Gossip{bad, good} {
			if n, err := strict.Join(t.Context(), []string{peer.Addr().String()}, true); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
	}
	inStrict.wait(t, "good", func(in state.Input) bool {
		j, ok := in.(state.NodeJoin)
		return ok && j.Node.Name == "good"
	})
	if n := strict.NumAlive(); n != 2 {
		t.Errorf("%d members in view, want ourselves and good", n)
	}
	if n := strings.Count(out.String(), "bad_name"); n != 1 || !strings.Contains(out.String(), "no underscores") {
		t.Errorf("the log tells %d times of the refused member, want once:\n%s", n, out)
	}
}

func TestToldNamesAreBounded(t *testing.T) {
	t.Parallel()
	g := newNameGuard(func(string) error { return errors.New("no") }, hclog.NewNullLogger())
	for i := range 2 * maxTold {
		if err := g.NotifyAlive(&memberlist.Node{Name: string(rune('一' + i))}); err == nil {
			t.Fatal("accepted")
		}
	}
	if len(g.told) != maxTold {
		t.Errorf("%d names are remembered", len(g.told))
	}
}

// TestAddressesAreChecked: whoever announces something that is no address cannot be reached, and is no member.
func TestAddressesAreChecked(t *testing.T) {
	t.Parallel()
	g := newNameGuard(nil, hclog.NewNullLogger())
	for _, tt := range []struct {
		addr []byte
		ok   bool
	}{
		{nil, false}, {[]byte{127, 0, 0}, false}, {make([]byte, 5), false}, {make([]byte, 17), false},
		{[]byte{127, 0, 0, 1}, true}, {make([]byte, 16), true},
	} {
		if err := g.NotifyAlive(&memberlist.Node{Name: "x", Addr: tt.addr}); (err == nil) != tt.ok {
			t.Errorf("an address of %d bytes: got %v", len(tt.addr), err)
		}
	}
}
