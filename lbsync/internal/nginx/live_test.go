package nginx_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/command"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/desired"
	"github.com/seed-645ce708/gossip/lbsync/internal/lbtest"
	"github.com/seed-645ce708/gossip/lbsync/internal/nginx"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
	"github.com/seed-645ce708/gossip/lbsync/internal/record"
	"github.com/seed-645ce708/gossip/lbsync/internal/target"
)

// rig is a target of a running nginx.
type rig struct {
	*target.Target
	*lbtest.Balancer
	cfg     config.Target
	adapter *nginx.Adapter
}

func newRig(t *testing.T, change func(*config.Target)) *rig {
	t.Helper()
	b := lbtest.Nginx(t)
	cfg := config.Target{Kind: config.KindNginx, Name: "www", Services: []string{"web"},
		Files:  []config.File{{Dest: b.Dest, Adopt: true, Timeout: time.Minute}},
		Reload: config.Reload{PIDFile: b.PIDFile, Signal: "HUP", Timeout: 30 * time.Second},
		Nginx: &config.Nginx{Main: b.Main, Section: config.SectionHTTP, Precheck: config.PrecheckAuto,
			Upstreams: []config.Upstream{{Name: "web", Service: "web"}}}}
	if change != nil {
		change(&cfg)
	}
	store, err := record.Open(filepath.Join(b.Dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() }) // the folder goes anyway
	a, err := nginx.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &rig{target.New(cfg, a, store), b, cfg, a}
}

func (r *rig) apply(servers ...pool.Server) (target.Result, error) {
	slices.SortFunc(servers, func(a, b pool.Server) int { return strings.Compare(a.Name, b.Name) })
	return r.Apply(context.Background(), adapter.Pools{Services: adapter.Services{"web": {Name: "web", Servers: servers}}},
		func(context.Context, target.Need) (func(error), error) { return func(error) {}, nil })
}

// serves waits until the web address answers with the text.
func (r *rig) serves(t *testing.T, want string) {
	t.Helper()
	lbtest.Eventually(t, func() error {
		if got, err := r.Get(); err != nil || got != want {
			return errors.Join(fmt.Errorf("got %q, want %q", got, want), err)
		}
		return nil
	})
}

// TestTarget goes through what happens to servers.
func TestTarget(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	one, two := server("web-1", lbtest.Web(t, "one").Listener.Addr().String()), server("web-2", lbtest.Web(t, "two").Listener.Addr().String())
	if res, err := r.apply(one); err != nil || !res.Reloaded || !strings.Contains(res.Actual.Instance, "@") {
		t.Fatalf("got %+v, %v", res, err)
	}
	r.serves(t, "one")
	if res, err := r.apply(one); err != nil || res.Reloaded || res.Wrote {
		t.Errorf("nothing changed, but: %+v, %v", res, err)
	}
	one.State = pool.Draining
	if _, err := r.apply(one, two); err != nil {
		t.Fatal(err)
	}
	r.serves(t, "two")
	for range 10 {
		if got, err := r.Get(); err != nil || got != "two" {
			t.Errorf("a server that drains got a request: %q, %v", got, err)
		}
	}
	two.Backup = true // and nobody else takes traffic
	if _, err := r.apply(one, two); err != nil {
		t.Fatal(err)
	}
	r.serves(t, "two")
	if _, err := r.apply(); err != nil {
		t.Fatal(err)
	}
	lbtest.Eventually(t, func() error {
		if _, err := r.Get(); err == nil || !strings.Contains(err.Error(), "502") {
			return fmt.Errorf("without servers: %w", err)
		}
		return nil
	})
}

