package main

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/dnsserver/dnsclient"
)

// golden compares text with testdata/NAME. Set UPDATE=1 to write it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s (UPDATE=1 rewrites it):\n--- got\n%s\n--- want\n%s", path, got, want)
	}
}

// someMembers are in the forms in which addresses come: 4 bytes, IPv4 in 16 bytes, IPv6.
func someMembers() []api.Member {
	return []api.Member{
		{Name: "alpha", Addr: net.IP{127, 0, 0, 1}, Port: 7946, Status: "alive", Tags: map[string]string{"role": "web", "dc": "<east>"}, DelegateMin: 2, DelegateMax: 5, DelegateCur: 5},
		{Name: "beta-2", Addr: net.ParseIP("127.0.0.2"), Port: 99, Status: "failed", DelegateMin: 2, DelegateMax: 6, DelegateCur: 4},
		{Name: "γ", Addr: net.ParseIP("::1"), Port: 7999, Status: "left", Tags: map[string]string{"x": "a\x1b[31m\nb|c"}, DelegateMin: 2, DelegateMax: 5, DelegateCur: 5},
	}
}

func TestMembersOutput(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	c := &cli{stdout: &b}
	b.WriteString(membersText(someMembers(), false, time.Time{}) + "\n\n" + membersText(someMembers(), true, time.Time{}) + "\n\n" + membersText(someMembers()[1:2], false, time.Time{}) + "\n\n")
	if err := c.printJSON(membersJSON(someMembers(), true)); err != nil {
		t.Fatal(err)
	}
	golden(t, "members.golden", b.String())
}

// TestReasons: agents of ours say more, which is shown with -detailed alone.
func TestReasons(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	ago := func(d time.Duration) uint64 { return uint64(now.Add(-d).Unix()) }
	members := []api.Member{
		{Name: "alpha", Addr: net.IP{127, 0, 0, 1}, Port: 1, Status: "alive", Damped: true, Note: "flapping", Since: ago(time.Minute), Until: ago(-40 * time.Second)},
		{Name: "beta", Addr: net.IP{127, 0, 0, 1}, Port: 2, Status: "failed", Note: "no answer to probes", Since: ago(12 * time.Second)},
		{Name: "gamma", Addr: net.IP{127, 0, 0, 1}, Port: 3, Status: "left", Since: ago(3*time.Hour + 4*time.Minute + 5*time.Second)},
		{Name: "delta", Addr: net.IP{127, 0, 0, 1}, Port: 4, Status: "left", Note: "a\nb", Since: ago(80 * time.Hour)},
		{Name: "epsilon", Addr: net.IP{127, 0, 0, 1}, Port: 5, Status: "failed", Note: "the clock of the agent is ahead", Since: ago(-time.Hour)},
		{Name: "zeta", Addr: net.IP{127, 0, 0, 1}, Port: 6, Status: "alive"},
	}
	var b strings.Builder
	c := &cli{stdout: &b}
	b.WriteString(membersText(members, true, now) + "\n\n" + membersText(members, false, now) + "\n\n")
	if err := c.printJSON(membersJSON(members[:3], true)); err != nil {
		t.Fatal(err)
	}
	if err := c.printJSON(membersJSON(members[:1], false)); err != nil {
		t.Fatal(err)
	}
	golden(t, "reasons.golden", b.String())
}

func TestMonitorOutput(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, e := range []api.Event{
		&api.UserEventRecord{Event: "user", LTime: 2, Name: "deploy", Payload: []byte("bar"), Coalesce: true},
		&api.UserEventRecord{Event: "user", LTime: 300, Name: "none"},
		&api.QueryEventRecord{Event: "query", ID: 1, LTime: 5, Name: "load", Payload: []byte("x")},
		&api.MemberEventRecord{Event: "member-update", Members: []api.Member{
			{Name: "beta", Addr: net.IP{127, 0, 17, 2}, Port: 17946, Tags: map[string]string{"x": "y"}, Status: "alive", ProtocolMin: 1, ProtocolMax: 5, ProtocolCur: 2, DelegateMin: 2, DelegateMax: 5, DelegateCur: 5},
		}},
	} {
		b.WriteString(eventText(e))
	}
	golden(t, "monitor.golden", b.String())
}

func TestSplit(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		args string
		name string
		rest string
		help bool
	}{
		{"", "", "", false},
		{"--help", "", "", true},
		{"members -x y", "members", "-x y", false},
		{"members -h", "members", "", true},
		{"-h members", "members", "", true},
		{"event a --version", "version", "", false},
		{"event -- -v -h", "event", "-- -v -h", false},
	} {
		name, rest, help := split(strings.Fields(tc.args))
		if name != tc.name || strings.Join(rest, " ") != tc.rest || help != tc.help {
			t.Errorf("%q: got %q %q %v", tc.args, name, rest, help)
		}
	}
}

