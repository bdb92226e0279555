package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/agenttest/loopback"
)

// floodQuery asks for the address of the member a.
var floodQuery = []byte("\x00\x00\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x04node\x06gossip\x00\x00\x01\x00\x01")

// asker asks from an address of its own.
type asker struct {
	conn   *net.UDPConn
	query  []byte
	answer []byte
}

func newAsker(t *testing.T, from, server string) *asker {
	t.Helper()
	to, err := net.ResolveUDPAddr("udp", server)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(from)}, to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &asker{conn: conn, query: append([]byte(nil), floodQuery...), answer: make([]byte, 512)}
}

// ask reports whether an answer with a record came, as a resolver would find out: with three tries.
func (a *asker) ask() bool {
	for range 3 {
		binary.BigEndian.PutUint16(a.query, binary.BigEndian.Uint16(a.query)+1)
		_, _ = a.conn.Write(a.query) // a failure shows as no answer
		_ = a.conn.SetReadDeadline(time.Now().Add(3 * time.Second))
		for {
			n, err := a.conn.Read(a.answer)
			if err != nil {
				break
			}
			if n > 12 && a.answer[0] == a.query[0] && a.answer[1] == a.query[1] && a.answer[2]&2 == 0 && a.answer[7] == 1 {
				return true
			}
		}
	}
	return false
}

// capacity returns how many answers a second one address gets that always has a window of queries under way.
func (a *asker) capacity(during time.Duration) int {
	const window = 200
	start := time.Now()
	_ = a.conn.SetReadDeadline(start.Add(during))
	send := func(n int) {
		for range n {
			_, _ = a.conn.Write(a.query) // what is lost makes the window smaller
		}
	}
	send(window)
	answers := 0
	for {
		if _, err := a.conn.Read(a.answer); err != nil {
			return int(float64(answers) / time.Since(start).Seconds())
		}
		answers++
		send(1)
	}
}

// slow gives a process a share of one core, so that a flood of many times its capacity can be made on the same machine. It
// reports false where that is not to be had.
func slow(t *testing.T, pid, percent int) bool {
	t.Helper()
	const period = 100000 // µs
	for _, hierarchy := range []struct {
		root   string
		limits map[string]string
	}{
		{"/sys/fs/cgroup/cpu", map[string]string{"cpu.cfs_period_us": fmt.Sprint(period), "cpu.cfs_quota_us": fmt.Sprint(period / 100 * percent)}},
		{"/sys/fs/cgroup", map[string]string{"cpu.max": fmt.Sprint(period/100*percent, " ", period)}},
	} {
		dir := filepath.Join(hierarchy.root, fmt.Sprint("gossip-test-", pid))
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		done := func() {
			_ = os.WriteFile(filepath.Join(hierarchy.root, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0)
			_ = os.Remove(dir) // a group without processes
		}
		ok := true
		for file, limit := range hierarchy.limits {
			ok = ok && writeExisting(filepath.Join(dir, file), limit)
		}
		if ok && writeExisting(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(pid)) {
			t.Cleanup(done)
			return true
		}
		done()
	}
	return false
}

func writeExisting(file, text string) bool {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return false
	}
	_, err = f.WriteString(text)
	return err == nil && f.Close() == nil
}

// peakMemory is the most that a process ever had in memory, in KiB.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(text)
	if err != nil || m == nil {
		t.Fatalf("no VmHWM: %v", err)
	}
	n, _ := strconv.Atoi(string(m[1]))
	return n
}

