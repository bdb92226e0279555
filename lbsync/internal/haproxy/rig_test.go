package haproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/haproxy/cli"
	"github.com/seed-645ce708/gossip/lbsync/internal/lbtest"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
)

// rig is an adapter with a real HAProxy, and passes like those of the core without its guards and retries.
type rig struct {
	t       testing.TB
	b       *lbtest.Balancer
	a       *Adapter
	cfg     config.Target
	memory  *memory
	reloads int
	sent    []string // commands
	// loaded is the structure that the instance is known to have.
	loaded, instance string
}

func newRig(t testing.TB, b *lbtest.Balancer, change func(*config.Target)) *rig {
	t.Helper()
	r := &rig{t: t, b: b, memory: &memory{}, cfg: config.Target{
		Kind: config.KindHAProxy, Name: "edge", Services: []string{"web"},
		Files:  []config.File{{Dest: b.Dest, Timeout: 30 * time.Second}},
		Reload: config.Reload{Master: b.Socket, Timeout: 30 * time.Second},
		HAProxy: &config.HAProxy{
			Main: b.Main, Runtime: config.Runtime{Socket: b.Admin, Timeout: 30 * time.Second},
			Backends: []config.Backend{{
				Name: "web", Service: "web", Mode: "http", Balance: "roundrobin",
				Options: "check inter 50ms rise 2 fall 2", Servers: config.ServersNamed, Probation: true,
			}},
		},
	}}
	if change != nil {
		change(&r.cfg)
	}
	r.restart()
	return r
}

// restart makes the adapter anew, as after a restart of lbsync.
func (r *rig) restart() {
	r.t.Helper()
	a, err := New(r.cfg, r.memory)
	if err != nil {
		r.t.Fatal(err)
	}
	r.a = a
}

// pools makes the service web of the servers.
func pools(servers ...pool.Server) adapter.Pools {
	slices.SortFunc(servers, func(a, b pool.Server) int { return strings.Compare(a.Name, b.Name) })
	pool.AssignIDs(servers)
	return adapter.Pools{Services: adapter.Services{"web": {Name: "web", Servers: servers}}}
}

// pass makes one pass and returns what the last plan left over.
func (r *rig) pass(p adapter.Pools) (adapter.Plan, error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	rendered, err := r.a.Render(p)
	if err != nil {
		r.t.Fatal(err)
	}
	old, err := os.ReadFile(r.b.Dest)
	if err != nil {
		r.t.Fatal(err)
	}
	if string(old) != string(rendered.Files[0]) {
		lbtest.Write(r.t, r.b.Dir, "web.cfg", string(rendered.Files[0]))
		if err := r.a.CheckInstalled(ctx, adapter.Cause{}); err != nil {
			r.t.Fatal(err)
		}
	}
	var errs error
	for range 3 {
		actual, err := r.a.Read(ctx)
		if err != nil {
			return adapter.Plan{}, errors.Join(errs, err)
		}
		plan := r.a.Plan(p, actual)
		// An instance that is not known was started later, and has read the file.
		stale := r.instance == "" || (r.instance == actual.Instance && r.loaded != rendered.Structure)
		if plan.Empty() && !stale {
			r.loaded, r.instance = rendered.Structure, actual.Instance
			return plan, nil
		}
		errs = r.a.Apply(ctx, plan.Commands, func(c adapter.Command, err error) { r.sent = append(r.sent, c.Text) })
		if plan.Reload != "" || stale {
			r.reloads++
			if err := r.a.Reload(ctx, adapter.Cause{}); err != nil {
				return plan, err
			}
			if actual, err = r.a.Read(ctx); err == nil {
				r.loaded, r.instance = rendered.Structure, actual.Instance
			}
		}
	}
	return adapter.Plan{}, errors.Join(errs, errors.New("still not in step"))
}

// must makes a pass that succeeds.
func (r *rig) must(p adapter.Pools) adapter.Plan {
	r.t.Helper()
	plan, err := r.pass(p)
	if err != nil {
		r.t.Fatal(err)
	}
	return plan
}

// read returns what HAProxy has by now, by member.
func (r *rig) read() map[string]adapter.ActualServer {
	r.t.Helper()
	actual, err := r.a.Read(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	out := map[string]adapter.ActualServer{}
	for _, s := range actual.Servers {
		out[s.Name] = s
	}
	return out
}

// by sends a command as an operator would.
func (r *rig) by(hand cli.Command) {
	r.t.Helper()
	if err := cli.New(r.b.Admin, 30*time.Second).Change(context.Background(), hand); err != nil {
		r.t.Fatal(err)
	}
}

// eventually polls a condition.
func (r *rig) eventually(what string, ok func() bool) {
	r.t.Helper()
	lbtest.Eventually(r.t, func() error {
		if !ok() {
			return errors.New(what)
		}
		return nil
	})
}

// up waits until a member takes traffic.
func (r *rig) up(name string) {
	r.t.Helper()
	r.eventually(name+" is not up", func() bool { return r.read()[name].Health == adapter.Up })
}

// app is a web server that says its name and counts what it gets.
type app struct {
	name             string
	addr             string
	requests, checks atomic.Int64 // those of clients, and those at /health
	srv              *http.Server
}

// listen serves at the address.
func listen(t testing.TB, name, addr string) *app {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	a := &app{name: name, addr: l.Addr().String()}
	a.srv = &http.Server{
		ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/health" {
				a.checks.Add(1)
				return
			}
			a.requests.Add(1)
			if d, err := time.ParseDuration(r.Header.Get("X-Take")); err == nil {
				select {
				case <-time.After(d):
				case <-r.Context().Done():
				}
			}
			_, _ = io.WriteString(w, name) // the client may be gone
		}),
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = a.srv.Serve(l) }() // until it is closed
	t.Cleanup(func() { _ = a.srv.Close(); <-done })
	return a
}

func (a *app) server() pool.Server { return serverAt(a.name, a.addr) }

func serverAt(name, addr string) pool.Server {
	s := server(name, addr)
	s.State = pool.Active
	return s
}

func draining(s pool.Server) pool.Server {
	s.State = pool.Draining
	return s
}

// get asks through HAProxy, over a connection of its own.
func (r *rig) get() string {
	r.t.Helper()
	text, err := r.b.Get()
	if err != nil {
		return err.Error()
	}
	return text
}

// slow starts a request that takes as long as said, and returns a channel with what came of it.
func (r *rig) slow(take time.Duration) <-chan error {
	out := make(chan error, 1)
	go func() {
		req, err := http.NewRequest(http.MethodPost, "http://"+r.b.Addr+"/", strings.NewReader("x"))
		if err != nil {
			out <- err
			return
		}
		req.Header.Set("X-Take", take.String())
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Do(req)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close() // it was read
			if resp.StatusCode != http.StatusOK {
				err = errors.Join(err, fmt.Errorf("status %s", resp.Status))
			}
		}
		out <- err
	}()
	return out
}

// loopback returns a free port on another loopback address.
func loopback(t testing.TB, last byte) string {
	return lbtest.FreeAddr(t, netip.AddrFrom4([4]byte{127, 0, 0, last}).String())
}
