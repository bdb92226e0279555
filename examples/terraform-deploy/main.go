// Command terraform-deploy shows a deploy that knows whether it worked: three agents that know nobody, and a plan that
// joins them, waits, fires a deploy which handlers act on, asks them whether they run it, and then publishes the web servers,
// so that HAProxy sends them requests. It goes on to a second release, one that fails, and the end of it all, and cleans up
// what it started. Run it with `go run ./examples/terraform-deploy` after `make build`.
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/seed-645ce708/gossip/examples/internal/harness"
)

//go:embed main.tf
var plan string

const (
	limit    = 8 * time.Minute // ends an example that hangs
	patience = time.Minute
)

func main() {
	bin := flag.String("bin", "bin", "the folder with the programs that `make build` made")
	flag.Parse()
	interrupted, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(interrupted, limit)
	defer cancel()
	if err := run(ctx, os.Stdout, *bin); err != nil {
		fmt.Fprintf(os.Stderr, "terraform-deploy: %v\n", err)
		os.Exit(1)
	}
}

// example is the state that the steps share.
type example struct {
	*harness.Stage
	out      io.Writer
	tf       *harness.Terraform
	agents   map[string]agent
	balancer *harness.Balancer
}

// agent is an agent with a web server beside it, as the plan wants to know it.
type agent struct {
	*harness.Agent `json:"-"`
	RPC            string `json:"rpc"`
	Gossip         string `json:"gossip"`
	WebPort        int    `json:"web_port"`
}

func run(ctx context.Context, out io.Writer, bin string) error {
	stage, err := harness.New(bin)
	if err != nil {
		return err
	}
	defer stage.Close()
	e := &example{Stage: stage, out: out, agents: map[string]agent{}}
	for _, step := range []func(context.Context) error{e.start, e.first, e.unchanged, e.second, e.failing, e.destroy} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (e *example) say(format string, args ...any) { fmt.Fprintf(e.out, format+"\n", args...) }

// start starts three agents that know nobody, each with a web server that tells which release it runs, and an HAProxy
// that knows none of them.
func (e *example) start(ctx context.Context) error {
	ready, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, name := range []string{"web-1", "web-2", "web-3"} {
		release, err := e.Write("release-"+name, "none")
		if err != nil {
			return err
		}
		// A release that begins with "bad" cannot be installed on web-2.
		script := "release=$(cat)\ncase $GOSSIP_SELF_NAME/$release in web-2/bad*) echo no room for $release >&2; exit 3 ;; esac\nprintf %s \"$release\" >" + release + "\n"
		install, err := e.Write("install-"+name, script)
		if err != nil {
			return err
		}
		port, err := e.web(ctx, name, release)
		if err != nil {
			return err
		}
		a, err := e.StartAgent(ready, harness.AgentConfig{Name: name, Args: []string{
			"-event-handler=user:deploy=sh " + install, "-event-handler=query:release=cat " + release,
		}})
		if err != nil {
			return err
		}
		e.agents[name] = agent{a, a.RPC, a.Gossip, port}
	}
	tf, err := e.Terraform(plan)
	if err != nil {
		return err
	}
	e.tf = tf
	_, err = tf.Must(ctx, "init")
	return err
}

// web serves a page that tells the name of the server and its release, until ctx ends, and returns its port.
func (e *example) web(ctx context.Context, name, release string) (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		text, err := os.ReadFile(release)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, "%s runs %s\n", name, text)
	})}
	go func() { _ = server.Serve(l) }() // until closed
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return harness.Port(l.Addr().String()), nil
}

// variables are the plan's.
func (e *example) variables(release string, draining ...string) ([]string, error) {
	agents, err := json.Marshal(e.agents)
	if err != nil {
		return nil, err
	}
	names, err := json.Marshal(append([]string{}, draining...))
	return []string{"-var=agents=" + string(agents), "-var=release=" + release, "-var=draining=" + string(names)}, err
}

