package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestDoctor: two agents on hosts of their own, with something wrong between them.
func TestDoctor(t *testing.T) {
	t.Parallel()
	// UDP that comes to a host is dropped by a rule of routing, which needs no module of the kernel as firewalls do. It
	// must come before the rule for local addresses, which is the first.
	drop := func(ns string) []string {
		return []string{
			"ip -n " + ns + " rule add pref 10 iif lan0 ipproto udp blackhole",
			"ip -n " + ns + " rule add pref 100 lookup local",
			"ip -n " + ns + " rule del pref 0",
		}
	}
	for _, tt := range []struct {
		name  string
		setup []string
		code  int
		want  []string
	}{
		{"well", nil, 0, []string{"ok       udp      passes both ways", "ok       tcp      connects both ways", "packets of 1472 bytes pass both ways", "All is well between this agent and two."}},
		{"udpout", drop("TWO"), 1, []string{"fault    udp      our packets do not reach it; its packets reach us", "-> let UDP port 7946 of 10.77.0.2 in", "two: trouble with udp."}},
		{"udpin", drop("ONE"), 1, []string{"fault    udp      our packets reach it; its packets do not reach us", "our own firewall"}},
		{"mtu", []string{"ip -n TWO link set lan0 mtu 1200"}, 1, []string{"ok       udp ", "fault    size     of longer packets up to 1024 bytes reach it and up to 1472 bytes reach us", "-> the way holds shorter packets"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			one, two := lan(t)
			start := func(ns, name, ip string, args ...string) *running {
				line := append([]string{"netns", "exec", ns, "gossip", "agent", "-node", name, "-bind", ip, "-profile", "lan"}, args...)
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
			start(two, "two", "10.77.0.2")
			a := start(one, "one", "10.77.0.1", "-retry-join", "10.77.0.2", "-retry-interval", "1s")
			if err := within("one finds two", func() bool { return strings.Contains(a.out.String(), "EventMemberJoin: two ") }); err != nil {
				t.Fatal(err)
			}
			for _, step := range tt.setup {
				args := strings.Fields(strings.NewReplacer("ONE", one, "TWO", two).Replace(step))
				if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
					t.Skipf("this system drops no packets: %s: %v: %s", step, err, out)
				}
			}
			var r ran // again and again: a busy host answers late, which is a fault of its own
			err := within("the finding", func() bool {
				r = runProgram(t, "ip", "netns", "exec", one, "gossip", "doctor", "two")
				return r.code == tt.code && !slices.ContainsFunc(tt.want, func(want string) bool { return !strings.Contains(r.stdout, want) })
			})
			if err != nil {
				t.Errorf("%v; want code %d and %q, got %+v", err, tt.code, tt.want, r)
			}
		})
	}
}
