package dnsserver

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// haproxySizes are how many members the services have that HAProxy fills its backends with.
var haproxySizes = []int{3, 30, 100}

// haproxyZone has a service of each size, without its last member if less is true.
func haproxyZone(t *testing.T, less bool) *zone.Zone {
	t.Helper()
	z, err := zone.New(zone.Config{Origin: "gossip.", Self: "a", NodeTTL: 5 * time.Second, Serial: 1})
	if err != nil {
		t.Fatal(err)
	}
	var changes []zone.Change
	for s, size := range haproxySizes {
		for i := range size {
			m := &zone.Member{
				Name: fmt.Sprintf("application-server-%d-%04d.dc1", s, i), Live: true,
				Addrs:    []netip.Addr{netip.AddrFrom4([4]byte{127, 1, byte(s), byte(i + 1)})},
				Services: []zone.Service{{Name: fmt.Sprint("app", size), Port: uint16(20000 + i), Weight: uint16(1 + i%200)}},
			}
			m.Services[0].Drain = less && i == size-1
			changes = append(changes, zone.Change{Name: m.Name, Member: m})
		}
	}
	return z.Update(changes)
}

// proxy is a running HAProxy.
type proxy struct {
	t      *testing.T
	socket string
}

func startHAProxy(t *testing.T, cfg string) *proxy {
	t.Helper()
	path := program(t, "haproxy", "haproxy")
	dir, err := os.MkdirTemp("", "haproxy") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := &proxy{t: t, socket: filepath.Join(dir, "s")}
	file := filepath.Join(dir, "cfg")
	if err := os.WriteFile(file, []byte("global\n\tstats socket "+p.socket+" level admin\n"+cfg), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-db", "-f", file)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGKILL)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("haproxy:\n%.3000s", out.String())
		}
	})
	return p
}

// ask sends a command to the runtime API; "" if HAProxy is not there yet.
func (p *proxy) ask(command string) string {
	conn, err := net.DialTimeout("unix", p.socket, 5*time.Second)
	if err != nil {
		return ""
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(conn, command+"\n"); err != nil {
		return ""
	}
	text, _ := io.ReadAll(conn)
	return string(text)
}

// servers returns how many servers of each backend have an address, and their weights by backend and address.
func (p *proxy) servers() (count map[string]int, weights map[string]string) {
	count, weights = map[string]int{}, map[string]string{}
	lines := bufio.NewScanner(strings.NewReader(p.ask("show servers state")))
	for lines.Scan() {
		// be_id be_name srv_id srv_name srv_addr op_state admin_state weight ...
		f := strings.Fields(lines.Text())
		if len(f) < 8 || strings.HasPrefix(f[0], "#") {
			continue
		}
		if f[4] != "-" && f[4] != "0.0.0.0" {
			count[f[1]]++
			weights[f[1]+" "+f[4]] = f[7]
		} else {
			count[f[1]] += 0
		}
	}
	return count, weights
}

// TestHAProxy fills backends of the real HAProxy with services of many sizes, by SRV and by A records, over UDP and TCP.
// HAProxy takes what comes for all there is, whatever the TC bit says, and so never may get a part: where the
// answer is longer than what it takes, it gets none.
func TestHAProxy(t *testing.T) {
	t.Parallel()
	current := make(chan *zone.Zone, 1)
	current <- haproxyZone(t, false)
	source := func() *zone.Zone {
		z := <-current
		current <- z
		return z
	}
	s := start(t, Config{Addr: "127.0.0.1:0", Source: source})

	var cfg strings.Builder
	fmt.Fprint(&cfg, "defaults\n\tmode http\n\ttimeout connect 1s\n\ttimeout client 1s\n\ttimeout server 1s\n")
	want := map[string]int{}
	for _, transport := range []string{"udp", "tcp"} {
		for _, payload := range []int{512, 2100, 8192} { // in the second, thirty SRV records have no room for all addresses beside them
			resolvers := fmt.Sprint(transport, payload)
			fmt.Fprintf(&cfg, "resolvers %s\n\tnameserver a %s@%s\n\taccepted_payload_size %d\n\ttimeout resolve 200ms\n\ttimeout retry 500ms\n",
				resolvers, transport, s.Addr(), payload)
			for _, size := range haproxySizes {
				for _, kind := range []string{"srv", "a"} {
					name, query := fmt.Sprint(resolvers, kind, size), fmt.Sprintf("_app%d._tcp.service.gossip", size)
					room := payload / 70
					if transport == "tcp" { // where nothing is left out to fit
						room = payload / 80
					}
					if kind == "a" {
						query, room = fmt.Sprintf("app%d.service.gossip:80", size), payload/20
					}
					fmt.Fprintf(&cfg, "backend %s\n\tserver-template s %d %s resolvers %s resolve-prefer ipv4 init-addr none\n",
						name, size+5, query, resolvers)
					want[name] = size
					if size > room {
						want[name] = 0
					}
				}
			}
		}
	}
	p := startHAProxy(t, cfg.String())

	// filled waits until every backend has all that it can have, and checks that none ever had a part of what it asked
	// for at once.
	filled := func(missing int) map[string]string {
		t.Helper()
		var got map[string]int
		var weights map[string]string
		for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			got, weights = p.servers()
			done := len(got) == len(want)
			for name, n := range want {
				if n > 0 {
					n -= missing
				}
				done = done && got[name] == n
				if n == 0 && got[name] != 0 {
					t.Fatalf("%s has %d servers of a service that it cannot have all of", name, got[name])
				}
			}
			if done {
				return weights
			}
		}
		t.Fatalf("got %v\nwant %v less %d", got, want, missing)
		return nil
	}
	weights := filled(0)
	for i := range 100 {
		at := fmt.Sprintf("udp8192srv100 127.1.2.%d", i+1)
		if want := fmt.Sprint(1 + i%200); weights[at] != want {
			t.Errorf("%s: weight %q, want %s", at, weights[at], want)
		}
	}
	// It stays so for a while, in which each is asked for many times more.
	for range 20 {
		time.Sleep(50 * time.Millisecond)
		got, _ := p.servers()
		for name, n := range want {
			if got[name] != n {
				t.Fatalf("%s has %d servers, had %d", name, got[name], n)
			}
		}
	}
	// Who drains is gone, and nobody else.
	<-current
	current <- haproxyZone(t, true)
	filled(1)
	<-current
	current <- haproxyZone(t, false)
	filled(0)
}
