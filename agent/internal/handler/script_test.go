package handler

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/view"
)

func TestEnviron(t *testing.T) {
	t.Parallel()
	self := Self{Name: "alpha", Tags: map[string]string{"role": "web", "dc-x.y": "e\x00ast", "DC": "1", "straße": "s"}}
	common := []string{
		"SELF_NAME=alpha", "SELF_ROLE=web", "TAG_DC=1", "TAG_DC_X_Y=east", "TAG_ROLE=web", "TAG_STRA_E=s",
	}
	for _, tt := range []struct {
		e    event.Event
		want []string
	}{
		{&event.Member{Kind: event.TypeMemberFailed}, []string{"EVENT=member-failed"}},
		{&event.User{Name: "deploy", LTime: 7}, []string{"EVENT=user", "USER_EVENT=deploy", "USER_LTIME=7"}},
		{&event.Query{Name: "load", LTime: 9}, []string{"EVENT=query", "QUERY_NAME=load", "QUERY_LTIME=9"}},
	} {
		var want []string
		for _, v := range append(slices.Clone(common), tt.want...) {
			want = append(want, "SERF_"+v, "GOSSIP_"+v)
		}
		got := environ(self, tt.e)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%v: got  %q\nwant %q", tt.e, got, want)
		}
	}
	if got := environ(Self{Name: "a"}, &event.User{}); !slices.Contains(got, "SERF_SELF_ROLE=") {
		t.Errorf("%q lacks an empty SERF_SELF_ROLE", got)
	}
}

func TestStdin(t *testing.T) {
	t.Parallel()
	m := func(name, addr string, tags map[string]string) *view.Member {
		return &view.Member{Name: name, Addr: netip.MustParseAddr(addr), Port: 7946, Tags: tags}
	}
	for name, tt := range map[string]struct {
		e    event.Event
		want string
	}{
		"plain": {&event.Member{Members: []*view.Member{m("gamma", "127.0.0.3", nil)}}, "gamma\t127.0.0.3\t\t\n"},
		"two, with tags": {&event.Member{Members: []*view.Member{
			m("a", "::ffff:10.0.0.1", map[string]string{"role": "web", "dc": "east"}), m("b", "::1", nil)}},
			"a\t10.0.0.1\tweb\tdc=east,role=web\nb\t::1\t\t\n"},
		"escaped": {&event.Member{Members: []*view.Member{m("a\tb\n", "10.0.0.1", map[string]string{"role": "x\ny", "k": "1\\t"})}},
			`a\tb\n` + "\t10.0.0.1\t" + `x\ny` + "\t" + `k=1\t,role=x\ny` + "\n"},
		"payload":             {&event.User{Payload: []byte("v1")}, "v1\n"},
		"payload that ends":   {&event.User{Payload: []byte("v1\n")}, "v1\n"},
		"no payload":          {&event.User{}, ""},
		"query":               {&event.Query{Payload: []byte("a\nb")}, "a\nb\n"},
		"query, no payload":   {&event.Query{Payload: []byte{}}, ""},
		"binary as it stands": {&event.User{Payload: []byte{0, 255}}, "\x00\xff\n"},
	} {
		if got := string(stdin(tt.e)); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

func TestStdinLeavesThePayloadAlone(t *testing.T) {
	t.Parallel()
	payload := make([]byte, 2, 8)
	copy(payload, "v1")
	stdin(&event.User{Payload: payload})
	if payload[:3][2] != 0 {
		t.Error("stdin wrote behind the payload, which other goroutines share")
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	out := &tail{limit: 10}
	for _, s := range []string{"", "abc", strings.Repeat("x", 25), "0123456789", "y", "z", strings.Repeat("w", 9)} {
		all.WriteString(s)
		if n, err := out.Write([]byte(s)); n != len(s) || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
		want := all.String()
		if len(want) > 10 {
			want = want[len(want)-10:]
		}
		if got := string(out.bytes()); got != want {
			t.Fatalf("kept %q, want %q", got, want)
		}
	}
	if out.total != int64(all.Len()) {
		t.Errorf("total = %d, want %d", out.total, all.Len())
	}
	if cap(out.buf) > 64 {
		t.Errorf("a tail of 10 bytes holds %d", cap(out.buf))
	}
}
