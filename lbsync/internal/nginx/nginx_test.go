package nginx_test

import (
	"context"
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
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/lbtest"
	"github.com/seed-645ce708/gossip/lbsync/internal/nginx"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
	"github.com/seed-645ce708/gossip/lbsync/internal/reload"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func server(name, addr string) pool.Server {
	ap := netip.MustParseAddrPort(addr)
	return pool.Server{Name: name, Addr: ap.Addr(), Port: ap.Port(), Weight: 100}
}

func render() string {
	drains, backup := server("web-2", "10.0.0.2:8080"), server("web-3", "[fd00::3]:8080")
	drains.State, backup.Backup = pool.Draining, true
	return string(nginx.Render([]config.Upstream{
		{Name: "web", Service: "web", Options: "max_fails=1 fail_timeout=5s", Keepalive: 16},
		{Name: "api", Service: "api", Method: "least_conn", Lines: []string{"zone api 64k;"}},
		{Name: "none", Service: "none"},
	}, adapter.Pools{Services: adapter.Services{
		"web": {Servers: []pool.Server{server("web-1", "10.0.0.1:8080"), drains, backup}},
		"api": {Servers: []pool.Server{server("api:1", "10.0.1.1:80")}},
	}}))
}

func TestRender(t *testing.T) {
	t.Parallel()
	got := render()
	path := filepath.Join("testdata", "upstreams.conf")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant (go test -update rewrites it)\n%s", got, want)
	}
}

func TestCheckAlone(t *testing.T) {
	t.Parallel()
	lbtest.Program(t, "nginx")
	for name, tt := range map[string]struct{ text, want string }{
		"what we write": {render(), ""},
		"no server":     {"upstream web { }\n", "no servers are inside upstream"},
		"bad port":      {"upstream web { server 10.0.0.1:99999; }\n", "invalid port"},
		"bad word":      {"upstream web { server 10.0.0.1 nonsense; }\n", "nonsense"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := lbtest.Write(t, t.TempDir(), `a "b" $c.conf`, tt.text)
			err := nginx.CheckAlone(context.Background(), time.Minute, config.SectionHTTP, path)
			if (err == nil) != (tt.want == "") || (err != nil && !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestReload proves reloads of a real nginx by its new workers.
func TestReload(t *testing.T) {
	t.Parallel()
	b := lbtest.Nginx(t)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	web := lbtest.Web(t, "one")
	lbtest.Write(t, b.Dir, "web.conf", "upstream web { server "+web.Listener.Addr().String()+"; }\n")
	if err := reload.Signal(ctx, b.PIDFile, "HUP"); err != nil {
		t.Fatalf("good configuration: %v", err)
	}
	lbtest.Eventually(t, func() error {
		if got, err := b.Get(); err != nil || got != "one" {
			return errors.Join(fmt.Errorf("got %q", got), err)
		}
		return nil
	})
	lbtest.Write(t, b.Dir, "web.conf", "upstream web { }\n")
	short, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := reload.Signal(short, b.PIDFile, "HUP"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("bad configuration: %v", err)
	}
	if got, err := b.Get(); err != nil || got != "one" {
		t.Errorf("after a bad reload: %q, %v", got, err)
	}
}
