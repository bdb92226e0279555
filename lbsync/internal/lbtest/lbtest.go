// Package lbtest starts real load balancers, and small web servers behind them, for tests. Everything listens
// on loopback at ports the kernel chose, and ends with its test.
package lbtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/agenttest/loopback"
)

// Program returns the path of a program. If it is missing the test is skipped, or fails when CI=true.
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed; CI must have it (make deps)", name)
	}
	t.Skipf("%s is not installed; make deps gets it", name)
	return ""
}

// FreeAddr returns an address of host that nobody listens on.
func FreeAddr(t testing.TB, host string) string {
	t.Helper()
	addr, err := loopback.FreeAddr(host)
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// Process is a running program.
type Process struct {
	*os.Process
	mu   sync.Mutex
	out  bytes.Buffer
	done chan struct{}
}

// Start starts a program that ends with the test: by SIGTERM, or SIGKILL if that does not do within seconds.
func Start(t testing.TB, argv ...string) *Process {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	p := &Process{done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p, p
	cmd.WaitDelay = time.Second // a child that outlives it keeps the output open
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.Process = cmd.Process
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // how it ends is up to the test
	}()
	t.Cleanup(func() {
		// Again and again: a master that is just loading its configuration misses a signal.
		for range 10 {
			_ = p.Signal(syscall.SIGTERM) // it may have ended
			select {
			case <-p.done:
			case <-time.After(500 * time.Millisecond):
				continue
			}
			break
		}
		_ = p.Kill() // it may have ended
		<-p.done
		if t.Failed() {
			t.Logf("output of %s:\n%s", argv[0], p.Output())
		}
	})
	return p
}

// Write collects the program's output.
func (p *Process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

// Output returns what the program printed so far.
func (p *Process) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Eventually polls until the condition is nil, and fails the test with its last error after two minutes.
func Eventually(t testing.TB, condition func() error) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within two minutes: %v", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Write writes a file into the folder and returns its path.
func Write(t testing.TB, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// Balancer is a running load balancer with one web address.
type Balancer struct {
	*Process
	Addr    string // host:port of the web address
	Dir     string // its files
	Main    string // path of its main configuration
	Dest    string // path of the file for gossip-lbsync
	Socket  string // HAProxy's master socket
	Admin   string // HAProxy's Runtime API
	PIDFile string
}

// HAProxyLines are further lines of an HAProxy's configuration.
type HAProxyLines struct{ Global, Defaults, Frontend, Backend string }

// HAProxy starts an HAProxy whose frontend uses backend "web", to be found in Dest, which is empty at first. Its
// Runtime API is at Admin.
func HAProxy(t testing.TB) *Balancer {
	t.Helper()
	return HAProxyWith(t, func(*Balancer) HAProxyLines { return HAProxyLines{} })
}

// HAProxyWith does what HAProxy does, with further lines of configuration.
func HAProxyWith(t testing.TB, lines func(*Balancer) HAProxyLines) *Balancer {
	t.Helper()
	program := Program(t, "haproxy")
	b := newBalancer(t, "haproxy.cfg", "web.cfg")
	b.Socket = filepath.Join(b.Dir, "master.sock")
	b.Admin = filepath.Join(b.Dir, "admin.sock")
	more := lines(b)
	Write(t, b.Dir, "haproxy.cfg", fmt.Sprintf(`global
    hard-stop-after 10s
    stats socket %s mode 600 level admin
    %s
defaults
    mode http
    timeout connect 2s
    timeout client 10s
    timeout server 10s
    timeout queue 5s
    option idle-close-on-response
    %s
frontend www
    bind %s
    default_backend web
    %s
`, b.Admin, more.Global, more.Defaults, b.Addr, more.Frontend))
	Write(t, b.Dir, "web.cfg", "backend web\n    "+more.Backend+"\n")
	b.Process = Start(t, program, "-W", "-S", b.Socket, "-p", b.PIDFile, "-f", b.Main, "-f", b.Dest)
	b.up(t)
	return b
}

// Nginx starts an nginx that passes everything on to upstream "web", to be found in Dest, which has only a
// server that is down at first.
func Nginx(t testing.TB) *Balancer {
	t.Helper()
	program := Program(t, "nginx")
	b := newBalancer(t, "nginx.conf", "web.conf")
	Write(t, b.Dir, "nginx.conf", fmt.Sprintf(`daemon off;
worker_processes 1;
pid %[1]s/pid;
error_log stderr notice;
events {}
http {
    access_log off;
    client_body_temp_path %[1]s/body;
    proxy_temp_path %[1]s/proxy;
    fastcgi_temp_path %[1]s/fastcgi;
    uwsgi_temp_path %[1]s/uwsgi;
    scgi_temp_path %[1]s/scgi;
    include %[1]s/web.conf;
    server {
        listen %[2]s;
        location / { proxy_pass http://web; }
    }
}
`, b.Dir, b.Addr))
	Write(t, b.Dir, "web.conf", "upstream web { server 127.0.0.1:1 down; }\n")
	b.Process = Start(t, program, "-p", b.Dir, "-c", b.Main)
	b.up(t)
	return b
}

func newBalancer(t testing.TB, main, dest string) *Balancer {
	t.Helper()
	dir := t.TempDir()
	return &Balancer{Addr: FreeAddr(t, "127.0.0.1"), Dir: dir, Main: filepath.Join(dir, main),
		Dest: filepath.Join(dir, dest), PIDFile: filepath.Join(dir, "pid")}
}

func (b *Balancer) up(t testing.TB) {
	t.Helper()
	Eventually(t, func() error {
		select {
		case <-b.Done():
			t.Fatalf("it ended: %s", b.Output())
		default:
		}
		conn, err := net.Dial("tcp", b.Addr)
		if err != nil {
			return err
		}
		if data, err := os.ReadFile(b.PIDFile); err != nil || len(data) == 0 {
			return errors.Join(errors.New("no process id yet"), err)
		}
		if err := conn.Close(); err != nil || b.Socket == "" {
			return err
		}
		// A master that has not answered yet would miss a signal, too.
		conn, err = net.Dial("unix", b.Socket)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }() // it was read
		if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
			return err
		}
		if _, err := io.WriteString(conn, "show proc;quit\n"); err != nil {
			return err
		}
		if reply, err := io.ReadAll(conn); err != nil || len(reply) == 0 {
			return errors.Join(errors.New("the master is silent"), err)
		}
		return nil
	})
}

// Get asks the web address for a page over a connection of its own and returns its text.
func (b *Balancer) Get() (string, error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	return get(&client, b.Addr)
}

func get(client *http.Client, addr string) (string, error) {
	resp, err := client.Get("http://" + addr + "/")
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s", resp.Status)
	}
	return strings.TrimSpace(string(body)), err
}

