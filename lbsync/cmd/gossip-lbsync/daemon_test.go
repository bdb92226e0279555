package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/seed-645ce708/gossip/lbsync/internal/lbtest"
)

// output collects what a command writes while it runs.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// TestDaemon runs the program for a template target: orders, status, metrics, health, notification and signals.
func TestDaemon(t *testing.T) {
	dir := t.TempDir()
	cluster := startSerf(t, "lb", "a role=web port=80", "b role=web port=81")
	monitor := lbtest.FreeAddr(t, "127.0.0.1")
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "n"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = notify.Close() }() // the folder goes anyway
	t.Setenv("NOTIFY_SOCKET", filepath.Join(dir, "n"))
	lbtest.Write(t, dir, "t", "{{range ready .Services.web}}{{.Name}}={{$.Vars.sign}}\n{{end}}")
	text := fmt.Sprintf(`
state_dir = "state"
http      = %q
source "gossip" {
  address = %q
  settle  = "100ms"
  resync  = "1s"
}
service "web" {
  endpoint { allow_loopback = true }
  guard { failed_grace = "1h" }
}
target "template" "list" {
  services = ["web"]
  vars     = { sign = "one" }
  file {
    template = "t"
    dest     = "list"
  }
}
`, monitor, cluster.rpc)
	path := lbtest.Write(t, dir, "lbsync.hcl", text)
	ctx, stop := context.WithCancel(context.Background())
	var log output
	done := make(chan int)
	go func() { done <- execute(ctx, []string{"run", "-config", path}, &log, &log) }()
	t.Cleanup(func() {
		stop()
		if code := <-done; code != exitOK {
			t.Errorf("exit code %d", code)
		}
		if t.Failed() {
			t.Log(log.String())
		}
	})
	content := func(want string) {
		t.Helper()
		lbtest.Eventually(t, func() error {
			data, err := os.ReadFile(filepath.Join(dir, "list"))
			if err != nil || string(data) != want {
				return errors.Join(fmt.Errorf("the file holds %q, want %q", data, want), err)
			}
			return nil
		})
	}
	content("a=one\nb=one\n")
	buf := make([]byte, 100)
	if n, err := notify.Read(buf); err != nil || string(buf[:n]) != "READY=1" {
		t.Errorf("notified %q, %v", buf[:n], err)
	}
	ask := func(args ...string) result {
		return command(ctx, append(args, "-config", path)...)
	}
	get := func(path string) (int, string) {
		resp, err := http.Get("http://" + monitor + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }() // it was read
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	for _, p := range []string{"/healthz", "/readyz"} {
		if code, body := get(p); code != 200 || body != "ok\n" {
			t.Errorf("%s: %d %s", p, code, body)
		}
	}
	lbtest.Eventually(t, func() error {
		_, body := get("/metrics")
		for _, want := range []string{"lbsync_source_up 1\n", `lbsync_members{status="alive"} 3`, `lbsync_servers{service="web",state="active"} 2`,
			`lbsync_in_sync{target="template/list"} 1`, "lbsync_event_to_applied_seconds_bucket"} {
			if !strings.Contains(body, want) {
				return fmt.Errorf("%s is not in\n%s", want, body)
			}
		}
		return nil
	})

	if r := ask("drain", "web", "a"); r.code != 0 || !strings.HasPrefix(r.stdout, "drain web a until ") {
		t.Errorf("got %+v", r)
	}
	content("b=one\n")
	if r := ask("why", "web", "a"); r.code != 0 || !strings.HasPrefix(r.stdout, "a gets no traffic of service web: an operator drains it; ") {
		t.Errorf("got %+v", r)
	}
	if r := ask("status"); r.code != 0 || !strings.Contains(r.stdout, "connected, 3 alive") || !strings.Contains(r.stdout, "target template/list  in step") ||
		!strings.Contains(r.stdout, "override drain web a until ") {
		t.Errorf("got %+v", r)
	}
	var state struct {
		Running  bool `json:"running"`
		Services []struct {
			Servers []struct{ Name, State string }
		}
	}
	if r := ask("status", "-format=json"); json.Unmarshal([]byte(r.stdout), &state) != nil || !state.Running || state.Services[0].Servers[0].State != "draining" {
		t.Errorf("got %+v", r)
	}
	if r := ask("status", "-format=json"); strings.Contains(r.stdout, "null") {
		t.Errorf("got %+v", r)
	}
	if r := ask("resume", "web", "a"); r.code != 0 || r.stdout != "1 overrides ended\n" {
		t.Errorf("got %+v", r)
	}
	content("a=one\nb=one\n")
	for _, tt := range []struct {
		args, err string
		code      int
	}{
		{"why nope a", `there is no service "nope"`, 1},
		{"hold nope", `there is no service "nope"`, 1},
		{"hold nginx/nope", `there is no target "nginx/nope"`, 1},
		{"drain nope a", `there is no service "nope"`, 1},
		{"drain web c", `there is no server "c" in service "web", but a b; to drain one that is still to come, add -ahead`, 1},
		{"drain web c -ahead", "", 0},
		{"resume web c", "", 0},
		{"resume nope", `there is no service "nope"`, 1},
		{"resume nginx/nope", `there is no target "nginx/nope"`, 1},
		{"ack web", `nothing of service "web" is held`, 1},
		{"ack web -set 0123", `nothing of service "web" is held`, 1},
		{"once", "in use by another gossip-lbsync", 4},
	} {
		if r := ask(strings.Fields(tt.args)...); r.code != tt.code || !strings.Contains(r.stderr, tt.err) {
			t.Errorf("%s: got %+v", tt.args, r)
		}
	}
	if r := ask("why", "web", "lb"); r.code != 0 || !strings.Contains(r.stdout, "its tags do not publish service web") {
		t.Errorf("got %+v", r)
	}

	// HUP: a bad configuration changes nothing, a good one does; a target on hold is left alone.
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	hup := func() {
		if err := self.Signal(syscall.SIGHUP); err != nil {
			t.Skip("no signals here:", err)
		}
	}
	lbtest.Write(t, dir, "lbsync.hcl", strings.Replace(text, "resync", "resinc", 1))
	hup()
	lbtest.Eventually(t, func() error {
		if !strings.Contains(log.String(), "the new configuration cannot be used") {
			return errors.New("not refused")
		}
		return nil
	})
	lbtest.Write(t, dir, "lbsync.hcl", strings.Replace(text, `"one"`, `"two"`, 1))
	if r := ask("hold", "template/list", "-for", "1h"); r.code != 0 {
		t.Errorf("got %+v", r)
	}
	hup()
	lbtest.Eventually(t, func() error {
		if r := ask("status"); !strings.Contains(log.String(), "was read anew") || !strings.Contains(r.stdout, "target template/list  on hold") {
			return errors.New(r.stdout)
		}
		return nil
	})
	content("a=one\nb=one\n")
	if r := ask("resume", "template/list"); r.code != 0 {
		t.Errorf("got %+v", r)
	}
	content("a=two\nb=two\n")

	// What the configuration has no more is neither counted nor owned any longer.
	lbtest.Write(t, dir, "lbsync.hcl", strings.Replace(strings.Replace(text, `"template" "list"`, `"template" "other"`, 1), `"list"`, `"other"`, 1))
	hup()
	lbtest.Eventually(t, func() error {
		_, body := get("/metrics")
		if !strings.Contains(body, `lbsync_in_sync{target="template/other"} 1`) || strings.Contains(body, `target="template/list"`) {
			return errors.New(body)
		}
		return nil
	})
	lbtest.Write(t, dir, "second.hcl", strings.NewReplacer(`"state"`, `"state2"`, "http ", "# ", `"list"
  }`, `"list"
    adopt    = true
  }`).Replace(text))
	if r := command(ctx, "once", "-no-reload", "-config", filepath.Join(dir, "second.hcl")); r.code != exitOK {
		t.Errorf("the file that was given back: %+v", r)
	}

	// Who removed the socket is told so, whatever is asked.
	if err := os.Remove(filepath.Join(dir, "state", "control.sock")); err != nil {
		t.Fatal(err)
	}
	want := "gossip-lbsync: state folder " + filepath.Join(dir, "state") + ": in use by another gossip-lbsync, which does not answer: " +
		"either it makes the one pass of once, or its control.sock was removed; restart it then\n"
	for _, args := range []string{"status", "why web a", "hold web", "drain web a", "resume web", "ack web -set 0123", "ack web"} {
		if r := ask(strings.Fields(args)...); r.code != exitLocked || strings.Replace(r.stderr, "ack needs -set, and what is held cannot be seen: ", "", 1) != want {
			t.Errorf("%s: got %+v, want %s", args, r, want)
		}
	}
}

