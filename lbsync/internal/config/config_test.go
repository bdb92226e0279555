package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/desired"
)

const full = `
state_dir = "state"

source "gossip" {
  address  = "10.0.0.1:7373"
  key_file = "agent.key"
  timeout  = "5s"
  resync   = "1m"
  settle   = "3s"
}

service "web" {
  select {
    service = "www"
    tags    = { dc = "east", tier = "~front|edge" }
  }
  endpoint {
    address_tag    = "lb_addr"
    port_tag       = "http_port"
    port           = 8080
    weight_tag     = "weight"
    drain          = { lb = "drain" }
    allow_loopback = true
  }
  wait {
    add   = "1s"
    leave = "0s"
    fail  = "2s"
    max   = "9s"
  }
  guard {
    allow_empty = true
    min_servers = 2
    max_removal = "34%"
    window      = "30s"
  }
}

service "db" {}

target "haproxy" "edge" {
  config = "/etc/haproxy/haproxy.cfg"
  file {
    dest            = "edge.cfg"
    template        = "edge.tmpl"
    mode            = "0640"
    adopt           = true
    check           = ["haproxy", "-c", "-f", "{candidate}"]
    check_installed = []
    check_timeout   = "5s"
  }
  reload {
    master       = "/run/haproxy-master.sock"
    timeout      = "10s"
    min_interval = "2s"
  }
  backend "be_web" {
    service = "web"
    mode    = "tcp"
    balance = "leastconn"
    options = "check  inter 2s"
    lines   = ["option tcplog"]
  }
}

target "nginx" "www" {
  file { dest = "www.conf" }
  reload { pid_file = "/run/nginx.pid" }
  upstream "db" {
    service   = "db"
    method    = "least_conn"
    keepalive = 8
  }
}
`

const minimal = `
source "gossip" {}
service "web" {}
target "nginx" "www" {
  file { dest = "/www.conf" }
  upstream "web" { service = "web" }
}
`

// parse reads the text as a file of a folder that has a key.
func parse(t *testing.T, name, text string) (*config.Config, string, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "agent.key"), []byte("open sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse(filepath.Join(dir, name), []byte(text))
	return cfg, dir, err
}

func TestFull(t *testing.T) {
	t.Parallel()
	cfg, dir, err := parse(t, "lbsync.hcl", full)
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Services) != 2 || len(cfg.Services[0].Spec.Tags) != 2 || cfg.Services[0].Spec.Tags[1].Pattern == nil {
		t.Fatalf("services: %+v", cfg.Services)
	}
	if p := cfg.Services[0].Spec.Tags[1].Pattern.String(); p != "^(?:front|edge)$" {
		t.Errorf("pattern %q", p)
	}
	cfg.Services[0].Spec.Tags[1].Pattern = nil
	flap := config.Flap{HalfLife: time.Minute, Suppress: 3, Reuse: 1, Max: 10 * time.Minute}
	want := &config.Config{
		File:     filepath.Join(dir, "lbsync.hcl"),
		StateDir: filepath.Join(dir, "state"),
		Source:   config.Source{Address: "10.0.0.1:7373", Key: "open sesame", Timeout: 5 * time.Second, Resync: time.Minute, Settle: 3 * time.Second},
		Services: []config.Service{
			{Name: "web", Spec: desired.Spec{Name: "web", Published: "www", Tags: []desired.Match{{Key: "dc", Exact: "east"}, {Key: "tier"}},
				AddressTag: "lb_addr", PortTag: "http_port", Port: 8080, WeightTag: "weight", DrainTags: map[string]string{"lb": "drain"}, AllowLoopback: true},
				Wait:  config.Wait{Add: time.Second, Fail: 2 * time.Second, Max: 9 * time.Second},
				Guard: config.Guard{AllowEmpty: true, MinServers: 2, MaxRemoval: 0.34, Window: 30 * time.Second, FailedGrace: config.DefaultFailedGrace, Flap: flap},
				Drain: config.Drain{Timeout: config.DefaultDrainTimeout}},
			{Name: "db", Spec: desired.Spec{Name: "db", Published: "db"},
				Wait:  config.Wait{Add: config.DefaultWaitAdd, Leave: config.DefaultWaitLeave, Fail: config.DefaultWaitFail, Max: config.DefaultWaitMax},
				Guard: config.Guard{MinServers: 1, MaxRemoval: config.DefaultMaxRemoval, Window: config.DefaultWindow, FailedGrace: config.DefaultFailedGrace, Flap: flap},
				Drain: config.Drain{Timeout: config.DefaultDrainTimeout}},
		},
		Targets: []config.Target{
			{Kind: "haproxy", Name: "edge", Services: []string{"web"},
				Files: []config.File{{Dest: filepath.Join(dir, "edge.cfg"), Template: filepath.Join(dir, "edge.tmpl"), Mode: 0o640, Adopt: true,
					Check: []string{"haproxy", "-c", "-f", "{candidate}"}, Installed: []string{}, Timeout: 5 * time.Second}},
				Reload:  config.Reload{Master: "/run/haproxy-master.sock", Timeout: 10 * time.Second, MinInterval: 2 * time.Second, Burst: 1},
				HAProxy: &config.HAProxy{Main: "/etc/haproxy/haproxy.cfg", Backends: []config.Backend{{Name: "be_web", Service: "web", Mode: "tcp", Balance: "leastconn", Options: "check inter 2s", Lines: []string{"option tcplog"}, Servers: config.ServersFileOnly, Probation: true}}}},
			{Kind: "nginx", Name: "www", Services: []string{"db"},
				Files:  []config.File{{Dest: filepath.Join(dir, "www.conf"), Timeout: config.DefaultCheckTimeout}},
				Reload: config.Reload{PIDFile: "/run/nginx.pid", Signal: "HUP", Timeout: config.DefaultNginxReloadTimeout, MinInterval: config.DefaultMinInterval, Burst: 1},
				Nginx:  &config.Nginx{Section: "http", Precheck: "auto", Upstreams: []config.Upstream{{Name: "db", Service: "db", Method: "least_conn", Keepalive: 8}}}},
		},
	}
	if !reflect.DeepEqual(cfg, want) {
		t.Errorf("got\n%+v\nwant\n%+v", cfg, want)
	}
}

