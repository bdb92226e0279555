package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// hosts is network namespaces on one switch, each with an interface lan0 of address 10.78.0.1 and on. cut takes a host's
// cable out, or puts it in again. It needs root.
func hosts(t *testing.T, n int) (names []string, cut func(i int, out bool)) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("a cut cable is tested in network namespaces, which only root can make")
	}
	prefix := fmt.Sprintf("gsc%d", os.Getpid())
	hub := prefix + "-hub"
	for i := range n {
		names = append(names, fmt.Sprintf("%s-%d", prefix, i+1))
	}
	t.Cleanup(func() {
		for _, ns := range append(names, hub) {
			_ = exec.Command("ip", "netns", "del", ns).Run() // it may not have come into being
		}
	})
	run := func(skip bool, format string, args ...any) {
		t.Helper()
		line := fmt.Sprintf(format, args...)
		words := strings.Fields(line)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			if skip {
				t.Skipf("this system makes no such networks: %s: %v: %s", line, err, out)
			}
			t.Fatalf("%s: %v: %s", line, err, out)
		}
	}
	run(true, "ip netns add %s", hub)
	run(true, "ip -n %s link add br0 type bridge", hub)
	run(false, "ip -n %s link set br0 up", hub)
	for i, ns := range names {
		run(false, "ip netns add %s", ns)
		run(true, "ip -n %s link add lan0 type veth peer name port%d netns %s", ns, i, hub)
		run(false, "ip -n %s addr add 10.78.0.%d/24 dev lan0", ns, i+1)
		run(false, "ip -n %s link set lo up", ns)
		run(false, "ip -n %s link set lan0 up", ns)
		run(false, "ip -n %s link set port%d master br0", hub, i)
		run(false, "ip -n %s link set port%d up", hub, i)
	}
	return names, func(i int, out bool) {
		t.Helper()
		if out {
			run(false, "ip -n %s link set port%d nomaster", hub, i)
		} else {
			run(false, "ip -n %s link set port%d master br0", hub, i)
		}
	}
}

// TestCutOff pulls the cable of one agent out of five. It says so, with evidence, and goes on answering with what it knew,
// marked as stale; the four others say nothing of the kind and drop it. Then the cable is put in again.
func TestCutOff(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it takes most of a minute until a lost agent takes others for failed")
	}
	const n, lost = 5, 4
	names, cut := hosts(t, n)
	dir := t.TempDir()
	config := filepath.Join(dir, "config.json")
	if err := os.WriteFile(config, []byte(`{"reconnect_interval": "1s"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for i, ns := range names {
		r, err := startProcess(dir, os.Environ(), "ip", "netns", "exec", ns, "gossip", "agent", "-node", fmt.Sprint("n", i+1),
			"-bind", fmt.Sprintf("10.78.0.%d", i+1), "-profile", "local", "-tag", "svc:web=80", "-retry-join", "10.78.0.1",
			"-retry-interval", "1s", "-dns-addr", "127.0.0.1:8600", "-config-file", config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			r.kill()
			if t.Failed() {
				t.Logf("output of n%d:\n%s", i+1, r.out.String())
			}
		})
	}
	at := func(i int, program string, args ...string) ran {
		return runProgram(t, "ip", append([]string{"netns", "exec", names[i], program}, args...)...)
	}
	eventually := func(what string, cond func() bool) {
		t.Helper()
		if err := within(what, cond); err != nil {
			t.Fatal(err)
		}
	}
	info := func(i int) map[string]string {
		var stats map[string]map[string]string
		_ = json.Unmarshal([]byte(at(i, "gossip", "info", "-format", "json").stdout), &stats) // then it is not there yet
		return stats["view"]
	}
	type answer struct {
		Reason  string
		Answers []struct {
			Data string
			TTL  uint32
		}
	}
	resolve := func(i int) (a answer) {
		_ = json.Unmarshal([]byte(at(i, "gossip", "resolve", "-format", "json", "web.service").stdout), &a) // as above
		return a
	}
	has := func(a answer, host int) bool {
		return slices.ContainsFunc(a.Answers, func(r struct {
			Data string
			TTL  uint32
		}) bool {
			return r.Data == fmt.Sprintf("10.78.0.%d", host+1)
		})
	}

	for i := range n {
		eventually(fmt.Sprintf("n%d answers with all", i+1), func() bool { return len(resolve(i).Answers) == n })
		eventually(fmt.Sprintf("n%d trusts its view", i+1), func() bool {
			v := info(i)
			return v["synced"] == "true" && v["isolated"] == "false" && v["visible_share"] == "1.00" && v["evidence"] == ""
		})
	}

	cut(lost, true)
	eventually("the lost one knows", func() bool { return info(lost)["isolated"] == "true" })
	if v := info(lost); !strings.Contains(v["evidence"], "no sign of life from any of 4 other members") {
		t.Errorf("the lost one: %v", v)
	}
	for i := range lost {
		eventually(fmt.Sprintf("n%d drops the lost one and nobody else", i+1), func() bool {
			a := resolve(i)
			return !has(a, lost) && len(a.Answers) == n-1 && a.Reason == "" && info(i)["visible_share"] == "0.80"
		})
		if v := info(i); v["isolated"] != "false" {
			t.Errorf("n%d: %v", i+1, v)
		}
		if out := at(i, "gossip", "members", "-detailed", "-status", "failed").stdout; !strings.Contains(out, "ago: no answer to probes") {
			t.Errorf("n%d: %s", i+1, out)
		}
	}
	eventually("the lost one takes somebody for failed", func() bool {
		return strings.Contains(at(lost, "gossip", "members").stdout, "failed")
	})
	if a := resolve(lost); len(a.Answers) != n || !strings.Contains(a.Reason, "out of reach") {
		t.Errorf("the lost one answers %+v", a)
	}
	if r := at(lost, "gossip", "dns", "export"); r.code != 0 || !strings.Contains(r.stderr, "Note: the agent looks cut off from its cluster (no sign of life") {
		t.Errorf("dns export: %+v", r)
	}
	if _, err := exec.LookPath("serf"); err == nil { // which knows nothing of what our agents add
		if r := at(lost, "serf", "members"); r.code != 0 || strings.Count(r.stdout, "\n") != n {
			t.Errorf("serf members: %+v", r)
		}
	}

	cut(lost, false)
	for i := range n {
		eventually(fmt.Sprintf("n%d sees all again", i+1), func() bool {
			a := resolve(i)
			return info(i)["isolated"] == "false" && strings.Count(at(i, "gossip", "members").stdout, "alive") == n &&
				len(a.Answers) == n && a.Reason == ""
		})
	}
}
