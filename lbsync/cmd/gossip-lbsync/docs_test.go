package main

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/haproxy"
	"github.com/seed-645ce708/gossip/lbsync/internal/lbtest"
	"github.com/seed-645ce708/gossip/lbsync/internal/nginx"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
	"github.com/seed-645ce708/gossip/lbsync/internal/record"
	"github.com/seed-645ce708/gossip/lbsync/internal/render"
	"github.com/seed-645ce708/gossip/lbsync/internal/target"
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
	t.Run("nginx serves", func(t *testing.T) {
		t.Parallel()
		servers := blocks("nginx")
		if len(servers) != 1 {
			t.Fatalf("the page has %d blocks for nginx; the test must learn of them", len(servers))
		}
		b := lbtest.Nginx(t) // its configuration becomes what the page says, with the file for gossip-lbsync beside it
		main, err := os.ReadFile(b.Main)
		if err != nil {
			t.Fatal(err)
		}
		head, _, _ := strings.Cut(string(main), "    server {")
		lbtest.Write(t, b.Dir, "nginx.conf", head+strings.Replace(servers[0], "listen 80;", "listen "+b.Addr+";", 1)+"}\n")
		web := lbtest.Web(t, "web-1")
		one := netip.MustParseAddrPort(web.Listener.Addr().String())
		dead := netip.MustParseAddrPort(lbtest.FreeAddr(t, "127.0.0.1"))
		conf, err := config.Load(lbtest.Write(t, b.Dir, "lbsync.hcl", strings.NewReplacer("/etc/nginx/conf.d/lbsync-web.conf", b.Dest,
			"/run/nginx.pid", b.PIDFile, "target \"nginx\" \"www\" {\n", "target \"nginx\" \"www\" {\n  config = \"nginx.conf\"\n").Replace(hcl[1])))
		if err != nil {
			t.Fatal(err)
		}
		conf.Targets[0].Files[0].Adopt = true // lbtest made it
		conf.Targets[0].Reload.Timeout = time.Minute
		store, err := record.Open(filepath.Join(b.Dir, "state"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() }) // the folder goes anyway
		a, err := nginx.New(conf.Targets[0])
		if err != nil {
			t.Fatal(err)
		}
		pools := adapter.Pools{Services: adapter.Services{"web": {Name: "web", Servers: []pool.Server{
			{Name: "web-1", Addr: one.Addr(), Port: one.Port(), Weight: 100, State: pool.Active},
			{Name: "web-2", Addr: dead.Addr(), Port: dead.Port(), Weight: 100, State: pool.Suspect},
		}}}}
		if _, err := target.New(conf.Targets[0], a, store).Apply(context.Background(), pools,
			func(context.Context, target.Need) (func(error), error) { return func(error) {}, nil }); err != nil {
			t.Fatal(err)
		}
		for i := range 20 { // the one that is dead is passed over
			if got, err := b.Get(); err != nil || got != "web-1" {
				t.Errorf("request %d: got %q, %v", i, got, err)
			}
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