// Web starts a web server at 127.0.0.1 that answers every request with its name. It ends with the test.
func Web(t testing.TB, name string) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, name) // the client may be gone
	}))
	t.Cleanup(srv.Close)
	return srv
}

// Load sends requests to the address from several clients until stopped: half of them keep their connections,
// half make a new one for each request.
type Load struct {
	OK, Failed atomic.Int64
	mu         sync.Mutex
	first      error
	stop       context.CancelFunc
	wg         sync.WaitGroup
}

// StartLoad starts the clients. They make one attempt for each request: Go's own retry of idempotent requests
// on a connection that was closed meanwhile is kept away by sending POST.
func StartLoad(t testing.TB, addr string) *Load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &Load{stop: cancel}
	for i := range 6 {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: i%2 == 0}, Timeout: 10 * time.Second}
		l.wg.Go(func() {
			defer client.CloseIdleConnections()
			for ctx.Err() == nil {
				resp, err := client.Post("http://"+addr+"/", "text/plain", strings.NewReader("x"))
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close() // it was read
					if err == nil && resp.StatusCode != http.StatusOK {
						err = fmt.Errorf("status %s", resp.Status)
					}
				}
				if err == nil {
					l.OK.Add(1)
				} else {
					l.Failed.Add(1)
					l.mu.Lock()
					if l.first == nil {
						l.first = err
					}
					l.mu.Unlock()
				}
				select {
				case <-time.After(4 * time.Millisecond):
				case <-ctx.Done():
				}
			}
		})
	}
	t.Cleanup(func() { _ = l.Stop() }) // the test looked at the error if it cared
	return l
}

// Stop ends the clients, waits for them and returns the first error that any of them met.
func (l *Load) Stop() error {
	l.stop()
	l.wg.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first
}