// apply applies the plan and shows what changed.
func (e *example) apply(ctx context.Context, release string, draining ...string) error {
	e.say("\n$ %s apply -var=release=%s%s", e.tf.Name(), release, strings.Join(append([]string{""}, draining...), " -var=draining="))
	vars, err := e.variables(release, draining...)
	if err != nil {
		return err
	}
	out, err := e.tf.Must(ctx, append([]string{"apply", "-auto-approve"}, vars...)...)
	if err != nil {
		return err
	}
	if i := strings.LastIndex(out, "Apply complete!"); i >= 0 {
		e.say("%s", strings.TrimSpace(out[i:]))
	}
	return nil
}

// first deploys v1, and puts HAProxy in front.
func (e *example) first(ctx context.Context) error {
	if err := e.apply(ctx, "v1"); err != nil {
		return err
	}
	ready, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var err error
	if e.balancer, err = e.StartBalancer(ready, e.agents["web-1"].Agent); err != nil {
		return err
	}
	return e.answers(ready, "web-1 runs v1", "web-2 runs v1", "web-3 runs v1")
}

// unchanged finds nothing to do.
func (e *example) unchanged(ctx context.Context) error {
	vars, err := e.variables("v1")
	if err != nil {
		return err
	}
	r, err := e.tf.Run(ctx, append([]string{"plan", "-detailed-exitcode"}, vars...)...)
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("a second plan is not empty: %s", r.Stdout)
	}
	e.say("\n$ %s plan\nNo changes.", e.tf.Name())
	return err
}

// second deploys v2, and takes web-3 out of HAProxy.
func (e *example) second(ctx context.Context) error {
	if err := e.apply(ctx, "v2", "web-3"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return e.answers(ctx, "web-1 runs v2", "web-2 runs v2")
}

// failing deploys a release that web-2 cannot install: the apply fails and says so.
func (e *example) failing(ctx context.Context) error {
	e.say("\n$ %s apply -var=release=bad", e.tf.Name())
	vars, err := e.variables("bad", "web-3")
	if err != nil {
		return err
	}
	r, err := e.tf.Run(ctx, append([]string{"apply", "-auto-approve"}, vars...)...)
	if err != nil {
		return err
	}
	if r.Code == 0 || !strings.Contains(r.Stderr, "web-2: its handler failed") {
		return fmt.Errorf("a deploy that failed on web-2 ended with exit code %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	for line := range strings.Lines(r.Stderr) {
		if strings.Contains(line, "web-2") || strings.Contains(line, "Error:") {
			e.say("%s", strings.TrimSpace(line))
		}
	}
	return e.apply(ctx, "v3", "web-3")
}

// destroy takes the web servers off, and leaves the agents where they are.
func (e *example) destroy(ctx context.Context) error {
	vars, err := e.variables("v3", "web-3")
	if err != nil {
		return err
	}
	e.say("\n$ %s destroy", e.tf.Name())
	if _, err := e.tf.Must(ctx, append([]string{"destroy", "-auto-approve"}, vars...)...); err != nil {
		return err
	}
	members, err := e.agents["web-1"].Members(ctx)
	if err != nil {
		return err
	}
	if len(members) != len(e.agents) {
		return fmt.Errorf("there are %d members, not %d", len(members), len(e.agents))
	}
	for name, m := range members {
		if _, there := m.Tags["svc:web"]; there || m.Status != "alive" {
			return fmt.Errorf("%s is %s with the tags %v", name, m.Status, m.Tags)
		}
	}
	e.say("Destroy complete! The agents are still there, and none publishes a service.")
	return nil
}

// answers waits until HAProxy's answers are these.
func (e *example) answers(ctx context.Context, want ...string) error {
	err := harness.Eventually(ctx, func() error {
		var got []string
		for range 9 {
			body, err := harness.Get(ctx, e.balancer.Addr)
			if err != nil {
				return err
			}
			got = append(got, body)
		}
		slices.Sort(got)
		if got = slices.Compact(got); !slices.Equal(got, want) {
			return errors.New("HAProxy answers: " + strings.Join(got, ", "))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%w, not: %s", err, strings.Join(want, ", "))
	}
	e.say("HAProxy answers: %s.", strings.Join(want, ", "))
	return nil
}
