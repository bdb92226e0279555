// Command nginx shows an nginx that follows the members with few reloads and without a failed request: four join at once,
// one leaves, one dies, and a mistake in nginx's own configuration changes nothing that works. Run it with
// `go run ./examples/nginx` after `make build`.
package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/seed-645ce708/gossip/examples/internal/harness"
)

//go:embed nginx.conf lbsync.hcl
var files embed.FS

const limit = 4 * time.Minute // ends an example that hangs

func main() {
	bin := flag.String("bin", "bin", "the folder with the programs that `make build` made")
	flag.Parse()
	interrupted, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(interrupted, limit)
	defer cancel()
	if err := run(ctx, os.Stdout, *bin); err != nil {
		fmt.Fprintf(os.Stderr, "nginx: %v\n", err)
		os.Exit(1)
	}
}

// example is the state that the steps share.
type example struct {
	*harness.Stage
	out    io.Writer
	addr   string // of nginx
	lb     *harness.Agent
	agents map[string]*harness.Agent
	webs   map[string]*harness.Service
	load   *harness.Load
}

func run(ctx context.Context, out io.Writer, bin string) error {
	stage, err := harness.New(bin)
	if err != nil {
		return err
	}
	defer stage.Close()
	e := &example{Stage: stage, out: out, agents: map[string]*harness.Agent{}, webs: map[string]*harness.Service{}}
	for _, step := range []func(context.Context) error{e.start, e.join, e.leave, e.die, e.mistake, e.total} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (e *example) say(format string, args ...any) { fmt.Fprintf(e.out, format+"\n", args...) }

// start starts an agent beside nginx, a member with a web server, nginx, gossip-lbsync, and clients.
func (e *example) start(ctx context.Context) error {
	nginx, err := harness.LookPath("nginx")
	if err != nil {
		return errors.New("nginx is not on the PATH")
	}
	if e.lb, err = e.StartAgent(ctx, harness.AgentConfig{Name: "lb"}); err != nil {
		return err
	}
	if e.addr, err = harness.FreeAddr(harness.Loopback(1)); err != nil {
		return err
	}
	if err := e.Unpack(files, map[string]string{"127.0.0.1:8080": e.addr, "127.0.0.1:7373": e.lb.RPC}); err != nil {
		return err
	}
	if err := e.member(ctx, "web-1"); err != nil {
		return err
	}
	if err := e.lb.Sees(ctx, "web-1", "alive"); err != nil {
		return err
	}
	// nginx does not start before both of its files are there: the second is written once without nginx.
	r, err := e.Run(ctx, nil, "gossip-lbsync", "once", "-no-reload", "-config", "lbsync.hcl")
	if err != nil {
		return err
	}
	if r.Code != 0 {
		return fmt.Errorf("gossip-lbsync once: exit code %d: %s", r.Code, r.Stderr)
	}
	if _, err := e.Start("nginx", nginx, "-p", e.Dir, "-c", "nginx.conf"); err != nil {
		return err
	}
	if err := harness.Eventually(ctx, func() error { _, err := harness.Get(ctx, e.addr); return err }); err != nil {
		return err
	}
	if _, err := e.Start("gossip-lbsync", "gossip-lbsync", "run", "-config", "lbsync.hcl"); err != nil {
		return err
	}
	if err := e.InStep(ctx, "lbsync.hcl"); err != nil {
		return err
	}
	e.load = harness.StartLoad(e.addr, 4, 10*time.Millisecond)
	e.say("One member, and clients that never stop asking.")
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
	e.agents[name], err = e.StartAgent(ctx, harness.AgentConfig{Name: name, Args: []string{web.Tag("web"), "-join=" + e.lb.Gossip}})
	return err
}

// join brings four members at once.
func (e *example) join(ctx context.Context) error {
	e.say("\nFour join.")
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
	e.say("Reloads: %d.", after-before)
	if err == nil && after-before > 2 {
		err = fmt.Errorf("%d reloads for four members that joined at once", after-before)
	}
	return err
}

// leave has a member leave, and stops its web server when nginx has let go of it.
func (e *example) leave(ctx context.Context) error {
	e.say("\n$ gossip leave    # on web-5")
	if _, err := e.agents["web-5"].Must(ctx, "leave"); err != nil {
		return err
	}
	if err := e.answers(ctx, "web-1", "web-2", "web-3", "web-4"); err != nil {
		return err
	}
	return e.webs["web-5"].Stop(ctx)
}

// die ends a member and its web server without a word.
func (e *example) die(ctx context.Context) error {
	e.say("\nweb-4 dies.")
	e.webs["web-4"].Kill()
	e.agents["web-4"].Kill()
	if err := e.answers(ctx, "web-1", "web-2", "web-3"); err != nil {
		return err
	}
	if err := e.lb.Sees(ctx, "web-4", "failed"); err != nil {
		return err
	}
	return e.listed(ctx, false, e.webs["web-4"].Addr)
}

// mistake breaks nginx's own half while a member joins, and mends it.
func (e *example) mistake(ctx context.Context) error {
	e.say("\nSomebody breaks nginx.conf, and web-6 joins.")
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
	e.say("gossip-lbsync tells what is wrong, and changes nothing.")
	if err := e.answers(ctx, "web-1", "web-2", "web-3"); err != nil {
		return err
	}
	e.say("It is mended.")
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
	e.say("\n%d requests, %d failed, %d reloads.", e.load.Total(), len(failures), reloads)
	if len(failures) > 0 {
		return fmt.Errorf("requests failed: %v", failures)
	}
	return nil
}

// reloads counts in nginx's log.
func (e *example) reloads() (int, error) {
	log, err := os.ReadFile(e.Path("nginx-error.log"))
	return strings.Count(string(log), ", reconfiguring\n"), err
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
	err := e.load.AnsweredBy(ctx, names...)
	if err == nil {
		e.say("Clients are answered by %s.", strings.Join(names, ", "))
	}
	return err
}
