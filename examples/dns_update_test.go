//go:build unix

package examples_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/agent/agenttest/loopback"
	"github.com/seed-645ce708/gossip/examples/internal/harness"
)

// TestExampleUpdate runs the example as its README says.
func TestExampleUpdate(t *testing.T) {
	t.Parallel()
	for server, program := range map[string]string{"bind": "named", "knot": "knotd"} {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			need(t, program)
			runExample(t, "dns-update", server, "web.service.svc.example.com")
		})
	}
}

// TestUpdate has an agent update BIND and Knot: through changes, past records of others, and after it was killed while something
// went away.
func TestUpdate(t *testing.T) {
	t.Parallel()
	for _, p := range []struct{ name, program, config, args string }{
		{"bind", "named", "named.conf", "-g -c named.conf"},
		{"knot", "knotd", "knot.conf", "-c knot.conf"},
	} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			program := need(t, p.program)
			ctx, stage := within(t), stage(t)
			addr := must(loopback.FreeAddr("127.0.0.1"))(t)
			port := strconv.Itoa(harness.Port(addr))
			const others = "legacy.service.svc 60 A 192.0.2.1\napi.service.svc 60 A 192.0.2.2\n"
			// BIND as it comes refuses names of hosts with underscores. The other names must not suffer from that.
			config := strings.NewReplacer("SECRET", secret, "check-names ignore;", "").Replace(example(t, "dns-update/"+p.config, "5300", port))
			for file, text := range map[string]string{
				p.config:           config,
				"example.com.zone": example(t, "dns-update/example.com.zone", "legacy.service.svc  A  192.0.2.1", others),
				"tsig.key":         keyFile("updater"),
			} {
				must(stage.Write(filepath.Join(p.name, file), text))(t)
			}
			command := fmt.Sprintf(`cd %q && exec %q %s`, stage.Path(p.name), program, p.args)
			must(stage.Start(p.name, "/bin/sh", "-c", command))(t)

			must(stage.Write("tsig.key", keyFile("updater")))(t)
			must(stage.Write("agent.hcl", example(t, "dns-update/agent.hcl", "5300", port)))(t)
			settings := []string{"-config-file=agent.hcl", "-tag=role=web", "-tag=port=8080", "-tag=svc:api=81", "-tag=svc:gone=82"}
			a := startAgent(ctx, t, stage, harness.AgentConfig{Name: "a", Args: settings})

			// all waits until the DNS server has these records below our name, and none of those.
			all := func(have, lack []string) {
				t.Helper()
				eventually(ctx, t, func() error {
					out, err := stage.Run(ctx, nil, need(t, "dig"), "@127.0.0.1", "-p", port, "+noall", "+answer", "+time=5", "+tries=1",
						"-y", "hmac-sha256:updater:"+secret, "example.com", "AXFR")
					if err != nil {
						return err
					}
					var got []string
					for line := range strings.Lines(out.Stdout) {
						if f := strings.Fields(line); len(f) > 4 {
							got = append(got, f[0]+" "+strings.Join(f[3:], " "))
						}
					}
					for _, r := range append(have, "www.example.com. A 192.0.2.80", "legacy.service.svc.example.com. A 192.0.2.1", "api.service.svc.example.com. A 192.0.2.2") {
						if !slices.Contains(got, r) {
							return fmt.Errorf("missing: %s in %q", r, got)
						}
					}
					for _, r := range lack {
						if slices.ContainsFunc(got, func(g string) bool { return strings.HasPrefix(g, r) }) {
							return fmt.Errorf("still there: %s", r)
						}
					}
					return nil
				})
			}
			all([]string{
				"a.node.svc.example.com. A 127.0.0.1",
				"web.service.svc.example.com. SRV 0 25600 8080 a.node.svc.example.com.",
				"gone.service.svc.example.com. SRV 0 25600 82 a.node.svc.example.com.",
				`_gossip.gone.service.svc.example.com. TXT "owner=gossip"`,
			}, []string{"_gossip.api.service", "_gossip.legacy", "ns-a"})
			must(a.Must(ctx, "tags", "-set", "port=8081", "-set", "svc:new=83"))(t)
			all([]string{
				"web.service.svc.example.com. SRV 0 25600 8081 a.node.svc.example.com.",
				"new.service.svc.example.com. SRV 0 25600 83 a.node.svc.example.com.",
			}, []string{"web.service.svc.example.com. SRV 0 25600 8080"})
			a.Kill()
			// It comes back without a service, of which only the DNS server knows that it was there.
			again := startAgent(ctx, t, stage, harness.AgentConfig{
				Name: "a2", Args: append(slices.Clone(settings[:3]), "-node=a", "-tag=svc:api=81"),
			})
			all([]string{"web.service.svc.example.com. SRV 0 25600 8080 a.node.svc.example.com."},
				[]string{"gone.service", "_gossip.gone", "new.service", "web.service.svc.example.com. SRV 0 25600 8081"})
			if log := again.Log(); !strings.Contains(log, "others have records there") || strings.Contains(log, secret) {
				t.Errorf("the log:\n%s", log)
			}
			if info := must(again.Must(ctx, "info"))(t); !strings.Contains(info, "update_foreign = 1\n") || (p.name == "bind") == strings.Contains(info, "update_rejected = 0\n") {
				t.Errorf("info:\n%s", info)
			}
		})
	}
}
