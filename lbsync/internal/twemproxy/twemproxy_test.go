package twemproxy_test

import (
	"context"
	"flag"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/command"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/lbtest"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
	"github.com/seed-645ce708/gossip/lbsync/internal/twemproxy"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func server(name, addr string) pool.Server {
	ap := netip.MustParseAddrPort(addr)
	return pool.Server{Name: name, Addr: ap.Addr(), Port: ap.Port(), Weight: 1, State: pool.Active}
}

func render() []byte {
	drains := server("mc-3", "10.0.0.3:11211")
	drains.State = pool.Draining
	mc := pool.Service{Servers: []pool.Server{server("mc-1", "10.0.0.1:11211"), server("mc-2", "[fd00::2]:11211"), drains}}
	return twemproxy.Render([]config.Pool{
		{Name: "mc", Service: "mc", Listen: "127.0.0.1:22121", Hash: "fnv1a_64", HashTag: "{}", Distribution: "ketama",
			Settings: map[string]string{"timeout": "400", "auto_eject_hosts": "false"}},
		{Name: "named", Service: "names", Listen: "[::1]:22122", Hash: "md5", Distribution: "ketama", Redis: true,
			Address: config.AddressDNS, Domain: "gossip.", Settings: map[string]string{"redis_auth": `a "b": #c`}},
		{Name: "none", Service: "none", Listen: "/run/none.sock 0660", Hash: "crc32", Distribution: "modula"},
	}, adapter.Pools{Services: adapter.Services{
		"mc":    mc,
		"names": {Servers: []pool.Server{server("Red-1", "10.0.0.1:6379"), server("a.b:c_x2e-", "10.0.0.2:6379")}},
	}})
}

func TestRender(t *testing.T) {
	t.Parallel()
	got := render()
	path := filepath.Join("testdata", "pools.yml")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("got\n%s\nwant (go test -update rewrites it)\n%s", got, want)
	}
	f, err := twemproxy.Parse(got)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, p := range f.Pools {
		for _, s := range p.Servers {
			all = append(all, p.Listen+" "+s.Name+" "+s.Addr)
		}
	}
	if want := []string{"127.0.0.1:22121 mc-1 10.0.0.1", "127.0.0.1:22121 mc-2 fd00::2", "[::1]:22122 Red-1 red-1.node.gossip",
		"[::1]:22122 a.b:c_x2e- a_x2eb_x3ac_x5fx2e_x2d.node.gossip", "/run/none.sock there-are-none 127.0.0.1"}; !slices.Equal(all, want) {
		t.Errorf("got %q", all)
	}
}

// TestEverythingDrains keeps a ring of servers that all ask for a drain: none would be worse.
func TestEverythingDrains(t *testing.T) {
	t.Parallel()
	a := server("a", "10.0.0.1:1")
	a.State = pool.Draining
	got := string(twemproxy.Render([]config.Pool{{Name: "p", Service: "s"}}, adapter.Pools{Services: adapter.Services{"s": {Servers: []pool.Server{a}}}}))
	if !strings.Contains(got, "- 10.0.0.1:1:1 a\n") {
		t.Errorf("got %s", got)
	}
}

const poolHead = "mc:\n  listen: 127.0.0.1:22121\n"

