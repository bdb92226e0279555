package haproxy

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/haproxy/cli"
	"github.com/seed-645ce708/gossip/lbsync/internal/lbtest"
)

// raw sends a line as it is: for what Command would not let through.
func raw(t *testing.T, socket, line string) string {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }() // it was read
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte(line + "\n")); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		out.Write(buf[:n])
		if err != nil {
			return out.String()
		}
	}
}

// TestReplies asks the real program for each reply that we know of, and has it classified.
func TestReplies(t *testing.T) {
	t.Parallel()
	operator := ""
	b := lbtest.HAProxyWith(t, func(b *lbtest.Balancer) lbtest.HAProxyLines {
		operator = b.Dir + "/operator.sock"
		return lbtest.HAProxyLines{
			Global:   "stats socket " + operator + " mode 600 level operator",
			Frontend: "http-request set-header X-Up yes if { srv_is_up(web/pinned) }",
			Backend: `server slot1 127.0.0.1:1 disabled check
    server pinned 127.0.0.1:1
backend static
    balance static-rr
    server a 127.0.0.1:1
backend maphash
    balance source
    server a 127.0.0.1:1`,
		}
	})
	hold := listen(t, "hold", "127.0.0.1:0")
	_, port, err := net.SplitHostPort(hold.addr)
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		line string
		want cli.Kind
	}
	rows := []row{
		{"set server web/slot1 addr 127.0.0.1 port 28103", cli.OK},
		{"set server web/slot1 addr 127.0.0.1 port 28103", cli.OK},
		{"set server web/slot1 addr ::1 port 28103", cli.OK},
		{"set server web/slot1 addr localhost port 1", cli.BadValue},
		{"set server web/slot1 addr ::1 port 99999", cli.OK}, // which is why no other than a uint16 is ever sent
		{"set server web/slot1 addr ::1 port abc", cli.BadValue},
		{"set server web/slot1 state ready", cli.OK},
		{"set server web/slot1 state drain", cli.OK},
		{"set server web/slot1 state maint", cli.OK},
		{"set server web/slot1 state bogus", cli.BadValue},
		{"set server web/nope state ready", cli.NoSuchServer},
		{"set server nope/x state ready", cli.NoSuchBackend},
		{"set server web", cli.BadValue},
		{"set weight web/slot1 257", cli.BadValue},
		{"set weight web/slot1 -1", cli.BadValue},
		{"set weight static/a 10", cli.StaticWeight},
		{"set weight static/a 0%", cli.OK},
		{"add server web/dyn1 " + hold.addr, cli.OK},
		{"add server web/dyn1 " + hold.addr, cli.Exists},
		{"add server static/x 127.0.0.1:1", cli.StaticBackend},
		{"add server maphash/x 127.0.0.1:1", cli.StaticBackend},
		{"add server nope/x 127.0.0.1:1", cli.NoSuchBackend},
		{"add server web/x 127.0.0.1:1 resolvers r", cli.KeywordRefused},
		{"add server web/x 127.0.0.1:1 track web/dyn1", cli.BadValue},
		{"add server web/a/b 127.0.0.1:1", cli.BadValue},
		{"add server web/a,b 127.0.0.1:1", cli.BadValue},
		{"add server web/x 127.0.0.1:1 id 2000000001", cli.OK},
		{"enable server web/dyn1", cli.OK},
		{"del server web/dyn1", cli.NotInMaint},
		{"set server web/pinned state maint", cli.OK},
		{"del server web/pinned", cli.Referenced},
		{"del server web/x", cli.OK},
		{"bogus", cli.UnknownCommand},
		{"show servers state nope", cli.NoSuchBackend},
		{"show servers conn nope", cli.NoSuchBackend},
	}
	if !cli.ParseVersion(raw(t, b.Admin, "show version")).AtLeast(3, 0) {
		rows = append(rows, row{"set server web/slot1 addr ::1 port +5", cli.BadValue}, row{"add server web/y 127.0.0.1:1 cookie c", cli.KeywordRefused},
			row{"add server web/y 127.0.0.1:1 id 4000000001", cli.BadValue}, row{"add server web/y 127.0.0.1:1 id 0", cli.BadValue})
	}
	for _, tt := range rows {
		reply := raw(t, b.Admin, tt.line)
		if got := cli.Classify(strings.TrimSpace(reply)); got != tt.want {
			t.Errorf("%s: %q is %q, want %q", tt.line, reply, got, tt.want)
		}
	}
	if reply := raw(t, operator, "set server web/slot1 state ready"); cli.Classify(reply) != cli.Denied {
		t.Errorf("as an operator: %q", reply)
	}

	// While a request runs; and then as a whole line, with all there is to parse.
	r := newRig(t, b, nil)
	busy := r.slow(3 * time.Second)
	r.eventually("it has no session", func() bool { return r.read()["dyn1"].Sessions > 0 })
	if reply := raw(t, b.Admin, "set server web/dyn1 state maint;del server web/dyn1"); !strings.Contains(reply, "still has connections") || cli.Classify(strings.TrimSpace(reply)) != cli.Busy {
		t.Errorf("busy: %q", reply)
	}
	if err := <-busy; err != nil {
		t.Error(err)
	}
	client := cli.New(b.Admin, 10*time.Second)
	replies, err := client.Query(context.Background(), cli.ShowInfo(), cli.ShowState("web"), cli.ShowConn("web"), cli.ShowState(""))
	if err != nil {
		t.Fatal(err)
	}
	info, err := cli.ParseInfo(replies[0])
	if err != nil || info.PID == 0 || !strings.HasPrefix(info.Version.Text, "2.") && !strings.HasPrefix(info.Version.Text, "3.") || time.Since(info.Started) > time.Hour {
		t.Errorf("%+v, %v", info, err)
	}
	states, err := cli.ParseServersState(replies[1])
	if err != nil || len(states) != 3 {
		t.Fatal(states, err)
	}
	var names []string
	for _, s := range states {
		names = append(names, s.Name)
		if s.Name == "dyn1" && s.Addr.String() != "127.0.0.1:"+port {
			t.Errorf("%+v", s)
		}
	}
	if !slices.Equal(names, []string{"slot1", "pinned", "dyn1"}) {
		t.Errorf("servers %q", names)
	}
	if conns, err := cli.ParseServersConn(replies[2]); err != nil || len(conns) != 3 {
		t.Error(conns, err)
	}
	if all, err := cli.ParseServersState(replies[3]); err != nil || len(all) != 5 {
		t.Error(all, err)
	}
	stat, err := client.Query(context.Background(), cli.ShowStat(states[0].BackendID))
	if err != nil {
		t.Fatal(err)
	}
	if stats, err := cli.ParseStat(stat[0]); err != nil || len(stats) != 3 || stats[0].Ref != (cli.Ref{Backend: "web", Server: "slot1"}) || stats[0].Status != "MAINT" {
		t.Errorf("%+v, %v", stats, err)
	}
	master, err := cli.NewMaster(b.Socket, 10*time.Second).Do(context.Background(), cli.ShowProcesses())
	if err != nil {
		t.Fatal(err)
	}
	if p, err := cli.ParseProcesses(master); err != nil || !p.Has(info.PID) {
		t.Errorf("%+v, %v, worker %d", p, err, info.PID)
	}
}
