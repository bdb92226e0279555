package examples_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-645ce708/gossip/agent/agenttest/loopback"
	"github.com/seed-645ce708/gossip/examples/internal/harness"
)

const compatibility = "../docs/serf-compatibility.md"

// host is a machine with one agent, Serf's or ours, that is always started from the same files.
type host struct {
	*mix
	name, gossip, rpc string
	config            string // the file that says everything
	agent             *harness.Process
	runs              int
}

// rpcToken is what clients must show to the hosts' agents.
const rpcToken = "let me in"

// newHost writes the files of a host.
func (m *mix) newHost(name string, join []string, gossip, rpc string) *host {
	m.Helper()
	path := func(kind string) string { return m.stage.Path(name + "." + kind) }
	must(m.stage.Write(name+".keyring", `["`+firstKey+`"]`))(m.T)
	b := must(json.Marshal(map[string]any{
		"node_name": name, "bind": gossip, "rpc_addr": rpc, "rpc_auth": rpcToken,
		"keyring_file": path("keyring"), "tags_file": path("tags"), "snapshot_path": path("snapshot"),
		"event_handlers": []string{
			strings.TrimPrefix(m.writes(name, "user"), "-event-handler="),
			"query:load=echo load of $SERF_SELF_NAME in $SERF_TAG_DC",
		},
		"retry_join": join, "retry_interval": "1s", "log_level": "debug", "broadcast_timeout": "10s",
	}))(m.T)
	return &host{mix: m, name: name, gossip: gossip, rpc: rpc, config: must(m.stage.Write(name+".json", string(b)))(m.T)}
}

// sh runs a command line of the document as it would be run on the host. Commands that end are repeated until they
// succeed.
func (h *host) sh(line string) string {
	h.Helper()
	words := strings.Fields(strings.NewReplacer("/etc/serf/agent.json", h.config).Replace(line))
	if words[0] == "sudo" {
		words = words[1:]
	}
	program := words[0]
	if program == "serf" {
		program = h.serf
	}
	switch {
	case words[0] == "systemctl" && words[1] == "stop":
		if err := h.agent.Signal(syscall.SIGTERM); err != nil {
			h.Fatal(err)
		}
		if code := h.agent.Code(); code != 1 {
			h.Errorf("%s on %s: exit code %d, want 1 as Serf's", line, h.name, code)
		}
		return ""
	case words[1] == "agent":
		h.runs++
		h.agent = must(h.stage.Start(fmt.Sprintf("%s-%d-%s", h.name, h.runs, words[0]), program, words[1:]...))(h.T)
		return ""
	}
	var out string
	eventually(h.ctx, h.T, func() error {
		if !h.agent.Running() {
			return fmt.Errorf("the agent of %s has ended: %s", h.name, harness.LastLines(h.agent.Log(), 3))
		}
		r, err := h.stage.Run(h.ctx, []string{"SERF_RPC_ADDR=" + h.rpc, "SERF_RPC_AUTH=" + rpcToken}, program, words[1:]...)
		if out = r.Stdout; err == nil && r.Code != 0 {
			err = fmt.Errorf("%s on %s: %+v", line, h.name, r)
		}
		return err
	})
	return out
}

