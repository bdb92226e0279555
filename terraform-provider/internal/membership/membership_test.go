package membership

import (
	"crypto/sha256"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/agent/api"
)

func member(name, status string, tags map[string]string) Member {
	return Member{Name: name, Endpoint: netip.MustParseAddrPort("10.0.0.1:7946"), Status: status, Tags: tags}
}

func TestNewView(t *testing.T) {
	t.Parallel()
	view := NewView("b", []api.Member{
		{Name: "c", Addr: net.ParseIP("10.0.0.3"), Port: 1, Status: Failed}, // in 16 bytes
		{Name: "a", Addr: net.ParseIP("2001:db8::1"), Port: 7946, Status: Alive, DelegateCur: 5},
		{Name: "b", Addr: nil, Status: Alive, Tags: map[string]string{"role": "web"}},
	})
	var got []string
	for _, m := range view.Members {
		got = append(got, m.Name+" "+m.Endpoint.String())
		if m.Tags == nil {
			t.Errorf("the tags of %s are nil", m.Name)
		}
	}
	want := []string{"a [2001:db8::1]:7946", "b invalid AddrPort", "c 10.0.0.3:1"}
	if !slices.Equal(got, want) {
		t.Errorf("view is %q, want %q", got, want)
	}
	if m, ok := view.Member("c"); !ok || m.Status != Failed {
		t.Errorf("Member(c) = %+v, %v", m, ok)
	}
	if _, ok := view.Member("d"); ok {
		t.Error("found a member that is not there")
	}
	if c := view.Counts(); c[Alive] != 2 || c[Failed] != 1 || len(c) != 4 {
		t.Errorf("counts are %v", c)
	}
}

func TestCompany(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		others          []Member
		alone, isolated bool
	}{
		"nobody":         {nil, true, false},
		"one alive":      {[]Member{member("x", Alive, nil)}, false, false},
		"one going":      {[]Member{member("x", Leaving, nil)}, false, false},
		"all left":       {[]Member{member("x", Left, nil), member("y", Left, nil)}, true, false},
		"all failed":     {[]Member{member("x", Failed, nil), member("y", Failed, nil)}, true, true},
		"left or failed": {[]Member{member("x", Failed, nil), member("y", Left, nil)}, true, true},
		"alive, failed":  {[]Member{member("x", Failed, nil), member("y", Alive, nil)}, false, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			view := View{Observer: "me", Members: append(tt.others, member("me", Alive, nil))}
			if got := view.Alone(); got != tt.alone {
				t.Errorf("Alone() = %v, want %v", got, tt.alone)
			}
			if got := view.Isolated(); got != tt.isolated {
				t.Errorf("Isolated() = %v, want %v", got, tt.isolated)
			}
		})
	}
}

func TestSelect(t *testing.T) {
	t.Parallel()
	members := []Member{
		member("a", Alive, map[string]string{"role": "web", "zone": ""}),
		member("ab", Failed, map[string]string{"role": "web"}),
		member("b", Left, nil),
	}
	tests := map[string]struct {
		filter Filter
		expr   string
		want   string
	}{
		"all":         {want: "a ab b"},
		"status":      {filter: Filter{Statuses: []string{Failed, Left}}, want: "ab b"},
		"whole name":  {expr: "a|b", want: "a b"},
		"tag":         {filter: Filter{Tags: map[string]string{"role": "web"}}, want: "a ab"},
		"empty tag":   {filter: Filter{Tags: map[string]string{"zone": ""}}, want: "a"},
		"all at once": {filter: Filter{Statuses: []string{Failed}, Tags: map[string]string{"role": "web"}}, expr: "a.*", want: "ab"},
		"none":        {filter: Filter{Statuses: []string{Leaving}}, want: ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.expr != "" {
				expr, err := CompileName(tt.expr)
				if err != nil {
					t.Fatal(err)
				}
				tt.filter.Name = expr
			}
			selected := tt.filter.Select(members)
			if selected == nil {
				t.Error("the selection is nil")
			}
			var names []string
			for _, m := range selected {
				names = append(names, m.Name)
			}
			if got := strings.Join(names, " "); got != tt.want {
				t.Errorf("selected %q, want %q", got, tt.want)
			}
		})
	}
	if _, err := CompileName("a)(b"); err == nil {
		t.Error("an expression that only balances once it is wrapped was accepted")
	}
}

// The digest is kept in users' states: its form must not change.
func TestDigest(t *testing.T) {
	t.Parallel()
	a := member("a", Alive, map[string]string{"role": "web", "port": "80"})
	const text = `[{"name":"a","endpoint":"10.0.0.1:7946","status":"alive","tags":{"port":"80","role":"web"}}]`
	if got, want := Digest([]Member{a}), fmt.Sprintf("%x", sha256.Sum256([]byte(text))); got != want {
		t.Errorf("Digest() = %s, want %s", got, want)
	}
	same := a
	same.Protocol = 4
	if Digest([]Member{a}) != Digest([]Member{same}) {
		t.Error("the protocol version changes the digest")
	}
	for what, change := range map[string]func(*Member){
		"name":     func(m *Member) { m.Name = "b" },
		"endpoint": func(m *Member) { m.Endpoint = netip.MustParseAddrPort("10.0.0.1:7947") },
		"status":   func(m *Member) { m.Status = Failed },
		"tags":     func(m *Member) { m.Tags = map[string]string{"role": "web"} },
	} {
		other := a
		change(&other)
		if Digest([]Member{a}) == Digest([]Member{other}) {
			t.Errorf("the digest does not change with the %s", what)
		}
	}
	if Digest(nil) != Digest([]Member{}) {
		t.Error("no members and none have different digests")
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	if got := Summary(nil); got != "none" {
		t.Errorf("Summary of nobody = %q", got)
	}
	many := slices.Repeat([]Member{member("a", Alive, nil)}, summaryLimit+5)
	if got := Summary(many); !strings.HasSuffix(got, "a (alive), and 5 more") {
		t.Errorf("Summary of many = %q", got)
	}
}