// TestFlood asks an agent five times as much as it can answer, from a few networks. Clients in other networks get their
// answers, its memory does not grow, and neither it nor the members around it take anybody for failed.
func TestFlood(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a flood of some seconds")
	}
	dir := t.TempDir()
	rpc := map[string]string{}
	agents := map[string]*running{}
	seed := loopback.Addr(t)
	for _, name := range []string{"a", "b", "c"} {
		bind, dns := "127.0.0.1:0", ""
		if name == "a" {
			bind, dns = seed, "127.0.0.1:0"
		}
		r, err := startProcess(dir, os.Environ(), "gossip", "agent", "-node", name, "-bind", bind, "-rpc-addr", "127.0.0.1:0",
			"-dns-addr", dns, "-dns-rate-exempt", "127.0.5.0/24", "-retry-join", seed, "-retry-interval", "1s")
		if err != nil {
			t.Fatal(err)
		}
		agents[name] = r
		t.Cleanup(func() {
			r.kill()
			if t.Failed() {
				t.Logf("output of %s:\n%s", name, r.out.String())
			}
		})
		if err := within(name+" runs", func() bool {
			return strings.Contains(r.out.String(), "Log data will now stream in")
		}); err != nil {
			t.Fatal(err)
		}
		for _, addr := range bannerAddr.FindAllStringSubmatch(r.out.String(), -1) {
			rpc[name+addr[1]] = addr[2]
		}
	}
	server, pid := rpc["aDNS"], agents["a"].cmd.Process.Pid
	alive := func(name string) bool {
		var got struct{ Members []struct{ Status string } }
		out := runProgram(t, "gossip", "members", "-rpc-addr", rpc[name+"RPC"], "-format", "json").stdout
		if json.Unmarshal([]byte(out), &got) != nil || len(got.Members) != 3 {
			return false
		}
		for _, m := range got.Members {
			if m.Status != "alive" {
				return false
			}
		}
		return true
	}
	for name := range agents {
		if err := within(name+" sees all", func() bool { return alive(name) }); err != nil {
			t.Fatal(err)
		}
	}
	flooders := make([]*asker, 8)
	for i := range flooders {
		flooders[i] = newAsker(t, fmt.Sprintf("127.0.%d.%d", 66+i%2, i+1), server)
	}
	if err := within("an answer", func() bool { return flooders[0].ask() && flooders[1].ask() }); err != nil {
		t.Fatal(err)
	}

	slowed := slow(t, pid, 15)
	capacity := newAsker(t, "127.0.5.1", server).capacity(time.Second)
	before := peakMemory(t, pid)
	rate := max(5*capacity, 5000) // a busy machine may show next to no capacity, and the rate limit is to be passed all the same
	const lasting = 5 * time.Second
	end := time.Now().Add(lasting)
	var flood, asked, answered atomic.Int64
	var wg sync.WaitGroup
	for _, f := range flooders {
		wg.Go(func() {
			share := float64(rate) / float64(len(flooders))
			for start, sent := time.Now(), 0; ; {
				now := time.Now()
				if now.After(end) {
					flood.Add(int64(sent))
					return
				}
				for due := int(share * now.Sub(start).Seconds()); sent < due; sent++ {
					_, _ = f.conn.Write(f.query) // there is no answer to wait for
				}
				time.Sleep(time.Millisecond) // the pace
			}
		})
	}
	for i := range 20 {
		client := newAsker(t, fmt.Sprintf("127.0.%d.1", 100+i), server)
		wg.Go(func() {
			for time.Now().Before(end) {
				asked.Add(1)
				if client.ask() {
					answered.Add(1)
				}
				time.Sleep(50 * time.Millisecond) // a client like others
			}
		})
	}
	wg.Wait()

	t.Logf("slowed %t: %d answers/s, flood of %.1f times that; %d of %d legitimate questions were answered; at most %d KiB, before %d",
		slowed, capacity, float64(flood.Load())/lasting.Seconds()/float64(max(capacity, 1)), answered.Load(), asked.Load(),
		peakMemory(t, pid), before)
	if answered.Load() < asked.Load()*98/100 || answered.Load() < 20 {
		t.Errorf("only %d of %d legitimate questions were answered", answered.Load(), asked.Load())
	}
	if grown := peakMemory(t, pid) - before; grown > 64<<10 {
		t.Errorf("memory grew by %d KiB", grown)
	}
	var stats map[string]map[string]string
	if err := json.Unmarshal([]byte(runProgram(t, "gossip", "info", "-rpc-addr", rpc["aRPC"], "-format", "json").stdout), &stats); err != nil {
		t.Fatal(err)
	}
	if n, _ := strconv.Atoi(stats["dns"]["rate_dropped"]); n == 0 {
		t.Errorf("no reply was held back: %v", stats["dns"])
	}
	for name, r := range agents {
		if !alive(name) || strings.Contains(r.out.String(), "EventMemberFailed") {
			t.Errorf("%s took a member for failed", name)
		}
	}
	for _, i := range []int{0, 1} { // one of each network
		if err := within("who flooded is answered again", flooders[i].ask); err != nil {
			t.Error(err)
		}
	}
}
