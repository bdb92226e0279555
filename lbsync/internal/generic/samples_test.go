package generic_test

import (
	"context"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/generic"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
	"go.yaml.in/yaml/v3"
)

var pools = adapter.Pools{Services: adapter.Services{
	"api": {Name: "api"},
	"web": {Name: "web", Servers: []pool.Server{
		{Name: "web-1", Addr: netip.MustParseAddr("10.0.0.1"), Port: 80, Weight: 100, State: pool.Active},
		{Name: "web-2", Addr: netip.MustParseAddr("fd00::2"), Port: 81, Weight: 50, State: pool.Active},
		{Name: "web-3", Addr: netip.MustParseAddr("10.0.0.3"), Port: 80, Weight: 100, State: pool.Draining},
	}},
}}

// sample fills a template of the samples folder.
func sample(t *testing.T, name string) string {
	t.Helper()
	cfg := config.Target{Kind: config.KindTemplate, Name: "t", Services: []string{"api", "web"},
		Files: []config.File{{Template: filepath.Join("..", "..", "samples", name)}}}
	a, err := generic.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	got, err := a.Render(pools)
	if err != nil {
		t.Fatal(err)
	}
	return string(got.Files[0])
}

func TestEnvoy(t *testing.T) {
	t.Parallel()
	var got struct {
		Resources []struct {
			Cluster   string `json:"cluster_name"`
			Endpoints []struct {
				LB []struct {
					Endpoint struct {
						Address struct {
							Socket struct {
								Address string `json:"address"`
								Port    int    `json:"port_value"`
							} `json:"socket_address"`
						} `json:"address"`
					} `json:"endpoint"`
					Health string `json:"health_status"`
				} `json:"lb_endpoints"`
			} `json:"endpoints"`
		} `json:"resources"`
	}
	text := sample(t, "envoy-eds.json.tmpl")
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	if len(got.Resources) != 2 || got.Resources[1].Cluster != "web" || len(got.Resources[1].Endpoints[0].LB) != 3 {
		t.Fatalf("got %+v", got)
	}
	lb := got.Resources[1].Endpoints[0].LB
	if lb[1].Endpoint.Address.Socket.Address != "fd00::2" || lb[1].Endpoint.Address.Socket.Port != 81 || lb[2].Health != "DRAINING" {
		t.Errorf("got %+v", lb)
	}
}

func TestTraefik(t *testing.T) {
	t.Parallel()
	var got struct {
		HTTP struct {
			Services map[string]struct {
				LoadBalancer struct {
					Servers []struct {
						URL    string
						Weight int
					}
				} `yaml:"loadBalancer"`
			}
		}
	}
	text := sample(t, "traefik.yml.tmpl")
	if err := yaml.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	servers := got.HTTP.Services["web"].LoadBalancer.Servers
	if len(got.HTTP.Services) != 2 || len(servers) != 2 || servers[1].URL != "http://[fd00::2]:81" || servers[1].Weight != 50 {
		t.Errorf("got %+v", got)
	}
}

func TestCaddy(t *testing.T) {
	t.Parallel()
	if text := sample(t, "caddy.tmpl"); !strings.Contains(text, "(web) {\n\treverse_proxy 10.0.0.1:80 [fd00::2]:81 {\n") {
		t.Errorf("got %s", text)
	}
}

// TestEnvironment holds what checks and reloads are told.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip("the test speaks sh")
	}
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	argv := []string{"/bin/sh", "-c", `echo "$0 $LBSYNC_TARGET $LBSYNC_FILE $LBSYNC_HASH $LBSYNC_REASON." >>` + out}
	a, err := generic.New(config.Target{Kind: config.KindTemplate, Name: "t",
		Files:  []config.File{{Dest: "/dest", Check: append(argv, config.CandidateArg), Timeout: time.Minute}},
		Reload: config.Reload{Command: append(argv, "reload"), Timeout: time.Minute}})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if err := a.Check(ctx, []string{"/candidate"}, adapter.Cause{Hash: "12ab"}); err != nil {
		t.Fatal(err)
	}
	if err := a.Reload(ctx, adapter.Cause{Hash: "12ab", Reason: "its files change"}); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(out); err != nil || string(text) != "/candidate template/t /dest 12ab .\nreload template/t /dest 12ab its files change.\n" {
		t.Errorf("got %q, %v", text, err)
	}
}
