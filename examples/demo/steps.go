package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/seed-645ce708/gossip/agent/agenttest/loopback"
	"github.com/seed-645ce708/gossip/examples/internal/harness"
)

//go:embed main.tf
var terraformConfig string

// handlerScript runs on every member that gets a deploy event: the payload comes on standard input.
const handlerScript = `echo "  $GOSSIP_SELF_NAME handles $GOSSIP_USER_EVENT $(cat)" >>%s
`

// patience is how long a step waits for something that takes a few seconds.
const patience = 30 * time.Second

// cluster starts two members that are web servers, and a third agent that stays alone until Terraform joins it.
func (d *demo) cluster(ctx context.Context) error {
	d.title("Two web servers and a database, each with an agent")
	self, err := os.Executable()
	if err != nil {
		return err
	}
	handler, err := d.Write("handler", fmt.Sprintf(handlerScript, d.Path("handled")))
	if err != nil {
		return err
	}
	for i, name := range []string{"web-1", "web-2", "db-1"} {
		host := harness.Loopback(i + 1)
		args := []string{"-event-handler=user:deploy=sh " + handler}
		if strings.HasPrefix(name, "web") {
			page, err := loopback.FreeAddr(host)
			if err != nil {
				return err
			}
			if d.pages[name], err = d.Start(name+"-page", self, "-serve", page, name); err != nil {
				return err
			}
			args = append(args, "-tag=role=web", fmt.Sprintf("-tag=port=%d", harness.Port(page)))
		} else {
			args = append(args, "-tag=role=db")
		}
		if first := d.agents["web-1"]; name == "web-2" {
			args = append(args, "-join="+first.Gossip)
		}
		ready, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		a, err := d.StartAgent(ready, harness.AgentConfig{Name: name, Host: host, Args: args})
		if err != nil {
			return err
		}
		d.agents[name] = a
		d.background(a.Process)
	}
	if err := d.agents["web-1"].Sees(ctx, "web-2", "alive"); err != nil {
		return err
	}
	_, err = d.members(ctx)
	return err
}

// members shows who web-1 knows.
func (d *demo) members(ctx context.Context) (string, error) {
	return d.show(ctx, "gossip", "members", "-rpc-addr="+d.agents["web-1"].RPC)
}

// dns asks the agents where web is.
func (d *demo) dns(ctx context.Context) error {
	d.title("Every agent answers DNS")
	if _, err := exec.LookPath("dig"); err != nil {
		d.skip("dig is not on the PATH; asking with gossip resolve")
	}
	for _, kind := range []string{"A", "SRV"} {
		if _, err := d.resolve(ctx, true, d.agents["web-1"].DNS, kind); err != nil {
			return err
		}
	}
	return nil
}

// resolve asks an agent for web.service.gossip, with dig or, where it is missing, with gossip resolve.
func (d *demo) resolve(ctx context.Context, show bool, dns, kind string) (string, error) {
	program, args := "gossip", []string{"resolve", "-dns-addr=" + dns, "web.service.gossip", kind}
	if dig, err := exec.LookPath("dig"); err == nil {
		program = dig
		args = []string{"@" + harness.Host(dns), "-p", fmt.Sprint(harness.Port(dns)), "+noall", "+answer", "web.service.gossip", kind}
	}
	if show {
		return d.show(ctx, program, args...)
	}
	r, err := d.Run(ctx, nil, program, args...)
	return r.Stdout, err
}

// balance puts an HAProxy in front of the web servers.
func (d *demo) balance(ctx context.Context) error {
	d.title("HAProxy in front, kept in step by gossip-lbsync")
	ready, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	b, err := d.StartBalancer(ready, d.agents["web-1"])
	if errors.Is(err, harness.ErrNoHAProxy) {
		d.skip(err.Error())
		return nil
	}
	if err != nil {
		return err
	}
	d.balancer = b
	d.background(b.HAProxy)
	d.background(b.Sync)
	if err := d.balanced(ready, "web-1", "web-2"); err != nil {
		return err
	}
	return d.curl(ctx, 4)
}