// files are files with what must be in the reason why each is refused; empty if it is not.
var files = map[string]struct{ text, why string }{
	"small":             {poolHead + "  servers:\n  - 10.0.0.1:11211:1 a\n", ""},
	"unnamed":           {poolHead + "  servers:\n  - 10.0.0.1:11211:1\n  - 10.0.0.1:11212:1\n", ""},
	"IPv6":              {poolHead + "  servers:\n  - fd00::1:11211:1 a\n", ""},
	"sockets":           {"mc:\n  listen: /tmp/x.sock 0660\n  servers:\n  - /tmp/y.sock:1 a\n", ""},
	"host names":        {poolHead + "  servers:\n  - nowhere.example:11211:1 a\n", ""},
	"all settings":      {poolHead + "  hash: murmur\n  hash_tag: \"{}\"\n  distribution: modula\n  timeout: 400\n  backlog: 9\n  client_connections: 0\n  redis: true\n  redis_auth: x\n  redis_db: 1\n  preconnect: true\n  tcpkeepalive: false\n  auto_eject_hosts: true\n  server_connections: 2\n  server_retry_timeout: 1\n  server_failure_limit: 3\n  servers:\n  - 10.0.0.1:1:1 a\n", ""},
	"empty":             {"", "no pools"},
	"comment":           {"# nothing\n", "no pools"},
	"no pools":          {"- a\n", "want pools"},
	"no pool":           {"mc: 5\n", "want a pool"},
	"no servers":        {poolHead, "no servers"},
	"empty servers":     {poolHead + "  servers:\n", "is empty"},
	"servers not list":  {poolHead + "  servers: 10.0.0.1:11211:1\n", "want a list"},
	"server a mapping":  {poolHead + "  servers:\n  - a: b\n", "a colon and a space"},
	"no listen":         {"mc:\n  servers:\n  - 10.0.0.1:11211:1 a\n", "no listen address"},
	"listen port":       {"mc:\n  listen: 127.0.0.1:99999\n  servers:\n  - 10.0.0.1:1:1 a\n", "port from 1 to 65535"},
	"listen no port":    {"mc:\n  listen: localhost\n  servers:\n  - 10.0.0.1:1:1 a\n", "must be host:port"},
	"listen mode":       {"mc:\n  listen: /tmp/x.sock 1777\n  servers:\n  - 10.0.0.1:1:1 a\n", "a mode"},
	"listen long":       {"mc:\n  listen: /" + strings.Repeat("x", 120) + "\n  servers:\n  - 10.0.0.1:1:1 a\n", "107 bytes"},
	"unknown hash":      {poolHead + "  hash: sha1\n  servers:\n  - 10.0.0.1:1:1 a\n", "one of one_at_a_time"},
	"distribution":      {poolHead + "  distribution: ring\n  servers:\n  - 10.0.0.1:1:1 a\n", "one of ketama"},
	"unknown key":       {poolHead + "  colour: red\n  servers:\n  - 10.0.0.1:1:1 a\n", "no such setting"},
	"key twice":         {poolHead + "  hash: md5\n  hash: md5\n  servers:\n  - 10.0.0.1:1:1 a\n", "is there twice"},
	"hash_tag":          {poolHead + "  hash_tag: \"{\"\n  servers:\n  - 10.0.0.1:1:1 a\n", "two characters"},
	"no number":         {poolHead + "  timeout: soon\n  servers:\n  - 10.0.0.1:1:1 a\n", "whole number"},
	"negative":          {poolHead + "  timeout: -1\n  servers:\n  - 10.0.0.1:1:1 a\n", "whole number"},
	"no bool":           {poolHead + "  redis: yes\n  servers:\n  - 10.0.0.1:1:1 a\n", "true or false"},
	"no connections":    {poolHead + "  server_connections: 0\n  servers:\n  - 10.0.0.1:1:1 a\n", "above 0"},
	"same name":         {poolHead + "  servers:\n  - 10.0.0.1:1:1 a\n  - 10.0.0.2:1:1 a\n", "second server is called"},
	"same unnamed":      {poolHead + "  servers:\n  - 10.0.0.1:1:1\n  - 10.0.0.1:1:2\n", "second server is called"},
	"server port":       {poolHead + "  servers:\n  - 10.0.0.1:99999:1 a\n", "port from 1 to 65535"},
	"server no weight":  {poolHead + "  servers:\n  - 10.0.0.1:11211 a\n", "host:port:weight"},
	"server weight 0":   {poolHead + "  servers:\n  - 10.0.0.1:11211:0 a\n", "above 0"},
	"server two names":  {poolHead + "  servers:\n  - 10.0.0.1:11211:1 a b\n", "whole number above 0"},
	"same pool":         {poolHead + "  servers:\n  - 10.0.0.1:1:1 a\nmc:\n  listen: 127.0.0.1:2\n  servers:\n  - 10.0.0.1:1:1 a\n", "is there twice"},
	"same listen":       {poolHead + "  servers:\n  - 10.0.0.1:1:1 a\nmd:\n  listen: 127.0.0.1:22121\n  servers:\n  - 10.0.0.1:1:1 a\n", "same listen"},
	"tabs":              {"mc:\n\tlisten: 127.0.0.1:22121\n", "yaml"},
	"no YAML":           {"mc: [\n", "yaml"},
	"document start":    {"---\n" + poolHead + "  servers:\n  - 10.0.0.1:1:1 a\n", `no "---"`},
	"two documents":     {poolHead + "  servers:\n  - 10.0.0.1:1:1 a\n---\na: b\n", `no "---"`},
	"flow list":         {poolHead + "  servers: [ \"10.0.0.1:1:1 a\" ]\n", "no [ ]"},
	"brackets":          {poolHead + "  servers:\n  - [fd00::1]:11211:1 a\n", "yaml"},
	"anchor":            {poolHead + "  servers: &s\n  - 10.0.0.1:1:1 a\n", "anchors"},
	"tag":               {poolHead + "  timeout: !!int 5\n  servers:\n  - 10.0.0.1:1:1 a\n", "tags"},
	"setting is a list": {poolHead + "  hash:\n  - md5\n", "one value"},
}