func TestRuntime(t *testing.T) {
	t.Parallel()
	cfg, dir, err := parse(t, "lbsync.hcl", `
source "gossip" {}
service "web" {}
target "haproxy" "edge" {
  config = "haproxy.cfg"
  file { dest = "web.cfg" }
  runtime {
    socket       = "admin.sock"
    timeout      = "5s"
    keep_manual  = ["weight", "state"]
    without_file = true
  }
  backend "web" { service = "web" }
}
`)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Runtime{Socket: filepath.Join(dir, "admin.sock"), Timeout: 5 * time.Second, KeepWeight: true, KeepState: true, WithoutFile: true}
	if got := cfg.Targets[0].HAProxy; got.Runtime != want || got.Backends[0].Servers != config.ServersNamed {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	native, dir, err := parse(t, "lbsync.hcl", minimal)
	if err != nil {
		t.Fatal(err)
	}
	twin, err := config.Parse(filepath.Join(dir, "lbsync.json"), []byte(`{
  "source": {"gossip": {}},
  "service": {"web": {}},
  "target": {"nginx": {"www": {"file": {"dest": "/www.conf"}, "upstream": {"web": {"service": "web"}}}}}
}`))
	if err != nil {
		t.Fatal(err)
	}
	twin.File = native.File
	if !reflect.DeepEqual(native, twin) {
		t.Errorf("HCL\n%+v\nJSON\n%+v", native, twin)
	}
}

// excerpt is how a line of the configuration is quoted.
var excerpt = regexp.MustCompile(`^    [0-9]+ \| .`)

// TestFaults: each fault is one line with the file and the line number.
func TestFaults(t *testing.T) {
	t.Parallel()
	edit := func(old, with string) string {
		if !strings.Contains(full, old) {
			t.Fatalf("%q is not there", old)
		}
		return strings.Replace(full, old, with, 1)
	}
	tests := []struct{ name, text, want string }{
		{"syntax", "source {", ":1: "},
		{"empty", "", ":1: there is no source block"},
		{"unknown key at the top", full + "\nhtpp = \"x\"\n", `:76: Unsupported argument: An argument named "htpp" is not expected here`},
		{"unknown key", edit("settle   =", "settel   ="), `:9: Unsupported argument: An argument named "settel" is not expected here. Did you mean "settle"?`},
		{"unknown block", edit("wait {", "await {"), `:25: Unsupported block type`},
		{"unknown source", edit(`source "gossip"`, `source "consul"`), `:4: source "consul" is unknown`},
		{"bad address", edit(`"10.0.0.1:7373"`, `"10.0.0.1"`), `:5: address is "10.0.0.1"; want host:port`},
		{"no key file", edit(`"agent.key"`, `"none.key"`), ":6: key_file: open "},
		{"no duration", edit(`"5s"`, `"5"`), `:7: timeout is "5"; want a time such as`},
		{"duration out of range", edit(`"1m"`, `"1ms"`), ":8: resync is 1ms; want 1s to"},
		{"apply after", edit("min_servers = 2", "apply_after = \"1ms\""), ":33: apply_after is 1ms"},
		{"flap upside down", edit("min_servers = 2", "flap {\n suppress = 2\n reuse = 2\n }"), ":35: reuse is 2; it must be less than suppress"},
		{"drain too long", edit("  guard {", "  drain { timeout = \"48h\" }\n  guard {"), ":31: timeout is 48h0m0s"},
		{"servers without runtime", edit(`mode    = "tcp"`, `servers = "named"`), ":59: servers = \"named\" needs the Runtime API"},
		{"slots without effect", edit(`mode    = "tcp"`, `slots = 3`), ":59: slots has no effect"},
		{"turns without a group", edit(`min_interval = "2s"`, `at_once = 2`), ":55: at_once has no effect without group"},
		{"second source", full + "source \"gossip\" {}\n", `:75: a second "source" block; the first is at line 4`},
		{"second service", full + "service \"web\" {}\n", `:75: a second service "web"`},
		{"bad name", full + "service \"a/b\" {}\n", `:75: service name "a/b"`},
		{"bad pattern", edit(`~front|edge`, `~(`), ":15: tags: \"(\" is no regular expression"},
		{"selects nothing", full + "service \"x\" {\n select {}\n}\n", ":76: select chooses nothing"},
		{"port out of range", edit("8080", "80800"), ":20: port must be a whole number from 1 to 65535"},
		{"port no number", edit("8080", `"http"`), ":20: port must be a number"},
		{"max too short", edit(`"9s"`, `"1s"`), ":29: max is 1s, shorter than another wait of 2s"},
		{"no percentage", edit(`"34%"`, `"0.34"`), `:34: max_removal is "0.34"; want a share`},
		{"min too small", edit("min_servers = 2", "min_servers = 0"), ":33: min_servers must be a whole number from 1"},
		{"unknown kind", edit(`target "haproxy"`, `target "envoy"`), `:41: target kind "envoy" is unknown`},
		{"no main file", strings.Replace(edit(`config = "/etc/haproxy/haproxy.cfg"`, ""), `check           = ["haproxy", "-c", "-f", "{candidate}"]`, "", 1), ":41: target haproxy/edge needs config"},
		{"bad mode", edit(`"0640"`, `"rw-"`), `:46: mode is "rw-"; want octal`},
		{"check without candidate", edit(`"{candidate}"`, `"x"`), ":48: check never names the candidate"},
		{"signal without effect", edit(`min_interval = "2s"`, `signal = "HUP"`), ":55: signal has no effect here"},
		{"two ways to reload", edit(`min_interval = "2s"`, `pid_file = "/x"`), ":52: reload has master beside another way"},
		{"no way to reload", edit(`pid_file = "/run/nginx.pid"`, ""), ":68: reload says nothing to do: give command or pid_file"},
		{"bad signal", edit(`{ pid_file = "/run/nginx.pid" }`, "{\n pid_file = \"/x\"\n signal = \"KILL\"\n }"), `signal is "KILL"; want one of HUP, USR2`},
		{"unknown service", edit(`service   = "db"`, `service   = "dbx"`), `:69: upstream "db": there is no service "dbx"`},
		{"no service", edit(`service   = "db"`, ``), `:69: service is missing`},
		{"directive that ends", edit("least_conn", "least_conn; }"), ":71: method is"},
		{"line break", edit("least_conn", `least_conn\nx`), ":71: method has a control character"},
		{"line break in a line", edit("option tcplog", `a\nb`), ":62: lines: entry"},
		{"another section", edit("option tcplog", "backend other"), ":62: lines: \"backend other\" begins another section"},
		{"no port", edit(`"10.0.0.1:7373"`, `"10.0.0.1:rpc"`), `:5: address is "10.0.0.1:rpc"; want host:port`},
		{"no path", edit(`"10.0.0.1:7373"`, `"unix://run/x"`), `:5: address is "unix://run/x"; want host:port`},
		{"http port out of range", full + "http = \":99999\"\n", `:75: http is ":99999"; want host:port`},
		{"writes the main file", edit(`"edge.cfg"`, `"/etc/haproxy/haproxy.cfg"`), ":41: target haproxy/edge writes /etc/haproxy/haproxy.cfg, which is HAProxy's main file"},
		{"writes its template", edit(`"edge.tmpl"`, `"edge.cfg"`), "edge.cfg, which is a template"},
		{"writes twice", full + "target \"template\" \"x\" {\n services = [\"web\"]\n file {\n  dest = \"x\"\n  template = \"y\"\n }\n file {\n  dest = \"x\"\n  template = \"y\"\n }\n}\n",
			":75: target template/x writes "},
		{"two owners", edit(`"www.conf"`, `"edge.cfg"`), ":66: target nginx/www writes "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, dir, err := parse(t, "lbsync.hcl", tt.text)
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got\n%v\nwant %q", err, tt.want)
			}
			for line := range strings.Lines(err.Error()) {
				if !strings.HasPrefix(line, filepath.Join(dir, "lbsync.hcl")+":") && !excerpt.MatchString(line) {
					t.Errorf("a line without the file: %q", line)
				}
			}
			if strings.Contains(err.Error(), "sesame") {
				t.Error("the key is in the error")
			}
		})
	}
}