// TestTakeover moves a cluster of Serf's agents over to ours and back, host by host, with the commands of the document.
// Nothing is lost on the way: names, addresses, tags set at run time, keys, and which events were told.
func TestTakeover(t *testing.T) {
	t.Parallel()
	m := newMix(t)
	document := string(must(os.ReadFile(compatibility))(t))
	over, back := procedure(t, document, "### Over to gossip"), procedure(t, document, "### Back to Serf")

	var hosts []*host
	var join []string
	for i := range 3 {
		addr := must(loopback.FreeAddr(harness.Loopback(i + 2)))(t)
		rpc := must(loopback.FreeAddr(harness.Loopback(i + 2)))(t)
		join = append(join, addr)
		hosts = append(hosts, m.newHost(fmt.Sprintf("host%d", i), join[:1], addr, rpc))
	}
	tags := map[string]map[string]string{}
	for i, h := range hosts {
		h.sh("serf agent -config-file=/etc/serf/agent.json")
		h.sh(fmt.Sprintf("serf tags -set=dc=east -set=svc:web=80%d", i))
		tags[h.name] = map[string]string{"dc": "east", "svc:web": fmt.Sprint("80", i)}
	}
	var told []string
	intact := func(when string) {
		t.Helper()
		for _, h := range hosts {
			eventually(m.ctx, t, func() error {
				var list struct{ Members []harness.Member }
				if err := json.Unmarshal([]byte(h.sh("gossip members -format=json")), &list); err != nil {
					return err
				}
				if len(list.Members) != len(hosts) {
					return fmt.Errorf("%s: %s sees %d members, want %d", when, h.name, len(list.Members), len(hosts))
				}
				for i, h2 := range hosts {
					at := slices.IndexFunc(list.Members, func(m harness.Member) bool { return m.Name == hosts[i].name })
					if at < 0 || list.Members[at].Status != "alive" || list.Members[at].Addr != h2.gossip || !maps.Equal(list.Members[at].Tags, tags[h2.name]) {
						return fmt.Errorf("%s: %s sees %+v, want %s alive at %s with %v", when, h.name, list.Members, h2.name, h2.gossip, tags[h2.name])
					}
				}
				return nil
			})
			for _, program := range []string{"serf", "gossip"} {
				event := fmt.Sprintf("%s-%s-%s", when, h.name, program)
				h.sh(program + " event -coalesce=false " + event)
				told = append(told, event+" ")
			}
		}
		for _, h := range hosts {
			m.written(&harness.Agent{Name: h.name}, "user", slices.Clone(told)...)
			h.sh("gossip reachability")
			eventually(m.ctx, t, func() error {
				out := h.sh("gossip query -timeout=2s load")
				for _, h := range hosts {
					if want := fmt.Sprintf("Response from '%s': load of %s in east\n", h.name, h.name); !strings.Contains(out, want) {
						return fmt.Errorf("%s: a query on %s: %s", when, h.name, out)
					}
				}
				return nil
			})
			if keys := h.sh("gossip keys -list"); !regexp.MustCompile(regexp.QuoteMeta(secondKey) + ` +\[3/3\]`).MatchString(keys) {
				t.Errorf("%s: keys: %s", when, keys)
			}
		}
	}
	hosts[0].sh("serf reachability")
	hosts[0].sh("serf keys -install=" + secondKey)
	hosts[1].sh("serf keys -use=" + secondKey)
	intact("before")
	for _, direction := range []struct {
		name     string
		commands []string
	}{{"over", over}, {"back", back}} {
		for i, h := range hosts {
			for _, command := range direction.commands {
				h.sh(command)
			}
			if i == 0 && direction.name == "over" { // both kinds are there: what changes now must last as well
				hosts[0].sh("gossip tags -set=since=over -delete=svc:web")
				tags[hosts[0].name] = map[string]string{"dc": "east", "since": "over"}
			}
			intact(fmt.Sprint(direction.name, i))
		}
	}
	for _, h := range hosts {
		if b := must(os.ReadFile(m.stage.Path(h.name + ".keyring")))(t); !strings.HasPrefix(string(b), "[\n  \""+secondKey) {
			t.Errorf("the keyring file of %s: %s", h.name, b)
		}
	}
}

// procedure returns the commands under a heading of the document.
func procedure(t *testing.T, document, heading string) []string {
	t.Helper()
	_, section, _ := strings.Cut(document, heading+"\n")
	section, _, _ = strings.Cut(section, "\n#")
	commands := shellCommands(section)
	if len(commands) == 0 {
		t.Fatalf("no command in a ```sh block under %q", heading)
	}
	return commands
}