// curl fetches the page through HAProxy a few times, by itself if there is no curl.
func (d *demo) curl(ctx context.Context, times int) error {
	url := "http://" + d.balancer.Addr + "/"
	program, missing := exec.LookPath("curl")
	for range times {
		if missing != nil {
			d.say("GET %s", url)
			body, err := harness.Get(ctx, d.balancer.Addr)
			if err != nil {
				return err
			}
			d.say("%s", body)
			continue
		}
		d.command(program, url)
		r, err := d.Run(ctx, []string{"no_proxy=*"}, program, url)
		if err == nil && r.Code != 0 {
			err = fmt.Errorf("curl ended with exit code %d: %s", r.Code, harness.LastLines(r.Stderr, 1))
		}
		if err != nil {
			return err
		}
		d.say("%s", strings.TrimSpace(r.Stdout))
	}
	return nil
}

// balanced waits until HAProxy's answers come from exactly these members.
func (d *demo) balanced(ctx context.Context, want ...string) error {
	return harness.Eventually(ctx, func() error {
		var got []string
		for range 6 {
			body, err := harness.Get(ctx, d.balancer.Addr)
			if err != nil {
				return err
			}
			got = append(got, strings.TrimPrefix(body, "hello from "))
		}
		slices.Sort(got)
		if got = slices.Compact(got); !slices.Equal(got, want) {
			return fmt.Errorf("HAProxy's answers come from %v, not from %v", got, want)
		}
		return nil
	})
}

// event tells all members something; scripts that they were started with act upon it.
func (d *demo) event(ctx context.Context) error {
	d.title("An event reaches every member, and its handlers run")
	script, err := os.ReadFile(d.Path("handler"))
	if err != nil {
		return err
	}
	d.say("$ cat %s\n%s", d.Path("handler"), strings.TrimSpace(string(script)))
	if _, err := d.show(ctx, "gossip", "event", "-rpc-addr="+d.agents["web-1"].RPC, "deploy", "v41"); err != nil {
		return err
	}
	return d.handled(ctx, "v41", "web-1", "web-2")
}

// handled waits until the handlers of these members have seen the event, and shows what they wrote.
func (d *demo) handled(ctx context.Context, payload string, members ...string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return harness.Eventually(ctx, func() error {
		b, err := os.ReadFile(d.Path("handled"))
		if err != nil {
			return err
		}
		var lines []string
		for line := range strings.Lines(string(b)) {
			if strings.Contains(line, payload) {
				lines = append(lines, strings.TrimRight(line, "\n"))
			}
		}
		for _, m := range members {
			if !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, m+" handles") }) {
				return fmt.Errorf("the handler of %s has not run", m)
			}
		}
		slices.Sort(lines)
		d.say("%s", strings.Join(lines, "\n"))
		return nil
	})
}

// terraform joins the third agent and fires an event from a plan.
func (d *demo) terraform(ctx context.Context) error {
	d.title("Terraform joins db-1 and announces a release")
	db, web := d.agents["db-1"], d.agents["web-1"]
	tf, err := d.Terraform(terraformConfig)
	if errors.Is(err, harness.ErrNoTerraform) {
		d.skip(err.Error() + "; joining with gossip join")
		if _, err := d.show(ctx, "gossip", "join", "-rpc-addr="+db.RPC, web.Gossip); err != nil {
			return err
		}
		if _, err := d.show(ctx, "gossip", "event", "-rpc-addr="+db.RPC, "deploy", "v42"); err != nil {
			return err
		}
	} else if err != nil {
		return err
	} else if err := d.apply(ctx, tf); err != nil {
		return err
	}
	if err := d.handled(ctx, "v42", "db-1", "web-1", "web-2"); err != nil {
		return err
	}
	if err := web.Sees(ctx, "db-1", "alive"); err != nil {
		return err
	}
	_, err = d.members(ctx)
	return err
}