// TestRefused holds that the live file is as it was, and nginx content with it, whatever nginx refuses.
func TestRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	one := server("web-1", lbtest.Web(t, "one").Listener.Addr().String())
	if _, err := r.apply(one); err != nil {
		t.Fatal(err)
	}
	live, err := os.ReadFile(r.Dest)
	if err != nil {
		t.Fatal(err)
	}
	for name, up := range map[string]config.Upstream{
		"options":      {Name: "web", Service: "web", Options: "slow_start=3s"},
		"a line":       {Name: "web", Service: "web", Lines: []string{"server 127.0.0.1:99999;"}},
		"no upstream":  {Name: "web", Service: "web", Lines: []string{"}"}},
		"no host":      {Name: "web", Service: "web", Lines: []string{"server nowhere.invalid;"}},
		"twice":        {Name: "web", Service: "web", Lines: []string{"}", "upstream web {", "server 127.0.0.1:1;"}},
		"no servers":   {Name: "web", Service: "web", Lines: []string{"}", "upstream other {"}},
		"another name": {Name: "api", Service: "web"}, // only the whole configuration shows that web is missing
	} {
		for _, precheck := range []string{config.PrecheckAuto, config.PrecheckWrapper, config.PrecheckNone} {
			cfg := r.cfg
			cfg.Nginx = &config.Nginx{Main: r.Main, Section: config.SectionHTTP, Precheck: precheck, Upstreams: []config.Upstream{up}}
			a, err := nginx.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			store, err := record.Open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			res, err := target.New(cfg, a, store).Apply(context.Background(), adapter.Pools{Services: adapter.Services{"web": {Servers: []pool.Server{one}}}},
				func(context.Context, target.Need) (func(error), error) {
					t.Error(name + ": it is reloaded")
					return func(error) {}, nil
				})
			if err == nil || !strings.Contains(err.Error(), "[emerg]") || strings.Contains(err.Error(), "not this change") {
				t.Errorf("%s, %s: got %+v, %v", name, precheck, res, err)
			}
			if precheck == config.PrecheckNone && !res.RolledBack {
				t.Errorf("%s: it was not put back", name)
			}
			if now, err := os.ReadFile(r.Dest); err != nil || string(now) != string(live) {
				t.Errorf("%s: the live file is %q, %v", name, now, err)
			}
			if err := r.adapter.CheckInstalled(context.Background(), adapter.Cause{}); err != nil {
				t.Errorf("%s: afterwards: %v", name, err)
			}
			_ = store.Close() // the folder goes anyway
		}
	}
	if got, err := r.Get(); err != nil || got != "one" {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestPrechecksAgree judges a corpus in both ways.
func TestPrechecksAgree(t *testing.T) {
	t.Parallel()
	b := lbtest.Nginx(t)
	ctx := context.Background()
	candidate := filepath.Join(b.Dir, ".candidate")
	check := func(text string) (alone, mounted error) {
		lbtest.Write(t, b.Dir, ".candidate", text)
		return nginx.CheckAlone(ctx, time.Minute, config.SectionHTTP, candidate), nginx.CheckMounted(ctx, time.Minute, b.Main, b.Dest, candidate)
	}
	if _, err := check("upstream web { server 127.0.0.1:1; }\n"); err != nil {
		if strings.Contains(err.Error(), "cannot be mounted") {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	live, err := os.ReadFile(b.Dest)
	if err != nil {
		t.Fatal(err)
	}
	for text, good := range map[string]bool{
		render(): true,
		"upstream web { server 127.0.0.1:1 down; }\n":                       true,
		"upstream web { server [::1]:1 backup; server 127.0.0.1:2; }\n":     true,
		"upstream web { zone web 64k; server 127.0.0.1:2; keepalive 4; }\n": true,
		"upstream web { }\n":                                                           false,
		"upstream web { server 127.0.0.1:1 }\n":                                        false,
		"upstream web { server 127.0.0.1:70000; }\n":                                   false,
		"upstream web { server 127.0.0.1:1 weight=0; }\n":                              false,
		"upstream web { server 127.0.0.1:1 backup; }\n":                                false,
		"upstream web { ip_hash; server 127.0.0.1:1; server 127.0.0.1:2 backup; }":     false,
		"upstream web { server 127.0.0.1:1; }\nupstream web { server 127.0.0.1:1; }\n": false,
		"upstream web { server 127.0.0.1:1; }\nnonsense;\n":                            false,
		"upstream web { server 127.0.0.1:1; \n":                                        false,
	} {
		alone, mounted := check(text)
		if (alone == nil) != good || (mounted == nil) != good {
			t.Errorf("%s: alone %v, mounted %v", text, alone, mounted)
		}
	}
	if now, err := os.ReadFile(b.Dest); err != nil || string(now) != string(live) {
		t.Errorf("the live file is %q, %v", now, err)
	}
}

// TestBindClash makes nginx refuse a reload after it took the signal: the error has what nginx logged meanwhile, and nothing of
// before.
func TestBindClash(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(cfg *config.Target) { cfg.Reload.Timeout = 10 * time.Second })
	main, err := os.ReadFile(r.Main)
	if err != nil {
		t.Fatal(err)
	}
	log := lbtest.Write(t, r.Dir, "error.log", "1990/01/01 00:00:00 [emerg] of long ago\n")
	logged := strings.Replace(string(main), "error_log stderr", "error_log "+log, 1)
	lbtest.Write(t, r.Dir, "nginx.conf", logged)
	one := server("web-1", lbtest.Web(t, "one").Listener.Addr().String())
	if _, err := r.apply(one); err != nil {
		t.Fatal(err)
	}
	r.serves(t, "one")
	live, err := os.ReadFile(r.Dest)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() }) // it was only in the way
	lbtest.Write(t, r.Dir, "nginx.conf", strings.Replace(logged, "location /", "listen "+taken.Addr().String()+";\n location /", 1))
	res, err := r.apply(one, server("web-2", "127.0.0.1:1"))
	if err == nil || !strings.Contains(err.Error(), "no new worker") || !res.RolledBack {
		t.Errorf("got %+v, %v", res, err)
	}
	if want := "bind() to " + taken.Addr().String() + " failed"; err != nil &&
		(!strings.Contains(err.Error(), "[emerg]") || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "of long ago")) {
		t.Errorf("the error is %v, want what nginx logged: %s", err, want)
	}
	if now, err := os.ReadFile(r.Dest); err != nil || string(now) != string(live) {
		t.Errorf("the file holds %q, %v", now, err)
	}
	if got, err := r.Get(); err != nil || got != "one" {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestInFlight holds that a request goes on although its server is removed.
func TestInFlight(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	begun, release := make(chan struct{}), make(chan struct{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	slow := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-release
		_, _ = io.WriteString(w, "slow") // the client may be gone
	})}
	go func() { _ = slow.Serve(l) }() // ends when it is closed
	t.Cleanup(func() { _ = slow.Close() })
	if _, err := r.apply(server("web-1", l.Addr().String())); err != nil {
		t.Fatal(err)
	}
	lbtest.Eventually(t, func() error { return oldWorkers(r, 0) })
	answer := make(chan string, 1)
	go func() {
		got, err := r.Get()
		answer <- fmt.Sprint(got, err)
	}()
	select {
	case <-begun:
	case got := <-answer:
		t.Fatalf("the request got %s at once", got)
	}
	fast := server("web-2", lbtest.Web(t, "fast").Listener.Addr().String())
	if _, err := r.apply(fast); err != nil {
		t.Fatal(err)
	}
	r.serves(t, "fast")
	lbtest.Eventually(t, func() error { return oldWorkers(r, 1) })
	close(release)
	if got := <-answer; got != "slow<nil>" {
		t.Errorf("the request in flight got %s", got)
	}
	lbtest.Eventually(t, func() error { return oldWorkers(r, 0) })
}