// TestReasons holds our reading against nutcracker's own, which is yes or no.
func TestReasons(t *testing.T) {
	t.Parallel()
	program, _ := exec.LookPath("nutcracker") // our reading is tested in any case
	dir := t.TempDir()
	for name, tt := range files {
		_, err := twemproxy.Parse([]byte(tt.text))
		if (err == nil) != (tt.why == "") || err != nil && !strings.Contains(err.Error(), tt.why) {
			t.Errorf("%s: got %v, want %q", name, err, tt.why)
		}
		if program == "" {
			continue
		}
		path := lbtest.Write(t, dir, strings.ReplaceAll(name, " ", "-")+".yml", tt.text)
		if out, err := command.Run(context.Background(), time.Minute, []string{program, "-t", "-c", path}); (err == nil) != (tt.why == "") {
			t.Errorf("%s: we say %q, but nutcracker says: %v %s", name, tt.why, err, out)
		}
	}
}

// TestNutcrackerReads makes sure that what is written is read.
func TestNutcrackerReads(t *testing.T) {
	t.Parallel()
	program := lbtest.Program(t, "nutcracker")
	path := lbtest.Write(t, t.TempDir(), "pools.yml", string(render()))
	if out, err := command.Run(context.Background(), time.Minute, []string{program, "-t", "-c", path}); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func TestParseStats(t *testing.T) {
	t.Parallel()
	s, err := twemproxy.ParseStats([]byte(`{"service":"nutcracker", "source":"vm", "version":"0.5.0", "uptime":7, "timestamp":1000, "curr_connections":1,
		"mc": {"client_eof":0, "b": {"server_eof":0}, "a": {"server_eof":0}}, "red": {"client_eof":0}}`))
	if err != nil || s.Started.Unix() != 993 || s.Version != "0.5.0" || len(s.Pools) != 2 || !slices.Equal(s.Pools["mc"], []string{"a", "b"}) {
		t.Errorf("got %+v, %v", s, err)
	}
	for _, bad := range []string{"", "[]", "{}", `{"service":"nutcracker"}`, `{"service":"x","uptime":1,"timestamp":1}`} {
		if s, err := twemproxy.ParseStats([]byte(bad)); err == nil {
			t.Errorf("%s: got %+v", bad, s)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, tt := range files {
		f.Add([]byte(tt.text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := twemproxy.Parse(text)
		if err != nil {
			return
		}
		for _, p := range got.Pools {
			if p.Name == "" || p.Listen == "" || len(p.Servers) == 0 {
				t.Errorf("an incomplete pool: %+v", p)
			}
		}
	})
}

func FuzzParseStats(f *testing.F) {
	f.Add([]byte(`{"service":"nutcracker","uptime":1,"timestamp":2,"p":{"s":{}}}`))
	f.Fuzz(func(_ *testing.T, text []byte) { _, _ = twemproxy.ParseStats(text) })
}
