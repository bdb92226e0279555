package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// lan is two network namespaces joined by a cable, "one" with 10.77.0.1 and "two" with 10.77.0.2; the interface is
// named lan0 in both. It needs root.
func lan(t *testing.T, setup ...string) (one, two string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mDNS between hosts is tested in network namespaces, which only root can make")
	}
	prefix := fmt.Sprintf("gsp%d-%s", os.Getpid(), strings.ToLower(t.Name()[strings.LastIndexByte(t.Name(), '/')+1:]))
	one, two = prefix+"-1", prefix+"-2"
	steps := []string{
		"ip netns add ONE", "ip netns add TWO",
		"ip -n ONE link add lan0 type veth peer name lan0 netns TWO",
		// Serf's first question fails, and with it the first minute, while IPv6 looks for duplicates of its addresses.
		"ip netns exec ONE sysctl -eqw net.ipv6.conf.lan0.accept_dad=0", "ip netns exec TWO sysctl -eqw net.ipv6.conf.lan0.accept_dad=0",
		"ip -n ONE addr add 10.77.0.1/24 dev lan0", "ip -n TWO addr add 10.77.0.2/24 dev lan0",
		"ip -n ONE link set lo up", "ip -n TWO link set lo up",
		"ip -n ONE link set lan0 up", "ip -n TWO link set lan0 up",
	}
	t.Cleanup(func() {
		for _, ns := range []string{one, two} {
			_ = exec.Command("ip", "netns", "del", ns).Run() // it may not have come into being
		}
	})
	for i, step := range append(steps, setup...) {
		args := strings.Fields(strings.NewReplacer("ONE", one, "TWO", two).Replace(step))
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			if i < 3 {
				t.Skipf("this system makes no network namespaces: %s: %v: %s", step, err, out)
			}
			t.Fatalf("%s: %v: %s", step, err, out)
		}
	}
	return one, two
}

// TestDiscover: agents find each other by mDNS alone, Serf's and ours, whatever the network lacks.
func TestDiscover(t *testing.T) {
	t.Parallel()
	needSerf(t)
	routes := []string{"ip -n ONE route add default dev lan0", "ip -n TWO route add default dev lan0"}
	for _, tt := range []struct {
		name  string
		setup []string
		args  []string // of our agents
		serf  bool     // Serf's works in this network; without IPv6 0.9.4 crashes
	}{
		{"plain", routes, nil, true},
		{"interface", routes, []string{"-iface", "lan0"}, true},
		{"isolated", nil, []string{"-mdns-iface", "lan0"}, false},
		{"only4", append(routes, "ip netns exec ONE sysctl -eqw net.ipv6.conf.all.disable_ipv6=1",
			"ip netns exec TWO sysctl -eqw net.ipv6.conf.all.disable_ipv6=1"), []string{"-mdns-iface", "lan0"}, false},
		{"no4", routes, []string{"-mdns-iface", "lan0", "-mdns-disable-ipv4"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			one, two := lan(t, tt.setup...)
			start := func(ns, program, name, ip string, args ...string) *running {
				line := append([]string{"netns", "exec", ns, program, "agent", "-node", name, "-bind", ip, "-discover", "dc1", "-profile", "local"}, args...)
				r, err := startProcess(t.TempDir(), os.Environ(), "ip", line...)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					r.kill()
					if t.Failed() {
						t.Logf("output of %s:\n%s", name, r.out.String())
					}
				})
				return r
			}
			ours := append([]string{"-dns-addr="}, tt.args...)
			agents := map[string]*running{
				"ours.a": start(one, "gossip", "ours.a", "10.77.0.1", ours...),
				"ours b": start(two, "gossip", "ours b", "10.77.0.2", ours...),
			}
			if tt.serf {
				agents["serf"] = start(two, "serf", "serf", "10.77.0.2:7950", "-rpc-addr", "127.0.0.1:7999", "-iface", "lan0")
			}
			for name, a := range agents {
				for other := range agents {
					if err := within(name+" finds "+other, func() bool {
						return strings.Contains(a.out.String(), "EventMemberJoin: "+other+" ")
					}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
}
