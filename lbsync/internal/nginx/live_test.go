package nginx_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/command"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
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
	return r.Apply(context.Background(), adapter.Pools{"web": {Name: "web", Servers: servers}},
		func(context.Context, string) (func(error), error) { return func(error) {}, nil })
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
			res, err := target.New(cfg, a, store).Apply(context.Background(), adapter.Pools{"web": {Servers: []pool.Server{one}}},
				func(context.Context, string) (func(error), error) {
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
			if err := r.adapter.CheckInstalled(context.Background()); err != nil {
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

// TestBindClash makes nginx refuse a reload after it took the signal.
func TestBindClash(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(cfg *config.Target) { cfg.Reload.Timeout = 5 * time.Second })
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
	main, err := os.ReadFile(r.Main)
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(r.Dir, "error.log")
	clash := strings.Replace(string(main), "error_log stderr", "error_log "+log, 1)
	clash = strings.Replace(clash, "location /", "listen "+taken.Addr().String()+";\n location /", 1)
	lbtest.Write(t, r.Dir, "nginx.conf", clash)
	lbtest.Write(t, r.Dir, "error.log", "[emerg] of long ago\n")
	res, err := r.apply(one, server("web-2", "127.0.0.1:1"))
	if err == nil || !strings.Contains(err.Error(), "no new worker") || !res.RolledBack {
		t.Errorf("got %+v, %v", res, err)
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
		text := nginx.Render(r.cfg.Nginx.Upstreams, nil)
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

// FuzzRender holds that whatever members are called, nginx reads what is written.
func FuzzRender(f *testing.F) {
	if _, err := os.Stat("/usr/sbin/nginx"); err != nil {
		f.Skip("nginx is not installed")
	}
	f.Add("web-1", uint16(80), uint16(100), false, false)
	f.Add("a:b.c_d-", uint16(65535), uint16(256), true, true)
	f.Add("zz", uint16(1), uint16(1), true, false)
	member := regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.:-]{0,62}$`)
	f.Fuzz(func(t *testing.T, name string, port, weight uint16, backup, drain bool) {
		if !member.MatchString(name) || port == 0 || weight == 0 || weight > pool.MaxWeight {
			return // screened before
		}
		s := pool.Server{Name: name, Addr: netip.MustParseAddr("fd00::1"), Port: port, Weight: weight, Backup: backup, State: pool.Active}
		if drain {
			s.State = pool.Draining
		}
		for _, method := range []string{"", "ip_hash", "least_conn", "hash $uri consistent"} {
			text := nginx.Render([]config.Upstream{{Name: "web", Service: "web", Method: method, Keepalive: 4}},
				adapter.Pools{"web": {Servers: []pool.Server{s, server("zzz", "10.0.0.1:1")}}})
			path := lbtest.Write(t, t.TempDir(), "c.conf", string(text))
			if err := nginx.CheckAlone(context.Background(), time.Minute, config.SectionHTTP, path); err != nil {
				t.Errorf("%v:\n%s", err, text)
			}
		}
	})
}
