//go:build unix

package examples_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-645ce708/gossip/agent/agenttest/loopback"
	"github.com/seed-645ce708/gossip/examples/internal/harness"
)

// secret is that of each TSIG key in the tests.
const secret = "bm90IHNlY3JldCBhdCBhbGwsIGZvciB0ZXN0cyBvbmx5ISE="

// secondary is a DNS server that follows an agent.
type secondary struct {
	name, program, config string
	args                  []string
	addr                  string
	process               *harness.Process
}

// secondaries are those of examples/dns-secondary, each with a port of its own.
func secondaries(t *testing.T) []*secondary {
	t.Helper()
	list := []*secondary{
		{name: "bind", program: "named", config: "named.conf", args: []string{"-g", "-c", "named.conf"}},
		{name: "knot", program: "knotd", config: "knot.conf", args: []string{"-c", "knot.conf"}},
		{name: "nsd", program: "nsd", config: "nsd.conf", args: []string{"-d", "-c", "nsd.conf"}},
	}
	for _, s := range list {
		s.program = need(t, s.program)
		s.addr = must(loopback.FreeAddr("127.0.0.1"))(t)
	}
	return list
}

// example reads a file of an example and replaces what is fixed in it.
func example(t *testing.T, file string, oldnew ...string) string {
	t.Helper()
	text := string(must(os.ReadFile(file))(t))
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(text, oldnew[i]) {
			t.Fatalf("%s has no %q any more", file, oldnew[i])
		}
	}
	return strings.NewReplacer(oldnew...).Replace(text)
}

// keyFile is a file with the keys of these names.
func keyFile(names ...string) string {
	var text strings.Builder
	for _, name := range names {
		fmt.Fprintf(&text, "key %q { algorithm hmac-sha256; secret %q; };\n", name, secret)
	}
	return text.String()
}

// start runs the secondary in a folder of its own, where what it transferred stays.
func (s *secondary) start(t *testing.T, stage *harness.Stage, agent string) {
	t.Helper()
	port := strconv.Itoa(harness.Port(s.addr))
	text := example(t, "dns-secondary/"+s.config, "8600", strconv.Itoa(harness.Port(agent)), "5300", port)
	text = strings.NewReplacer("key secondary", "key "+s.name, "SECRET", secret).Replace(text)
	if s.name != "bind" {
		text = strings.ReplaceAll(text, "secondary", s.name)
	}
	path := must(stage.Write(filepath.Join(s.name, s.config), text))(t)
	must(stage.Write(filepath.Join(s.name, "tsig.key"), keyFile(s.name)))(t)
	// They take paths from where they run.
	command := fmt.Sprintf(`cd %q && exec %q "$@"`, filepath.Dir(path), s.program)
	s.process = must(stage.Start(s.name, "/bin/sh", append([]string{"-c", command, s.name}, s.args...)...))(t)
}

// transfer returns all that a server has in the zone, in order. The SOA record is in it once.
func transfer(ctx context.Context, t *testing.T, stage *harness.Stage, addr, key string) ([]string, error) {
	t.Helper()
	args := []string{"@" + harness.Host(addr), "-p", strconv.Itoa(harness.Port(addr)), "+noall", "+answer", "+time=5", "+tries=1", "gossip", "AXFR"}
	if key != "" {
		args = append(args, "-y", "hmac-sha256:"+key+":"+secret)
	}
	out, err := stage.Run(ctx, nil, need(t, "dig"), args...)
	if err != nil {
		return nil, err
	}
	var records []string
	for line := range strings.Lines(out.Stdout) {
		if fields := strings.Fields(line); len(fields) > 4 && !strings.HasPrefix(line, ";") {
			records = append(records, strings.Join(fields, " "))
		}
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("no transfer from %s: %s", addr, out.Stdout)
	}
	slices.Sort(records)
	return slices.Compact(records), nil
}

// same waits until a secondary has what the agent has.
func (s *secondary) same(ctx context.Context, t *testing.T, stage *harness.Stage, agent string) []string {
	t.Helper()
	var want []string
	eventually(ctx, t, func() (err error) {
		if want, err = transfer(ctx, t, stage, agent, s.name); err != nil {
			return err
		}
		got, err := transfer(ctx, t, stage, s.addr, "")
		if err != nil {
			return err
		}
		for _, r := range want {
			if !slices.Contains(got, r) {
				return fmt.Errorf("%s: missing: %s", s.name, r)
			}
		}
		if len(got) != len(want) {
			return fmt.Errorf("%s: %d records, want %d", s.name, len(got), len(want))
		}
		return nil
	})
	return want
}