// TestSyntaxError: one slip in the syntax is one fault, however many complaints the parser has of it.
func TestSyntaxError(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"lbsync.json": `{"source": `, "lbsync.hcl": "source \"gossip\" {\n  address = \n}\nservice {"} {
		if _, dir, err := parse(t, name, text); err == nil || strings.Count(err.Error(), "\n") > 1 || !strings.HasPrefix(err.Error(), filepath.Join(dir, name)+":") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestFolder: several files are one configuration; relative paths start at the file that has them.
func TestFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	main := put("lbsync.hcl", "http = \":9479\"\nsource \"gossip\" {}\n")
	put("conf.d/20-db.json", `{"service": {"db": {}}}`)
	put("conf.d/10-web.hcl", "service \"web\" {}\ntarget \"nginx\" \"www\" {\n  file { dest = \"www.conf\" }\n  upstream \"web\" { service = \"web\" }\n}\n")
	put("conf.d/notes.txt", "not for us")
	put("conf.d/.hidden.hcl", "nor this")
	conf := filepath.Join(dir, "conf.d")
	cfg, err := config.Load(main, conf)
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Services) != 2 || cfg.Services[0].Name != "web" || cfg.Targets[0].Files[0].Dest != filepath.Join(conf, "www.conf") || cfg.HTTP != "127.0.0.1:9479" {
		t.Errorf("got %+v", cfg)
	}
	put("conf.d/30-again.hcl", "\nservice \"web\" {}\n")
	if _, err := config.Load(main, conf); err == nil || err.Error() != filepath.Join(conf, "30-again.hcl")+":2: a second service \"web\"\n    2 | service \"web\" {}" {
		t.Errorf("a service twice: %v", err)
	}
	put("conf.d/30-again.hcl", "state_dir = \"a\"\n")
	put("conf.d/40-more.hcl", "state_dir = \"b\"\n")
	if _, err := config.Load(main, conf); err == nil || !strings.Contains(err.Error(), "40-more.hcl:1: Duplicate argument") {
		t.Errorf("state_dir twice: %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(filepath.Join(dir, "empty")); err == nil || !strings.Contains(err.Error(), "has no *.hcl") {
		t.Errorf("an empty folder: %v", err)
	}
}

// TestSecrets: a line that may hold one is not quoted.
func TestSecrets(t *testing.T) {
	t.Parallel()
	text := strings.Replace(minimal, `upstream "web" { service = "web" }`, "redis_auth = \"sesame\"\n upstream \"web\" { service = \"web\" }", 1)
	if _, _, err := parse(t, "lbsync.hcl", text); err == nil || strings.Contains(err.Error(), "sesame") {
		t.Errorf("got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(false, full)
	f.Add(false, minimal)
	f.Add(true, `{"source": {"gossip": {}}, "service": {"web": {"endpoint": {"port": 1e9}}}}`)
	f.Fuzz(func(t *testing.T, asJSON bool, text string) {
		name := "x.hcl"
		if asJSON {
			name = "x.json"
		}
		cfg, err := config.Parse(name, []byte(text))
		if (cfg == nil) == (err == nil) {
			t.Errorf("got %v and %v", cfg, err)
		}
	})
}
