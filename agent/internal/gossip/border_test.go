package gossip

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/seed-645ce708/gossip/agent/internal/state"
)

// lines is a log that can be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func keyring(t *testing.T, key string) *Keyring {
	t.Helper()
	if key == "" {
		return nil
	}
	k, err := NewKeyring([]byte(strings.Repeat(key, 16)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestClusters: members of one cluster find each other; others are told in one line why they do not.
func TestClusters(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name        string
		there, here string // clusters
		keyT, keyH  string
		want        string // in the error; "" joins
	}{
		{"same", "prod", "prod", "", "", ""},
		{"same, encrypted", "prod", "prod", "k", "k", ""},
		{"other", "prod", "stage", "", "", `cluster mismatch: that member is of cluster "prod", we are of cluster "stage"`},
		{"other, encrypted", "prod", "stage", "k", "k", `cluster mismatch: that member is of cluster "prod", we are of cluster "stage"`},
		{"other, and another key", "prod", "stage", "k", "l", `cluster mismatch: that member is of cluster "prod"`},
		{"other, only they encrypt", "prod", "stage", "k", "", `cluster mismatch: that member is of cluster "prod"`},
		{"we have none", "prod", "", "", "", `that member is of cluster "prod", we are of a cluster without a name`},
		{"they have none", "", "stage", "k", "k", `that member is of a cluster without a name, we are of cluster "stage"`},
		{"same, other key", "prod", "prod", "k", "l", "the keys of the two sides differ"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			log := &lines{}
			there, inbox := startNode(t, "there", func(c *Config) {
				c.Cluster, c.Keyring = tt.there, keyring(t, tt.keyT)
				c.Log = hclog.New(&hclog.LoggerOptions{Output: log})
			})
			here, _ := startNode(t, "here", func(c *Config) { c.Cluster, c.Keyring = tt.here, keyring(t, tt.keyH) })
			_, err := here.Join(t.Context(), []string{there.Addr().String()}, true)
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				inbox.wait(t, "node", func(in state.Input) bool {
					j, ok := in.(state.NodeJoin)
					return ok && j.Node.Name == "here"
				})
				if !here.Ping("there", there.Addr()) || here.Ping("nobody", there.Addr()) {
					t.Error("a ping must be answered by whom it is for, and nobody else")
				}
				return
			}
			if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q", err, tt.want)
			}
			if tt.there == tt.here {
				return
			}
			for range 10 { // one line is enough
				_, _ = here.Join(t.Context(), []string{there.Addr().String()}, true)
			}
			_ = here.Ping("there", there.Addr())
			if text := log.String(); strings.Count(text, "turned away gossip of another cluster") != 1 || !strings.Contains(text, "127.0.0.1:") {
				t.Errorf("log: %s", text)
			}
		})
	}
}

// TestStockPeer: what a peer without our transport gets is an error message of memberlist's.
func TestStockPeer(t *testing.T) {
	t.Parallel()
	g, _ := startNode(t, "a", func(c *Config) { c.Cluster = "prod" })
	for _, hello := range []string{"\x06some state", "\xf4\x05stagesome state"} {
		conn, err := net.Dial("tcp", g.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, hello); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(conn)
		if err != nil || !bytes.HasPrefix(answer, []byte("\x0d\x81\xa5Error\xda\x00")) || !bytes.Contains(answer, []byte(`cluster "prod"`)) {
			t.Errorf("%q: got %q, %v", hello, answer, err)
		}
		_ = conn.Close()
	}
}

// TestSilentStreams: whoever connects and says nothing of use gets no answer, and does not hold up a stop.
func TestSilentStreams(t *testing.T) {
	t.Parallel()
	g, _ := startNode(t, "a", func(c *Config) { c.Cluster = "prod" })
	for _, hello := range []string{"", "\xf4", "\xf4\x05", "\xf4\x05sta"} {
		conn, err := net.Dial("tcp", g.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, hello); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		half, err := net.Dial("tcp", g.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(half, hello); err != nil {
			t.Fatal(err)
		}
		_ = half.(*net.TCPConn).CloseWrite()
		if answer, err := io.ReadAll(half); err != nil || len(answer) > 0 {
			t.Errorf("%q: got %q, %v", hello, answer, err)
		}
		_ = half.Close()
	}
	start := time.Now() // memberlist would wait 10 s for each
	if err := g.Stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 8*time.Second {
		t.Errorf("stop took %v", took)
	}
}

// TestReclaim: a name whose owner has failed goes to another address.
func TestReclaim(t *testing.T) {
	t.Parallel()
	a, inbox := startNode(t, "a", func(c *Config) { c.ReclaimTime = time.Millisecond })
	old, _ := startNode(t, "b", nil)
	if _, err := old.Join(t.Context(), []string{a.Addr().String()}, true); err != nil {
		t.Fatal(err)
	}
	if err := old.Stop(); err != nil {
		t.Fatal(err)
	}
	inbox.wait(t, "failure of b", func(in state.Input) bool { l, ok := in.(state.NodeLeave); return ok && l.Node.Name == "b" })
	again, _ := startNode(t, "b", nil)
	if _, err := again.Join(t.Context(), []string{a.Addr().String()}, true); err != nil {
		t.Fatal(err)
	}
	inbox.wait(t, "b at its new address", func(in state.Input) bool {
		j, ok := in.(state.NodeJoin)
		return ok && j.Node.Name == "b" && j.Node.Port == again.Addr().Port()
	})
}

func FuzzReadRefusal(f *testing.F) {
	f.Add(errorMessage(mismatch + "that member is of cluster \"x\""))
	f.Add(errorMessage(mismatch)[:12])
	f.Add([]byte("\x0d\x81\xa5Error\xda\xff\xff" + mismatch))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := newVisit(pipeEnd{bytes.NewReader(data)})
		got, err := io.ReadAll(c)
		var r refusal
		if errors.As(err, &r) {
			if len(got) > 0 || !strings.HasPrefix(string(r), mismatch) {
				t.Errorf("refused with %q after %q", r, got)
			}
			return
		}
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("got %q, %v, want %q", got, err, data)
		}
	})
}

// pipeEnd is a connection that can only be read.
type pipeEnd struct{ io.Reader }

func (pipeEnd) Write([]byte) (int, error)        { return 0, io.ErrClosedPipe }
func (pipeEnd) Close() error                     { return nil }
func (pipeEnd) LocalAddr() net.Addr              { return nil }
func (pipeEnd) RemoteAddr() net.Addr             { return nil }
func (pipeEnd) SetDeadline(time.Time) error      { return nil }
func (pipeEnd) SetReadDeadline(time.Time) error  { return nil }
func (pipeEnd) SetWriteDeadline(time.Time) error { return nil }