// transfers counts what the agent's log tells of transfers of one kind to the secondary.
func (s *secondary) transfers(log, kind string) int {
	n := 0
	for line := range strings.Lines(log) {
		if strings.Contains(line, "zone transfer") && strings.Contains(line, "key="+s.name+".") && strings.Contains(line, "kind="+kind) {
			n++
		}
	}
	return n
}

// TestSecondaries keeps BIND, Knot and NSD in step through 200 changes, and through a restart of the agent, which forgets
// what they have.
func TestSecondaries(t *testing.T) {
	t.Parallel()
	ctx, stage := within(t), stage(t)
	followers := secondaries(t)
	dns := must(loopback.FreeAddr("127.0.0.1"))(t)
	config := "dns_tsig_keys = \"tsig.key\"\n"
	var names, transfers, notifies []string
	for _, s := range followers {
		names = append(names, s.name)
		transfers = append(transfers, fmt.Sprintf("%q", "127.0.0.0/8 key="+s.name))
		notifies = append(notifies, fmt.Sprintf("%q", s.addr+" key="+s.name))
	}
	config += "dns_transfer = [" + strings.Join(transfers, ", ") + "]\ndns_notify = [" + strings.Join(notifies, ", ") + "]\n"
	must(stage.Write("tsig.key", keyFile(names...)))(t)
	must(stage.Write("agent.hcl", config))(t)
	settings := []string{"-config-file=agent.hcl", "-dns-addr=" + dns, "-tag=role=web", "-tag=port=8080"}
	a := startAgent(ctx, t, stage, harness.AgentConfig{Name: "a", Args: settings})
	a.DNS = dns
	b := startAgent(ctx, t, stage, harness.AgentConfig{Name: "b", Args: []string{"-dns-addr=", "-join=" + a.Gossip, "-tag=svc:web=81"}})
	sees(ctx, t, a, "b", "alive")
	for _, s := range followers {
		s.start(t, stage, a.DNS)
	}
	for _, s := range followers {
		s.same(ctx, t, stage, a.DNS)
	}
	serial := func() int {
		for _, r := range must(transfer(ctx, t, stage, a.DNS, "bind"))(t) {
			if f := strings.Fields(r); f[3] == "SOA" {
				return must(strconv.Atoi(f[6]))(t)
			}
		}
		t.Fatal("no SOA record")
		return 0
	}
	first := serial()
	const changes = 200
	for i := 1; i <= changes; i++ {
		tags := []string{"-set", fmt.Sprintf("svc:api%d=%d", i%7, 1000+i), "-set", fmt.Sprint("build=", i), "-delete", fmt.Sprintf("svc:api%d", (i+3)%7)}
		must(a.Must(ctx, "tags", tags...))(t)
		if i%10 == 0 {
			must(b.Must(ctx, "tags", "-set", fmt.Sprintf("svc:web=%d", i)))(t)
		}
		if i%50 == 0 {
			for _, s := range followers {
				s.same(ctx, t, stage, a.DNS)
			}
		}
	}
	if got := serial() - first; got < changes {
		t.Errorf("the serial grew by %d in %d changes", got, changes)
	}
	log := a.Log()
	for _, s := range followers {
		increments, fallbacks := s.transfers(log, "IXFR"), s.transfers(log, "\"AXFR, as")
		if increments < 10 || fallbacks > 0 {
			t.Errorf("%s: %d increments, %d fallbacks", s.name, increments, fallbacks)
		}
		t.Logf("%s: %d increments", s.name, increments)
	}

	// A new run of the agent cannot tell what changed since the versions that they have. Its serial would lie behind
	// theirs, as there was more than a change a second.
	before := serial()
	a.Kill()
	again := startAgent(ctx, t, stage, harness.AgentConfig{
		Name: "a2", Gossip: a.Gossip, RPC: a.RPC, Args: append(settings, "-node=a", "-rejoin", "-join="+b.Gossip),
	})
	again.DNS = dns
	a = again
	for _, s := range followers {
		want := s.same(ctx, t, stage, a.DNS)
		if text := strings.Join(want, "\n"); strings.Contains(text, "api") {
			t.Errorf("%s has records of the run before", s.name)
		}
		// NSD may begin anew by itself when two versions come at once, and then asks for all.
		if n := s.transfers(a.Log(), "\"AXFR, as"); n == 0 && s.name != "nsd" {
			t.Errorf("%s got all without having asked for an increment:\n%s", s.name, a.Log())
		}
	}
	if now := serial(); now <= before {
		t.Errorf("the serial is %d, and was %d", now, before)
	}
}