func oldWorkers(r *rig, want int) error {
	actual, err := r.adapter.Read(context.Background())
	if err == nil && actual.OldWorkers != want {
		err = fmt.Errorf("%d old workers, want %d", actual.OldWorkers, want)
	}
	return err
}

// TestStream holds that a stream's session goes on although its server is removed.
func TestStream(t *testing.T) {
	t.Parallel()
	lbtest.Program(t, "nginx")
	out, err := command.Run(context.Background(), time.Minute, []string{"nginx", "-V"})
	if err != nil {
		t.Fatal(err)
	}
	module := ""
	if m := regexp.MustCompile(`--modules-path=(\S+)`).FindStringSubmatch(out); strings.Contains(out, "--with-stream=dynamic") && m != nil {
		path := filepath.Join(m[1], "ngx_stream_module.so")
		if _, err := os.Stat(path); err != nil {
			t.Skip("nginx's stream module is not installed: package libnginx-mod-stream")
		}
		module = "load_module " + path + ";\n"
	}
	addr := lbtest.FreeAddr(t, "127.0.0.1")
	r := newRig(t, func(cfg *config.Target) {
		main, err := os.ReadFile(cfg.Nginx.Main)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Dir(cfg.Nginx.Main)
		text := module + strings.Replace(string(main), "include "+dir+"/web.conf;", "upstream web { server 127.0.0.1:1; }", 1) +
			"stream { include " + dir + "/web.conf; server { listen " + addr + "; proxy_pass web; } }\n"
		lbtest.Write(t, dir, "nginx.conf", text)
		cfg.Nginx.Section = config.SectionStream
	})
	if err := func() error { // the wrapper knows the module, too
		text := nginx.Render(r.cfg.Nginx.Upstreams, adapter.Pools{})
		return nginx.CheckAlone(context.Background(), time.Minute, config.SectionStream, lbtest.Write(t, t.TempDir(), "c", string(text)))
	}(); err != nil {
		t.Error(err)
	}
	if _, err := r.apply(server("a", echo(t, "a"))); err != nil {
		t.Fatal(err)
	}
	say := func(conn net.Conn, lines *bufio.Reader) (string, error) {
		if _, err := io.WriteString(conn, "hello\n"); err != nil {
			return "", err
		}
		return lines.ReadString('\n')
	}
	dial := func() (net.Conn, *bufio.Reader) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })                 // it was read
		_ = conn.SetDeadline(time.Now().Add(30 * time.Second)) // only against a test that hangs
		return conn, bufio.NewReader(conn)
	}
	conn, lines := dial()
	if got, err := say(conn, lines); err != nil || got != "a hello\n" {
		t.Fatalf("got %q, %v", got, err)
	}
	if _, err := r.apply(server("b", echo(t, "b"))); err != nil {
		t.Fatal(err)
	}
	lbtest.Eventually(t, func() error {
		if got, err := say(dial()); err != nil || got != "b hello\n" {
			return errors.Join(fmt.Errorf("a new session got %q", got), err)
		}
		return nil
	})
	if got, err := say(conn, lines); err != nil || got != "a hello\n" {
		t.Errorf("the session of before got %q, %v", got, err)
	}
}

