package adapters_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/adapters"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
)

func TestTemplate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "t")
	if err := os.WriteFile(path, []byte(`{{range .Backends}}{{.Name}}:{{range ready (service $.Services .Service)}} {{.Name}}={{.HostPort}}{{end}}{{end}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := config.Target{Kind: "nginx", Name: "n", Files: []config.File{{Template: path}},
		Nginx: &config.Nginx{Upstreams: []config.Upstream{{Name: "b", Service: "web"}}}}
	d, err := adapters.New(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.Render(adapter.Pools{Services: adapter.Services{"web": {Name: "web", Servers: []pool.Server{
		{Name: "a", Addr: netip.MustParseAddr("fd00::1"), Port: 80}, {Name: "d", State: pool.Draining}}}}})
	if err != nil || string(got.Files[0]) != "b: a=[fd00::1]:80\n" {
		t.Errorf("got %q, %v", got, err)
	}
	cfg.Files[0].Template = filepath.Join(dir, "none")
	if _, err := adapters.New(cfg, nil); err == nil || !strings.Contains(err.Error(), "nginx/n") {
		t.Errorf("got %v", err)
	}
}
