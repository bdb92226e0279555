package examples_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"net"

	"github.com/seed-645ce708/gossip/examples/internal/harness"
)

// webServer starts a web page on a free port of the host and returns its address.
func webServer(t *testing.T, host, name string) (addr string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(harness.Web(name))
	_ = server.Listener.Close() // replaced by ours
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
	return l.Addr().String(), server.Close
}

// dig returns the lines of dig +short.
func dig(ctx context.Context, t *testing.T, s *harness.Stage, a *harness.Agent, name, kind string) []string {
	t.Helper()
	host, port, err := net.SplitHostPort(a.DNS)
	if err != nil {
		t.Fatal(err)
	}
	r := must(s.Run(ctx, nil, need(t, "dig"), "@"+host, "-p", port, "+short", "+time=2", name, kind))(t)
	lines := strings.Fields(strings.ReplaceAll(r.Stdout, " ", "_"))
	slices.Sort(lines)
	return lines
}

// TestServiceDiscovery is the product in one test: web servers come, leave and die, and both DNS and HAProxy follow.
func TestServiceDiscovery(t *testing.T) {
	t.Parallel()
	need(t, "dig")
	need(t, "haproxy")
	ctx, s := within(t), stage(t)

	names := []string{"web-1", "web-2", "web-3"}
	agents, pages, stops := map[string]*harness.Agent{}, map[string]string{}, map[string]func(){}
	for i, name := range names {
		host := harness.Loopback(i + 1)
		pages[name], stops[name] = webServer(t, host, name)
		args := []string{"-tag=role=web", fmt.Sprintf("-tag=port=%d", harness.Port(pages[name]))}
		if i > 0 {
			args = append(args, "-join="+agents["web-1"].Gossip)
		}
		agents[name] = startAgent(ctx, t, s, harness.AgentConfig{Name: name, Host: host, Args: args})
	}
	for _, a := range agents {
		for _, name := range names {
			sees(ctx, t, a, name, "alive")
		}
	}

	// Every agent gives the same answers: address, and address with port.
	expect := func(members ...string) (a, srv []string) {
		for _, name := range members {
			a = append(a, harness.Host(pages[name]))
			srv = append(srv, fmt.Sprintf("%d_%s.node.gossip.", harness.Port(pages[name]), name))
		}
		slices.Sort(a)
		slices.Sort(srv)
		return slices.Compact(a), srv
	}
	resolves := func(asked *harness.Agent, members ...string) {
		t.Helper()
		wantA, wantSRV := expect(members...)
		eventually(ctx, t, func() error {
			if got := slices.Compact(dig(ctx, t, s, asked, "web.service.gossip", "A")); !slices.Equal(got, wantA) {
				return fmt.Errorf("%s answers A %v, want %v", asked.Name, got, wantA)
			}
			for _, name := range []string{"web.service.gossip", "_web._tcp.service.gossip"} {
				var got []string
				for _, line := range dig(ctx, t, s, asked, name, "SRV") {
					got = append(got, strings.Join(strings.Split(line, "_")[2:], "_")) // without priority and weight
				}
				slices.Sort(got)
				if !slices.Equal(got, wantSRV) {
					return fmt.Errorf("%s answers SRV %v, want %v", asked.Name, got, wantSRV)
				}
			}
			return nil
		})
	}
	for _, name := range names {
		resolves(agents[name], names...)
	}

	// A balancer that follows web-1, and clients that never stop asking.
	balancer := must(s.StartBalancer(ctx, agents["web-1"]))(t)
	load := harness.StartLoad(balancer.Addr, 4, 5*time.Millisecond)
	answeredBy := func(members ...string) {
		t.Helper()
		var want []string
		for _, name := range members {
			want = append(want, "hello from "+name)
		}
		load.Answers()
		eventually(ctx, t, func() error {
			before := load.Total()
			eventually(ctx, t, func() error {
				if n := load.Total() - before; n < 60 {
					return fmt.Errorf("only %d requests so far", n)
				}
				return nil
			})
			var got []string
			for body := range load.Answers() {
				got = append(got, body)
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				return fmt.Errorf("answers come from %v, want %v", got, want)
			}
			return nil
		})
	}
	answeredBy("web-1", "web-2", "web-3")

	// One leaves gracefully: when it gets no more requests its server ends, and no client has noticed.
	must(agents["web-3"].Must(ctx, "leave"))(t)
	<-agents["web-3"].Done()
	sees(ctx, t, agents["web-1"], "web-3", "left")
	resolves(agents["web-1"], "web-1", "web-2")
	answeredBy("web-1", "web-2")
	stops["web-3"]()
	answeredBy("web-1", "web-2")
	if failed := load.Stop(); len(failed) > 0 {
		t.Errorf("%d of %d requests failed while a member left, the first: %v", len(failed), load.Total(), failed[0])
	}
	t.Logf("%d requests while a member left", load.Total())

	// One dies, host and all. There is somebody else to see it too: of an agent that sees nobody at all, lbsync would think
	// that it is cut off.
	witness := startAgent(ctx, t, s, harness.AgentConfig{Name: "db-1", Args: []string{"-join=" + agents["web-1"].Gossip}})
	sees(ctx, t, witness, "web-2", "alive")
	sees(ctx, t, agents["web-1"], "db-1", "alive")
	load = harness.StartLoad(balancer.Addr, 2, 20*time.Millisecond)
	defer load.Stop()
	agents["web-2"].Kill()
	stops["web-2"]()
	sees(ctx, t, agents["web-1"], "web-2", "failed")
	resolves(agents["web-1"], "web-1")
	answeredBy("web-1")
	eventually(ctx, t, func() error {
		backend, err := os.ReadFile(balancer.Backend)
		if err == nil && (strings.Contains(string(backend), "web-2") || !strings.Contains(string(backend), "web-1")) {
			err = fmt.Errorf("HAProxy's backend file still has web-2, or not web-1:\n%s", backend)
		}
		return err
	})
}