// echo starts a server that answers each line with its name and the line.
func echo(t *testing.T, name string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // its sessions end with their clients
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }() // it was read
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					if _, err := io.WriteString(conn, name+" "+lines.Text()+"\n"); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// evaluate works out the servers of service web, of whom only those are taken that a file may have.
func evaluate(members ...api.Member) (servers []pool.Server) {
	for _, s := range desired.Evaluate(desired.Spec{Name: "web", Published: "web", AllowLoopback: true}, members).Service.Servers {
		state := pool.Active
		if s.Drain {
			state = pool.Draining
		}
		servers = append(servers, pool.Server{Name: s.Name, Addr: s.Addr, Port: s.Port, Weight: s.Weight, Backup: s.Backup, State: state})
	}
	return servers
}

// hostile are names, addresses and ports with which a member might try to get something else into the file.
var hostile = []struct {
	name       string
	addr       []byte
	key, value string
}{
	{"evil; server 127.0.0.1:1", []byte{10, 0, 0, 1}, "svc:web", "80"},
	{"evil\n}\nserver { listen 1; }", []byte{10, 0, 0, 1}, "svc:web", "80"},
	{"evil # comment", []byte{10, 0, 0, 1}, "svc:web", "80"},
	{"${evil}", []byte{10, 0, 0, 1}, "svc:web", "80"},
	{"web-2\x00", []byte{10, 0, 0, 1}, "svc:web", "80"},
	{"", []byte{10, 0, 0, 1}, "svc:web", "80"},
	{"web-2", []byte{10, 0, 0, 1}, "svc:web", "99999"},
	{"web-2", []byte{10, 0, 0, 1}, "svc:web", "0"},
	{"web-2", []byte{10, 0, 0, 1}, "svc:web", "80; }"},
	{"web-2", []byte{10, 0, 0, 1}, "svc:web", "80,w=1;"},
	{"web-2", []byte{10, 0, 0, 1}, "role", "web\n}"},
	{"web-2", []byte{0, 0, 0, 0}, "svc:web", "80"},
	{"web-2", []byte{224, 0, 0, 1}, "svc:web", "80"},
	{"web-2", []byte{1, 2, 3}, "svc:web", "80"},
}