func TestWaiting(t *testing.T) {
	t.Parallel()
	members := []api.Member{
		{Name: "a", Status: "alive", Tags: map[string]string{"role": "web"}},
		{Name: "b", Status: "alive"},
		{Name: "c", Status: "failed", Tags: map[string]string{"role": "web"}},
		{Name: "d", Status: "leaving"},
	}
	for name, tc := range map[string]struct {
		req       api.QueryRequest
		responses bool
		answers   string // a+ is an ack of a, a= a response
		over      bool
	}{
		"all":                {api.QueryRequest{RequestAck: true}, true, "a+ b= a= b+", true},
		"ack missing":        {api.QueryRequest{RequestAck: true}, true, "a+ b= a=", false},
		"no acks":            {api.QueryRequest{}, true, "b= a=", true},
		"acks alone":         {api.QueryRequest{RequestAck: true}, false, "b+ a+", true},
		"node":               {api.QueryRequest{FilterNodes: []string{"b", "c"}}, true, "b=", true},
		"tag":                {api.QueryRequest{FilterTags: map[string]string{"role": "^w"}}, true, "a=", true},
		"absent tag":         {api.QueryRequest{FilterTags: map[string]string{"role": "^$"}}, true, "b=", true},
		"bad expression":     {api.QueryRequest{FilterTags: map[string]string{"role": "("}}, true, "a= b=", false},
		"nobody, as we know": {api.QueryRequest{FilterNodes: []string{"zz"}}, true, "zz=", false},
	} {
		w := newWaiting(members, tc.req, tc.responses)
		if w.over() {
			t.Errorf("%s: over before it began", name)
		}
		for _, answer := range strings.Fields(tc.answers) {
			if from, ok := strings.CutSuffix(answer, "+"); ok {
				w.ack(from)
			} else {
				w.response(strings.TrimSuffix(answer, "="))
			}
		}
		if w.over() != tc.over {
			t.Errorf("%s: over is %v", name, w.over())
		}
	}
}

func TestReachVerdict(t *testing.T) {
	t.Parallel()
	r := reach{Duplicates: []string{"dup"}}
	r.judge(map[string]bool{"a": true, "b": true, "dup": true}, map[string]bool{"a": true, "z": true, "dup": true})
	if r.OK || !slices.Equal(r.Missing, []string{"b"}) || !slices.Equal(r.Unexpected, []string{"z"}) {
		t.Errorf("%+v", r)
	}
	golden(t, "reachability.golden", r.verdict())
	var ok reach
	ok.judge(map[string]bool{"a": true}, map[string]bool{"a": true})
	if !ok.OK || ok.verdict() != "Successfully contacted all live nodes\n" {
		t.Errorf("%+v %q", ok, ok.verdict())
	}
}

func TestResolveNames(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"web.service":        "web.service.gossip.",
		"web.service.gossip": "web.service.gossip.",
		"WEB.Service.GOSSIP": "WEB.Service.GOSSIP.",
		"web.service.":       "web.service.",
		"gossip":             "gossip.",
		"notgossip":          "notgossip.gossip.",
	} {
		if got := qualify(in, "gossip."); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
	for want, a := range map[string]dnsclient.Answer{
		"n. does not exist (NXDOMAIN); 'gossip members' shows who is there":                                       {Rcode: "NXDOMAIN"},
		"n. exists but has no A record":                                                                           {Rcode: "NOERROR"},
		"n. is not in a zone of the DNS server at s:1 (REFUSED): Not Authoritative; name its zone with -dns-zone": {Rcode: "REFUSED", Reason: "Not Authoritative"},
		"the DNS server at s:1 cannot tell about n. (SERVFAIL): Not Ready":                                        {Rcode: "SERVFAIL", Reason: "Not Ready"},
	} {
		if err := negative("n.", "A", "s:1", "gossip.", a); err == nil || err.Error() != want {
			t.Errorf(" got %v\nwant %s", err, want)
		}
	}
}

// Whoever asks for a node as 'gossip members' shows it is told where it is found.
func TestResolveOfADottedNode(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"db1.example.com.node.gossip.": "a node whose name has dots is found as db1_x2eexample_x2ecom.node.gossip.",
		"db1.node.gossip.":             "'gossip members' shows who is there",
		"node.gossip.":                 "'gossip members' shows who is there",
		"a.b.node.example.":            "'gossip members' shows who is there",
	} {
		if err := negative(name, "A", "s:1", "gossip", dnsclient.Answer{Rcode: "NXDOMAIN"}); !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestHelpOfEveryCommand keeps the help within what a terminal shows, and in good order.
func TestHelpOfEveryCommand(t *testing.T) {
	t.Parallel()
	all := commands()
	if !slices.IsSortedFunc(all, func(a, b *command) int { return strings.Compare(a.name, b.name) }) {
		t.Error("the commands are not sorted by name")
	}
	for _, cmd := range all {
		var b strings.Builder
		c := &cli{stdout: &b, stderr: io.Discard, getenv: func(string) string { return "" }}
		if code := c.run(context.Background(), []string{"help", cmd.name}); code != 0 {
			t.Errorf("help %s: code %d", cmd.name, code)
		}
		if !strings.HasPrefix(b.String(), "Usage: gossip "+cmd.name) {
			t.Errorf("help %s: %s", cmd.name, b.String())
		}
		for line := range strings.Lines(b.String()) {
			if len(line) > 150 {
				t.Errorf("help %s: a line of %d characters: %s", cmd.name, len(line), line)
			}
		}
		for _, s := range cmd.subs {
			if !strings.Contains(b.String(), "\n  "+s.name+" ") {
				t.Errorf("help %s: %s is not in line with the others:\n%s", cmd.name, s.name, b.String())
			}
		}
	}
}