// apply shows the heart of the plan, and what Terraform says after it has shown the plan itself.
func (d *demo) apply(ctx context.Context, tf *harness.Terraform) error {
	_, resources, _ := strings.Cut(terraformConfig, "resource ")
	d.say("%s\n", strings.TrimSpace("resource "+resources))
	d.command(tf.Name(), "init")
	if _, err := tf.Must(ctx, "init"); err != nil {
		return err
	}
	args := []string{"apply", "-auto-approve", "-var=agent=" + d.agents["db-1"].RPC, "-var=peer=" + d.agents["web-1"].Gossip, "-var=release=v42"}
	d.command(tf.Name(), args...)
	out, err := tf.Must(ctx, args...)
	if err != nil {
		return err
	}
	if i := strings.Index(out, "Plan: "); i >= 0 {
		out = out[i:]
	}
	for line := range strings.Lines(out) {
		if line = strings.TrimRight(line, " \n"); line != "" {
			d.say("%s", line)
		}
	}
	return nil
}

// failure ends all that web-2 consists of, as a power failure would, and shows who notices, and how fast.
func (d *demo) failure(ctx context.Context) error {
	victim := d.agents["web-2"]
	d.title("web-2 dies without a word, the web server and its agent")
	dying := []*harness.Process{d.pages["web-2"], victim.Process}
	d.say("$ kill -9 %d %d", dying[0].Pid(), dying[1].Pid())
	for _, p := range dying {
		p.Kill()
	}
	killed := time.Now()
	since := func(what string) { d.say("%4.1f s  %s", time.Since(killed).Seconds(), what) }

	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if d.balancer != nil {
		if err := d.balanced(ctx, "web-1"); err != nil {
			return err
		}
		since("HAProxy answers from web-1 alone")
	}
	if err := d.agents["web-1"].Sees(ctx, victim.Name, "failed"); err != nil {
		return err
	}
	since("web-1 holds web-2 for failed")
	err := harness.Eventually(ctx, func() error {
		answer, err := d.resolve(ctx, false, d.agents["web-1"].DNS, "SRV")
		if err == nil && (strings.Contains(answer, "web-2") || !strings.Contains(answer, "web-1")) {
			err = fmt.Errorf("DNS answers %q", answer)
		}
		return err
	})
	if err != nil {
		return err
	}
	since("DNS answers without it")
	if _, err := d.members(ctx); err != nil {
		return err
	}
	if _, err := d.resolve(ctx, true, d.agents["web-1"].DNS, "A"); err != nil {
		return err
	}
	if d.balancer != nil {
		return d.curl(ctx, 2)
	}
	return nil
}

// explain tells how to use what is left running, and how to end it.
func (d *demo) explain(ctx context.Context) error {
	a := d.agents["web-1"]
	stop, err := d.StopScript(ctx)
	if err != nil {
		return err
	}
	script, err := d.Write("stop", stop)
	if err != nil {
		return err
	}
	gossip := d.shown("gossip")
	d.title("It keeps running")
	d.say("  %s members -rpc-addr=%s", gossip, a.RPC)
	d.say("  %s monitor -rpc-addr=%s", gossip, a.RPC)
	d.say("  %s resolve -dns-addr=%s web.service.gossip SRV", gossip, a.DNS)
	d.say("  %s agent -node=cache-1 -bind=%s:0 -rpc-addr=%s:0 -dns-addr= -tag=role=cache -tag=port=6379 -join=%s", gossip, harness.Loopback(4), harness.Loopback(4), a.Gossip)
	if d.balancer != nil {
		d.say("  curl http://%s/ # or any browser", d.balancer.Addr)
	}
	d.say("Logs and configuration are in %s. To stop it all: sh %s", d.Dir, script)
	return nil
}
