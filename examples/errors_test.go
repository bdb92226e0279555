package examples_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/agent/agenttest/loopback"
	"github.com/seed-645ce708/gossip/examples/internal/harness"
)

// TestErrors makes the mistakes that everyone makes. Each must end with exit code 1 and one line on standard error that
// names the thing at fault, and never with a stack trace.
func TestErrors(t *testing.T) {
	t.Parallel()
	ctx, s := within(t), stage(t)
	const key, otherKey = "cj8v5cqOXyBMtFKgTQWRTw==", "T9jncgl9mbLus+baTTa7q7nPSUrXwbDi2dhbtqir37s="
	running := startAgent(ctx, t, s, harness.AgentConfig{Name: "running", Args: []string{"-encrypt=" + key}})
	guarded := startAgent(ctx, t, s, harness.AgentConfig{Name: "guarded", Auth: "open sesame", Args: []string{
		"-config-file=" + must(s.Write("guarded.json", `{"rpc_auth": "open sesame"}`))(t),
	}})

	// A TCP port that something else has, and one where nobody listens.
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer l.Close()
	taken := l.Addr().String()
	nobody := must(loopback.FreeAddr("127.0.0.1"))(t)

	syntax := must(s.Write("syntax.json", "{\n  \"node_name\": \"a\",\n  \"role\" \"web\"\n}\n"))(t)
	unknown := must(s.Write("unknown.json", `{"node_title": "a"}`))(t)
	wrongType := must(s.Write("type.json", `{"node_name": 7}`))(t)
	lbsync := must(s.Write("lb.hcl", `source "gossip" {
  host = "127.0.0.1:7373"
}
service "web" {}
target "nginx" "www" {
  file { dest = "web.conf" }
  upstream "web" { service = "web" }
}
`))(t)

	once := func(name, address, key string) []string {
		more := ""
		if key != "" {
			more = fmt.Sprintf("\n  key_file = %q", must(s.Write(name+".key", key))(t))
		}
		text := fmt.Sprintf("state_dir = %q\nsource \"gossip\" {\n  address = %q%s\n}\n", s.Path(name+".state"), address, more) +
			"service \"web\" {}\ntarget \"nginx\" \"www\" {\n  file { dest = \"web.conf\" }\n  upstream \"web\" { service = \"web\" }\n}\n"
		return []string{"once", "-timeout=2s", "-config=" + must(s.Write(name+".hcl", text))(t)}
	}

	agent := func(args ...string) []string {
		quiet := []string{"agent", "-node=x", "-bind=127.0.0.1:0", "-rpc-addr=127.0.0.1:0", "-dns-addr="}
		return append(quiet, args...)
	}
	for _, test := range []struct {
		name    string
		program string
		args    []string
		names   []string // what the message must hold
	}{
		{"unknown flag", "gossip", []string{"members", "-colour"}, []string{"-colour"}},
		{"unknown flag of the agent", "gossip", agent("-bnd=1.2.3.4"), []string{"-bnd"}},
		{"bad value of a flag", "gossip", agent("-retry-interval=soon"), []string{"retry-interval", "soon"}},
		{"bad tag", "gossip", agent("-tag=web"), []string{"web", "KEY=VALUE"}},

		{"missing configuration", "gossip", agent("-config-file=/nowhere.json"), []string{"/nowhere.json"}},
		{"configuration that is no JSON", "gossip", agent("-config-file=" + syntax), []string{syntax, "3"}},
		{"unknown key", "gossip", agent("-config-file=" + unknown), []string{unknown, "node_title"}},
		{"wrong type", "gossip", agent("-config-file=" + wrongType), []string{wrongType, "node_name"}},

		{"taken gossip port", "gossip", agent("-bind=" + taken), []string{taken, "in use"}},
		{"taken RPC port", "gossip", agent("-rpc-addr=" + taken), []string{taken, "in use"}},
		{"taken DNS port", "gossip", agent("-dns-addr=" + taken), []string{taken, "in use"}},

		{"key that is no base64", "gossip", agent("-encrypt=not a key"), []string{"base64"}},
		{"key of a wrong length", "gossip", agent("-encrypt=c2hvcnQ="), []string{"16, 24 or 32"}},
		{"another cluster's key", "gossip", agent("-encrypt="+otherKey, "-join="+running.Gossip), []string{running.Gossip}},
		{"wrong RPC key", "gossip", []string{"members", "-rpc-addr=" + guarded.RPC, "-rpc-auth=guess"}, []string{"token", "-rpc-auth"}},
		{"no RPC key", "gossip", []string{"members", "-rpc-addr=" + guarded.RPC}, []string{"Authentication", "-rpc-auth"}},

		{"peer that is not there", "gossip", agent("-join=" + nobody), []string{nobody}},
		{"peer that is not there, at run time", "gossip", []string{"join", "-rpc-addr=" + running.RPC, nobody}, []string{nobody}},
		{"agent that is not there", "gossip", []string{"members", "-rpc-addr=" + nobody}, []string{nobody, "agent"}},
		{"DNS that is not there", "gossip", []string{"resolve", "-dns-addr=" + nobody, "web.service.gossip"}, []string{nobody}},

		{"lbsync: unknown command", "gossip-lbsync", []string{"runn"}, []string{"runn"}},
		{"lbsync: unknown flag", "gossip-lbsync", []string{"run", "-konfig=x"}, []string{"-konfig"}},
		{"lbsync: missing configuration", "gossip-lbsync", []string{"run", "-config=/nowhere.hcl"}, []string{"/nowhere.hcl"}},
		{"lbsync: unknown key", "gossip-lbsync", []string{"check", "-config=" + lbsync}, []string{lbsync + ":2", "host"}},
		{"lbsync: agent that is not there", "gossip-lbsync", once("nobody", nobody, ""), []string{nobody, "refused", "source.address"}},
		{"lbsync: no agent, but something else", "gossip-lbsync", once("taken", taken, ""), []string{taken, "source.address"}},
		{"lbsync: wrong RPC key", "gossip-lbsync", once("wrong", guarded.RPC, "guess"), []string{guarded.RPC, "token", "source.key_file"}},
		{"lbsync: no RPC key", "gossip-lbsync", once("keyless", guarded.RPC, ""), []string{guarded.RPC, "Authentication", "source.key_file"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx := within(t)
			r := must(s.Run(ctx, nil, test.program, test.args...))(t)
			code := 1
			if test.name == "lbsync: unknown command" || test.name == "lbsync: unknown flag" {
				code = 64 // there 1 is for what was tried and failed
			}
			if r.Code != code {
				t.Errorf("exit code %d, want %d", r.Code, code)
			}
			lines := strings.Split(strings.TrimRight(r.Stderr, "\n"), "\n")
			if strings.HasPrefix(lines[0], "waiting up to ") { // said at once; the error comes when the time is over
				lines = lines[1:]
			}
			if test.name == "lbsync: unknown key" && len(lines) == 2 && strings.HasPrefix(lines[1], "gossip-lbsync:     2 | ") { // the line at fault
				lines = lines[:1]
			}
			if len(lines) != 1 || lines[0] == "" {
				t.Errorf("want one line on standard error, got %d", len(lines))
			}
			for _, name := range test.names {
				if !strings.Contains(r.Stderr, name) {
					t.Errorf("the message does not name %q", name)
				}
			}
			for _, secret := range []string{key, otherKey, "open sesame", "guess", "not a key"} {
				if strings.Contains(r.Stderr+r.Stdout, secret) {
					t.Errorf("a secret is printed")
				}
			}
			if strings.Contains(r.Stderr+r.Stdout, "goroutine ") {
				t.Error("a stack trace is printed")
			}
			if t.Failed() {
				t.Logf("%s %q\nstdout:\n%s\nstderr:\n%s", test.program, test.args, r.Stdout, r.Stderr)
			}
		})
	}
}
