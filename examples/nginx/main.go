// Command nginx shows an nginx that follows the members with few reloads and without a failed request: four join at once,
// one leaves, one dies, and a mistake in nginx's own configuration changes nothing that works. Run it with
// `go run ./examples/nginx` after `make build`.
package main

import (
	"context"
	"embed"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/seed-645ce708/gossip/agent/agenttest/loopback"
	"github.com/seed-645ce708/gossip/examples/internal/harness"
)

//go:embed nginx.conf lbsync.hcl
var files embed.FS

func main() {
	harness.Main("nginx", []string{"nginx"}, func(ctx context.Context, shared *harness.Example) error {
		e := &example{Example: shared, webs: map[string]*harness.Service{}}
		return harness.Steps(ctx, e.start, e.join, e.leave, e.die, e.mistake, e.total)
	})
}

// example is the state that the steps share.
type example struct {
	*harness.Example
	addr string // of nginx
	webs map[string]*harness.Service
	load *harness.Load
}

// start starts a member with a web server, nginx, gossip-lbsync, and clients.
func (e *example) start(ctx context.Context) error {
	nginx, err := harness.LookPath("nginx")
	if err != nil {
		return err
	}
	if e.addr, err = loopback.FreeAddr(harness.Loopback(1)); err != nil {
		return err
	}
	if err := e.Unpack(files, map[string]string{"127.0.0.1:8080": e.addr, "127.0.0.1:7373": e.LB.RPC}); err != nil {
		return err
	}
	if err := e.member(ctx, "web-1"); err != nil {
		return err
	}
	if err := e.LB.Sees(ctx, "web-1", "alive"); err != nil {
		return err
	}
	// nginx does not start before both of its files are there: the second is written once without nginx.
	if err := e.WriteFirst(ctx, "lbsync.hcl"); err != nil {
		return err
	}
	if _, err := e.Start("nginx", nginx, "-p", e.Dir, "-c", "nginx.conf"); err != nil {
		return err
	}
	if err := harness.Eventually(ctx, func() error { _, err := harness.Get(ctx, e.addr); return err }); err != nil {
		return err
	}
	if err := e.Follow(ctx, "lbsync.hcl"); err != nil {
		return err
	}
	e.load = harness.StartLoad(e.addr, 4, 10*time.Millisecond)
	e.Say("One member, and clients that never stop asking.")
	return e.answers(ctx, "web-1")
}

// member starts a web server and an agent that announces it.
func (e *example) member(ctx context.Context, name string) error {
	web, err := harness.NewService(name, nil)
	if err != nil {
		return err
	}
	if err := web.Open(); err != nil {
		return err
	}
	e.webs[name] = web
	return e.Join(ctx, name, web.Tag("web"))
}

// join brings four members at once.
func (e *example) join(ctx context.Context) error {
	e.Say("\nFour join.")
	before, err := e.reloads()
	if err != nil {
		return err
	}
	for _, name := range []string{"web-2", "web-3", "web-4", "web-5"} {
		if err := e.member(ctx, name); err != nil {
			return err
		}
	}
	if err := e.answers(ctx, "web-1", "web-2", "web-3", "web-4", "web-5"); err != nil {
		return err
	}
	after, err := e.reloads()
	e.Say("Reloads: %d.", after-before)
	if err == nil && after-before > 2 {
		err = fmt.Errorf("%d reloads for four members that joined at once", after-before)
	}
	return err
}

// leave has a member leave, and stops its web server when nginx has let go of it.
func (e *example) leave(ctx context.Context) error {
	e.Say("\n$ gossip leave    # on web-5")
	if _, err := e.Agents["web-5"].Must(ctx, "leave"); err != nil {
		return err
	}
	if err := e.answers(ctx, "web-1", "web-2", "web-3", "web-4"); err != nil {
		return err
	}
	return e.webs["web-5"].Stop(ctx)
}

// die ends a member and its web server without a word.
func (e *example) die(ctx context.Context) error {
	e.Say("\nweb-4 dies.")
	e.webs["web-4"].Kill()
	e.Agents["web-4"].Kill()
	if err := e.answers(ctx, "web-1", "web-2", "web-3"); err != nil {
		return err
	}
	if err := e.LB.Sees(ctx, "web-4", "failed"); err != nil {
		return err
	}
	return e.listed(ctx, false, e.webs["web-4"].Addr)
}

// mistake breaks nginx's own half while a member joins, and mends it.
func (e *example) mistake(ctx context.Context) error {
	e.Say("\nSomebody breaks nginx.conf, and web-6 joins.")
	good, err := os.ReadFile(e.Path("nginx.conf"))
	if err != nil {
		return err
	}
	if _, err := e.Write("nginx.conf", string(good)+"nonsense;\n"); err != nil {
		return err
	}
	if err := e.member(ctx, "web-6"); err != nil {
		return err
	}
	if err := harness.Eventually(ctx, func() error {
		r, err := e.Run(ctx, nil, "gossip-lbsync", "status", "-config", "lbsync.hcl")
		if err == nil && !strings.Contains(r.Stdout, "nonsense") {
			err = fmt.Errorf("gossip-lbsync does not say what is wrong: %s", r.Stdout)
		}
		return err
	}); err != nil {
		return err
	}
	e.Say("gossip-lbsync tells what is wrong, and changes nothing.")
	if err := e.answers(ctx, "web-1", "web-2", "web-3"); err != nil {
		return err
	}
	e.Say("It is mended.")
	if _, err := e.Write("nginx.conf", string(good)); err != nil {
		return err
	}
	return e.answers(ctx, "web-1", "web-2", "web-3", "web-6")
}

// total stops the clients and tells what they saw.
func (e *example) total(context.Context) error {
	failures := e.load.Stop()
	reloads, err := e.reloads()
	if err != nil {
		return err
	}
	e.Say("\n%d requests, %d failed, %d reloads.", e.load.Total(), len(failures), reloads)
	if len(failures) > 0 {
		return fmt.Errorf("requests failed: %v", failures)
	}
	return nil
}

// reloads counts in nginx's log.
func (e *example) reloads() (int, error) {
	return harness.NginxReloads(e.Path("nginx-error.log"))
}

// listed waits until an address is, or is not, in nginx's upstream.
func (e *example) listed(ctx context.Context, want bool, addr string) error {
	return harness.Eventually(ctx, func() error {
		text, err := os.ReadFile(e.Path("upstream.conf"))
		if err == nil && strings.Contains(string(text), addr) != want {
			err = fmt.Errorf("%s is among the servers: %t, not yet %t", addr, !want, want)
		}
		return err
	})
}

// answers waits until the clients get answers from these, and from no one else.
func (e *example) answers(ctx context.Context, names ...string) error {
	return e.Answered(ctx, e.load, names...)
}
