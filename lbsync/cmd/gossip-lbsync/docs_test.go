package main

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/haproxy"
	"github.com/seed-645ce708/gossip/lbsync/internal/lbtest"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
	"github.com/seed-645ce708/gossip/lbsync/internal/record"
	"github.com/seed-645ce708/gossip/lbsync/internal/render"
)

// TestDocumentation runs the snippets of docs/lbsync.md: both configurations are checked with the real
// balancers, and what the page says is written is what is written.
func TestDocumentation(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "lbsync.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := func(kind string) (out []string) {
		for _, m := range regexp.MustCompile("(?ms)^```"+kind+"\n(.*?)^```").FindAllStringSubmatch(string(page), -1) {
			out = append(out, m[1])
		}
		return out
	}
	hcl, cfg := blocks("hcl"), blocks("haproxy")
	if len(hcl) != 4 || len(cfg) != 2 {
		t.Fatalf("the page has %d and %d blocks; the test must learn of them", len(hcl), len(cfg))
	}

	t.Run("haproxy", func(t *testing.T) {
		t.Parallel()
		lbtest.Program(t, "haproxy")
		dir := t.TempDir()
		lbtest.Write(t, dir, "haproxy.cfg", cfg[0])
		path := lbtest.Write(t, dir, "lbsync.hcl", strings.ReplaceAll(hcl[0], "/etc/haproxy/", dir+"/"))
		if r := command(context.Background(), "check", "-config", path); r.code != exitOK {
			t.Errorf("got %+v", r)
		}
		conf, err := config.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		servers := []pool.Server{
			{Name: "web-1", Addr: netip.MustParseAddr("10.0.0.11"), Port: 8080, Weight: 100},
			{Name: "web-2", Addr: netip.MustParseAddr("10.0.0.12"), Port: 8080, Weight: 100},
		}
		pool.AssignIDs(servers)
		a, err := haproxy.New(conf.Targets[0], record.Peek(t.TempDir()).Memory("docs"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := a.Render(adapter.Pools{Services: adapter.Services{"web": {Name: "web", Servers: servers}}})
		if err != nil || string(got.Files[0]) != cfg[1] {
			t.Errorf("the page says\n%s\nbut what is written is\n%s (%v)", cfg[1], got, err)
		}
	})
	t.Run("nginx", func(t *testing.T) {
		t.Parallel()
		lbtest.Program(t, "nginx")
		path := lbtest.Write(t, t.TempDir(), "lbsync.hcl", hcl[1])
		if r := command(context.Background(), "check", "-config", path); r.code != exitOK {
			t.Errorf("got %+v", r)
		}
	})
	t.Run("twemproxy", func(t *testing.T) {
		t.Parallel()
		lbtest.Program(t, "nutcracker")
		path := lbtest.Write(t, t.TempDir(), "lbsync.hcl", hcl[2])
		if r := command(context.Background(), "check", "-config", path); r.code != exitOK {
			t.Errorf("got %+v", r)
		}
	})
	t.Run("envoy", func(t *testing.T) {
		t.Parallel()
		dir, err := filepath.Abs(filepath.Join("..", "..", "samples"))
		if err != nil {
			t.Fatal(err)
		}
		path := lbtest.Write(t, t.TempDir(), "lbsync.hcl", strings.ReplaceAll(hcl[3], "/etc/gossip/", dir+"/"))
		if r := command(context.Background(), "check", "-config", path); r.code != exitOK {
			t.Errorf("got %+v", r)
		}
	})
	t.Run("template", func(t *testing.T) {
		t.Parallel()
		text := regexp.MustCompile("(?ms)^```\n({{.*?)^```").FindStringSubmatch(string(page))
		if text == nil {
			t.Fatal("the page has no template")
		}
		tmpl, err := render.Parse("page", text[1])
		if err != nil {
			t.Fatal(err)
		}
		got, err := tmpl.Execute(render.Data{Backends: []render.Backend{{Name: "be", Service: "web"}},
			Services: samples(&config.Config{Services: []config.Service{{Name: "web"}}}).Services})
		want := "backend be\n    server sample-1 192.0.2.1:8080 check # ?\n    server sample-2 [2001:db8::2]:8080 check # ?\n"
		if err != nil || strings.TrimSpace(string(got)) != strings.TrimSpace(want) {
			t.Errorf("got %q, %v", got, err)
		}
	})
	// Every key of the configuration is on the page.
	for _, file := range []string{"load.go", "target.go"} {
		source, err := os.ReadFile(filepath.Join("..", "..", "internal", "config", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range regexp.MustCompile(`d\.read\([^{]*\{([^}]*)\}`).FindAllStringSubmatch(string(source), -1) {
			for _, key := range regexp.MustCompile(`"([a-z_]+)"`).FindAllStringSubmatch(call[1], -1) {
				if !strings.Contains(string(page), "`"+key[1]+"`") {
					t.Errorf("the page does not explain %s", key[1])
				}
			}
		}
	}
}