// TestTerraform applies the demo's plan twice; the second time there is nothing to do.
func TestTerraform(t *testing.T) {
	t.Parallel()
	need(t, "terraform", "tofu")
	ctx, s := within(t), stage(t)
	web := startAgent(ctx, t, s, harness.AgentConfig{Name: "web-1", Args: []string{"-tag=role=web", "-tag=port=80"}})
	db := startAgent(ctx, t, s, harness.AgentConfig{Name: "db-1", Host: harness.Loopback(2), Args: []string{
		fmt.Sprintf(`-event-handler=user:deploy=cat >>%s`, s.Path("deployed")),
	}})

	tf := must(s.Terraform(string(must(os.ReadFile("demo/main.tf"))(t))))(t)
	vars := []string{"-var=agent=" + db.RPC, "-var=peer=" + web.Gossip, "-var=release=v1"}
	must(tf.Must(ctx, "init"))(t)
	out := must(tf.Must(ctx, append([]string{"apply", "-auto-approve"}, vars...)...))(t)
	if !strings.Contains(out, "2 added, 0 changed, 0 destroyed") {
		t.Errorf("first apply: want 2 added, got:\n%s", out)
	}
	sees(ctx, t, web, "db-1", "alive")
	deployed := func(want string) {
		t.Helper()
		eventually(ctx, t, func() error {
			got, err := os.ReadFile(s.Path("deployed"))
			if err == nil && string(got) != want {
				err = fmt.Errorf("handlers got %q, want %q", got, want)
			}
			return err
		})
	}
	deployed("v1\n")
	if names := must(tf.Must(ctx, "output", "-json", "web"))(t); strings.TrimSpace(names) != `["web-1"]` {
		t.Errorf("output web is %s, want [\"web-1\"]", names)
	}

	plan := must(tf.Run(ctx, append([]string{"plan", "-detailed-exitcode"}, vars...)...))(t)
	if plan.Code != 0 {
		t.Errorf("second plan is not empty (exit code %d):\n%s%s", plan.Code, plan.Stdout, plan.Stderr)
	}
	must(tf.Must(ctx, append([]string{"apply", "-auto-approve"}, vars...)...))(t)
	deployed("v1\n")

	// A new release is a new event, and only that.
	vars[2] = "-var=release=v2"
	out = must(tf.Must(ctx, append([]string{"apply", "-auto-approve"}, vars...)...))(t)
	if !strings.Contains(out, "1 added, 0 changed, 1 destroyed") {
		t.Errorf("apply of a new release: want 1 added and 1 destroyed, got:\n%s", out)
	}
	deployed("v1\nv2\n")

	out = must(tf.Must(ctx, append([]string{"destroy", "-auto-approve"}, vars...)...))(t)
	if !strings.Contains(out, "2 destroyed") {
		t.Errorf("destroy: want 2 destroyed, got:\n%s", out)
	}
	sees(ctx, t, web, "db-1", "alive") // destroying a join does not make a member leave
	deployed("v1\nv2\n")
}