// TestOffline: orders that nobody runs to take are kept for whoever runs next.
func TestOffline(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := lbtest.Write(t, dir, "lbsync.hcl", `
state_dir = "state"
source "gossip" {}
service "web" {
  endpoint { port = 80 }
}
target "template" "list" {
  services = ["web"]
  file {
    template = "t"
    dest     = "list"
  }
}
`)
	lbtest.Write(t, dir, "t", "{{range ready .Services.web}}{{.Name}}\n{{end}}")
	members := lbtest.Write(t, dir, "members.json", `{"members": [
  {"name": "a", "addr": "10.0.0.1:7946", "status": "alive", "tags": {"role": "web"}},
  {"name": "b", "addr": "10.0.0.2:7946", "status": "alive", "tags": {"role": "web"}},
  {"name": "c", "addr": "10.0.0.3:7946", "status": "failed", "tags": {"role": "web"}}]}`)
	ask := func(args string) result {
		return command(context.Background(), append(strings.Fields(args), "-config", path)...)
	}
	if r := ask("render template/list -from " + members); r.code != 0 || r.stdout != "a\nb\n" {
		t.Errorf("got %+v", r)
	}
	if r := ask("diff -from " + members); r.code != exitChanges || !strings.Contains(r.stdout, "+b") {
		t.Errorf("got %+v", r)
	}
	if r := ask("hold web -for 2h"); r.code != 0 {
		t.Errorf("got %+v", r)
	}
	if r := ask("status"); r.code != 0 || !strings.Contains(r.stdout, "no gossip-lbsync runs") || !strings.Contains(r.stdout, "override hold web until") {
		t.Errorf("got %+v", r)
	}
	if r := ask("resume web"); r.stdout != "1 overrides ended\n" {
		t.Errorf("got %+v", r)
	}
	if r := ask("resume web"); r.code != 0 || r.stdout != "0 overrides ended; none was in force for web\n" {
		t.Errorf("got %+v", r)
	}
	if r := ask("drain web a"); r.code != 1 || !strings.Contains(r.stderr, `there is no server "a" in service "web", nor any other; `) {
		t.Errorf("got %+v", r)
	}
	if r := ask("render nginx/none -from " + members); r.code != 1 || !strings.Contains(r.stderr, `there is no target "nginx/none"`) {
		t.Errorf("got %+v", r)
	}
	bad := lbtest.Write(t, dir, "bad.json", `{"members": [{"name": "a", "addr": "x"}]}`)
	if r := ask("diff -from " + bad); r.code != 1 || !strings.Contains(r.stderr, `the address of "a" is "x"`) {
		t.Errorf("got %+v", r)
	}
}
