// Command haproxy shows an HAProxy that follows the members without a reload and without a failed request: one joins
// before it can serve, one drains and comes back, one leaves in the middle of its work, one dies. Run it with
// `go run ./examples/haproxy` after `make build`.
package main

import (
	"context"
	"embed"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-645ce708/gossip/agent/agenttest/loopback"
	"github.com/seed-645ce708/gossip/examples/internal/harness"
)

//go:embed haproxy.cfg lbsync.hcl
var files embed.FS

func main() {
	harness.Main("haproxy", []string{"haproxy"}, func(ctx context.Context, shared *harness.Example) error {
		e := &example{Example: shared, webs: map[string]*harness.Service{}}
		return harness.Steps(ctx, e.start, e.join, e.drain, e.leave, e.die, e.total)
	})
}

// example is the state that the steps share.
type example struct {
	*harness.Example
	addr string // of HAProxy
	webs map[string]*harness.Service
	load *harness.Load
}

// start starts two members with a web server each, HAProxy, gossip-lbsync, and clients.
func (e *example) start(ctx context.Context) error {
	haproxy, err := harness.LookPath("haproxy")
	if err != nil {
		return err
	}
	if e.addr, err = loopback.FreeAddr(harness.Loopback(1)); err != nil {
		return err
	}
	if err := e.Unpack(files, map[string]string{"127.0.0.1:8080": e.addr, "127.0.0.1:7373": e.LB.RPC, "/run/haproxy": e.Dir}); err != nil {
		return err
	}
	for _, name := range []string{"web-1", "web-2"} {
		if err := e.member(ctx, name); err != nil {
			return err
		}
		if err := e.webs[name].Open(); err != nil {
			return err
		}
		if err := e.LB.Sees(ctx, name, "alive"); err != nil {
			return err
		}
	}
	// HAProxy does not start before both of its files are there: the second is written once without HAProxy.
	if err := e.WriteFirst(ctx, "lbsync.hcl"); err != nil {
		return err
	}
	if _, err := e.Start("haproxy", haproxy, "-W", "-S", e.Path("master.sock"), "-f", "haproxy.cfg", "-f", "backend.cfg"); err != nil {
		return err
	}
	if err := e.servers(ctx, "web-1 UP, web-2 UP"); err != nil {
		return err
	}
	if err := e.Follow(ctx, "lbsync.hcl"); err != nil {
		return err
	}
	e.load = harness.StartLoad(e.addr, 4, 10*time.Millisecond)
	e.Say("Two members, and clients that never stop asking.")
	return e.answers(ctx, "web-1", "web-2")
}

// member starts an agent that announces a web server, which does not listen yet.
func (e *example) member(ctx context.Context, name string) error {
	pages := http.NewServeMux()
	pages.Handle("/", harness.Web(name))
	pages.HandleFunc("/slow", func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(2 * time.Second) // the work that this page is
		fmt.Fprintln(w, name)
	})
	web, err := harness.NewService(name, pages)
	if err != nil {
		return err
	}
	e.webs[name] = web
	return e.Join(ctx, name, web.Tag("web"))
}

// join brings a member whose web server needs a second longer than its agent.
func (e *example) join(ctx context.Context) error {
	e.Say("\nweb-3 joins, and its web server is not ready.")
	if err := e.member(ctx, "web-3"); err != nil {
		return err
	}
	if err := e.servers(ctx, "web-1 UP, web-2 UP, web-3 DOWN"); err != nil {
		return err
	}
	if err := e.answers(ctx, "web-1", "web-2"); err != nil {
		return err
	}
	e.Say("Now it is.")
	if err := e.webs["web-3"].Open(); err != nil {
		return err
	}
	return e.answers(ctx, "web-1", "web-2", "web-3")
}

// drain takes a member out by its tag, and in again.
func (e *example) drain(ctx context.Context) error {
	tag := fmt.Sprintf("svc:web=%d", harness.Port(e.webs["web-2"].Addr))
	e.Say("\n$ gossip tags -set %s,drain    # on web-2", tag)
	if _, err := e.Agents["web-2"].Must(ctx, "tags", "-set", tag+",drain"); err != nil {
		return err
	}
	if err := e.answers(ctx, "web-1", "web-3"); err != nil {
		return err
	}
	e.Say("$ gossip tags -set %s", tag)
	if _, err := e.Agents["web-2"].Must(ctx, "tags", "-set", tag); err != nil {
		return err
	}
	return e.answers(ctx, "web-1", "web-2", "web-3")
}

// leave has a member leave while requests that take two seconds are under way, and stops its web server when HAProxy has let
// go of it.
func (e *example) leave(ctx context.Context) error {
	const requests = 9
	var wg sync.WaitGroup
	bodies, errs := make([]string, requests), make([]error, requests)
	for i := range requests {
		wg.Go(func() { bodies[i], errs[i] = harness.GetPath(ctx, e.addr, "/slow") })
	}
	e.Say("\n$ gossip leave    # on web-1, with %d requests under way that take 2s", requests)
	if _, err := e.Agents["web-1"].Must(ctx, "leave"); err != nil {
		return err
	}
	if err := e.servers(ctx, "web-2 UP, web-3 UP"); err != nil {
		return err
	}
	if err := e.webs["web-1"].Stop(ctx); err != nil {
		return err
	}
	wg.Wait()
	finished := 0
	for i := range requests {
		if errs[i] != nil {
			return fmt.Errorf("a request that was under way: %w", errs[i])
		}
		if bodies[i] == "web-1" {
			finished++
		}
	}
	e.Say("All were answered, %d of them by web-1.", finished)
	return e.answers(ctx, "web-2", "web-3")
}

// die ends a member and its web server without a word.
func (e *example) die(ctx context.Context) error {
	e.Say("\nweb-3 dies.")
	e.webs["web-3"].Kill()
	e.Agents["web-3"].Kill()
	if err := e.servers(ctx, "web-2 UP, web-3 DOWN"); err != nil { // by HAProxy's own check
		return err
	}
	if err := e.answers(ctx, "web-2"); err != nil {
		return err
	}
	if err := e.LB.Sees(ctx, "web-3", "failed"); err != nil {
		return err
	}
	e.Say("gossip has found it failed.")
	return e.servers(ctx, "web-2 UP")
}

// total stops the clients and tells what they saw.
func (e *example) total(context.Context) error {
	failures := e.load.Stop()
	reloads, err := harness.HAProxyReloads(e.Path("master.sock"))
	if err != nil {
		return err
	}
	e.Say("\n%d requests, %d failed, %d reloads.", e.load.Total(), len(failures), reloads)
	if len(failures) > 0 || reloads > 0 {
		return fmt.Errorf("want none failed and no reload; the failures: %v", failures)
	}
	return nil
}

// servers waits until these are HAProxy's servers.
func (e *example) servers(ctx context.Context, want string) error {
	err := harness.Eventually(ctx, func() error {
		servers, err := harness.HAProxyServers(e.Path("admin.sock"), "web")
		if err != nil {
			return err
		}
		var list []string
		for _, name := range slices.Sorted(maps.Keys(servers)) {
			list = append(list, name+" "+servers[name])
		}
		if got := strings.Join(list, ", "); got != want {
			return fmt.Errorf("HAProxy has %s, not yet %s", got, want)
		}
		return nil
	})
	if err == nil {
		e.Say("HAProxy has %s.", want)
	}
	return err
}

// answers waits until the clients get answers from these, and from no one else.
func (e *example) answers(ctx context.Context, names ...string) error {
	return e.Answered(ctx, e.load, names...)
}