// TestSecondariesOfManyMembers has the examples' servers take services with more members than BIND allows by default.
func TestSecondariesOfManyMembers(t *testing.T) {
	t.Parallel()
	ctx, stage := within(t), stage(t)
	followers := secondaries(t)
	var members []string
	for i := range 150 {
		members = append(members, fmt.Sprintf(`{"name": "n%d", "addr": "10.0.0.%d:7946", "tags": {"role": "web", "port": "80"}, "status": "alive"}`, i, i+1))
	}
	must(stage.Write("members.json", `{"members": [`+strings.Join(members, ",")+"]}"))(t)
	dns := must(loopback.FreeAddr("127.0.0.1"))(t)
	args := []string{"dns", "-members-file", stage.Path("members.json"), "-node=n0", "-dns-addr=" + dns}
	var names []string
	for _, s := range followers {
		names = append(names, s.name)
		args = append(args, "-dns-transfer=key="+s.name)
	}
	args = append(args, "-dns-tsig-keys="+must(stage.Write("tsig.key", keyFile(names...)))(t))
	must(stage.Start("dns", stage.Program("gossip"), args...))(t)
	eventually(ctx, t, func() error { _, err := transfer(ctx, t, stage, dns, "bind"); return err })
	for _, s := range followers {
		s.start(t, stage, dns)
	}
	for _, s := range followers {
		if n := len(s.same(ctx, t, stage, dns)); n < 10*150 {
			t.Errorf("%s: %d records", s.name, n)
		}
	}
}

// TestExampleSecondary runs the example as its README says.
func TestExampleSecondary(t *testing.T) {
	t.Parallel()
	for _, server := range []string{"bind", "knot", "nsd"} {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			need(t, map[string]string{"bind": "named", "knot": "knotd", "nsd": "nsd"}[server])
			runExample(t, "dns-secondary", server, "web.service.gossip")
		})
	}
}

// runExample starts an example's script in its folder, as its README says, waits until the other server answers for the service, with port 8080 first and then
// with the one that the member changed it to, and stops it.
func runExample(t *testing.T, folder, server, service string) {
	t.Helper()
	ctx, stage := within(t), stage(t)
	dig := need(t, "dig")
	// The README names the program by a path from there.
	program := must(filepath.Rel(must(filepath.Abs(folder))(t), stage.Program("gossip")))(t)
	ports := map[string]string{"GOSSIP": program, "TMPDIR": stage.Dir}
	for _, name := range []string{"AGENT_PORT", "RPC_PORT", "GOSSIP_PORT", "PORT"} {
		ports[name] = strconv.Itoa(harness.Port(must(loopback.FreeAddr("127.0.0.1"))(t)))
	}
	cmd := exec.CommandContext(ctx, "./run", server)
	cmd.Dir = folder
	log := must(os.Create(stage.Path("run.log")))(t)
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = os.Environ()
	for name, value := range ports {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // a signal ends it, and it is the answers that count
		close(exited)
	}()
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		<-exited
		if left := must(filepath.Glob(stage.Path("tmp.*")))(t); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}()
	answers := func(port string) {
		t.Helper()
		eventually(ctx, t, func() error {
			out, err := stage.Run(ctx, nil, dig, "@127.0.0.1", "-p", ports["PORT"], "+short", "+time=1", "+tries=1", service, "SRV")
			if err == nil && !strings.Contains(out.Stdout, " "+port+" ") {
				err = fmt.Errorf("%s answers %q, not yet port %s", server, out.Stdout, port)
			}
			return err
		})
	}
	answers("8080")
	out := must(stage.Run(ctx, nil, "gossip", "tags", "-rpc-addr=127.0.0.1:"+ports["RPC_PORT"], "-set", "port=8081"))(t)
	if out.Code != 0 {
		t.Fatalf("tags: %+v", out)
	}
	answers("8081")
}