// TestHostileMembers holds that such a member changes nothing, and that nginx is content with what is there.
func TestHostileMembers(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	host, port, err := net.SplitHostPort(lbtest.Web(t, "one").Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	good := api.Member{Name: "web-1", Addr: net.ParseIP(host), Status: "alive", Tags: map[string]string{"svc:web": port}}
	if _, err := r.apply(evaluate(good)...); err != nil {
		t.Fatal(err)
	}
	live, err := os.ReadFile(r.Dest)
	if err != nil || !strings.Contains(string(live), "; # web-1\n") {
		t.Fatalf("the live file is %q, %v", live, err)
	}
	twice := good // the address of another member
	twice.Name = "web-3"
	members := []api.Member{twice}
	for _, h := range hostile {
		members = append(members, api.Member{Name: h.name, Addr: h.addr, Status: "alive", Tags: map[string]string{h.key: h.value, "port": "80"}})
	}
	for _, m := range members {
		res, err := r.apply(evaluate(m, good)...)
		if err != nil || res.Wrote || res.Reloaded {
			t.Errorf("%+v: got %+v, %v", m, res, err)
		}
		if now, err := os.ReadFile(r.Dest); err != nil || string(now) != string(live) {
			t.Errorf("%+v: the live file is %q, %v", m, now, err)
		}
		if err := r.adapter.CheckInstalled(context.Background(), adapter.Cause{}); err != nil {
			t.Errorf("%+v: afterwards: %v", m, err)
		}
	}
	r.serves(t, "one")
}

// FuzzMembers holds that whatever members are called and whatever their tags say, nginx reads the file that comes of it.
func FuzzMembers(f *testing.F) {
	lbtest.Program(f, "nginx")
	f.Add("web-1", []byte{10, 0, 0, 1}, "svc:web", "8080,w=5")
	f.Add("a:b.c_d-", []byte{0xfd, 14: 0, 15: 1}, "role", "web")
	f.Add("zz", []byte{10, 0, 0, 2}, "svc:web", "65535,w=256,p=1")
	f.Add("drains", []byte{10, 0, 0, 2}, "svc:web", "80,drain")
	for _, h := range hostile {
		f.Add(h.name, h.addr, h.key, h.value)
	}
	methods := []string{"", "ip_hash", "least_conn", "hash $uri consistent"}
	var upstreams []config.Upstream
	for i, method := range methods {
		upstreams = append(upstreams, config.Upstream{Name: fmt.Sprint("web", i), Service: "web", Method: method, Keepalive: 4})
	}
	f.Fuzz(func(t *testing.T, name string, addr []byte, key, value string) {
		servers := evaluate(api.Member{Name: name, Addr: addr, Status: "alive", Tags: map[string]string{key: value, "port": "80"}},
			api.Member{Name: "good", Addr: []byte{10, 0, 0, 9}, Status: "alive", Tags: map[string]string{"svc:web": "80"}})
		text := nginx.Render(upstreams, adapter.Pools{Services: adapter.Services{"web": {Servers: servers}}})
		path := lbtest.Write(t, t.TempDir(), "c.conf", string(text))
		if err := nginx.CheckAlone(context.Background(), time.Minute, config.SectionHTTP, path); err != nil {
			t.Errorf("%v:\n%s", err, text)
		}
	})
}
