package desired_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/lbsync/internal/desired"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
)

func member(name, addr, status string, tags ...string) api.Member {
	m := api.Member{Name: name, Addr: net.ParseIP(addr), Port: 7946, Status: status, Tags: map[string]string{}}
	for _, tag := range tags {
		key, value, _ := strings.Cut(tag, "=")
		m.Tags[key] = value
	}
	return m
}

// summary writes a result on one line: "a=10.0.0.1:80/100 b=..+backup | left: c | rejected: d".
func summary(res desired.Result) string {
	var parts []string
	for _, s := range res.Service.Servers {
		part := s.Name + "=" + s.HostPort()
		if s.Weight != 100 {
			part += fmt.Sprintf("/w%d", s.Weight)
		}
		if s.Backup {
			part += "+backup"
		}
		if s.Drain {
			part += "+drain"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, " ")
}

func TestEvaluate(t *testing.T) {
	t.Parallel()
	web := desired.Spec{Name: "web", Published: "web"}
	tests := []struct {
		name     string
		spec     desired.Spec
		members  []api.Member
		want     string
		left     string
		rejected []string // "member: part of the reason"
	}{
		{name: "role and port, in any order", spec: web, members: []api.Member{
			member("b", "10.0.0.2", "alive", "role=web", "port=80"), member("a", "10.0.0.1", "alive", "role=web", "port=81")},
			want: "a=10.0.0.1:81 b=10.0.0.2:80"},
		{name: "svc tag with weight and drain", spec: web, members: []api.Member{
			member("a", "10.0.0.1", "alive", "svc:web=80,w=50"), member("b", "fd00::2", "alive", "svc:web=80,drain"),
			member("c", "10.0.0.3", "alive", "svc:web=80,w=0"), member("d", "10.0.0.4", "alive", "svc:web=80,w=60000")},
			want: "a=10.0.0.1:80/w50 b=[fd00::2]:80+drain c=10.0.0.3:80/w1+drain d=10.0.0.4:80/w256"},
		{name: "other services are not selected", spec: web, members: []api.Member{
			member("a", "10.0.0.1", "alive", "role=db", "port=80"), member("b", "10.0.0.2", "alive", "svc:webx=80")}},
		{name: "statuses", spec: web, members: []api.Member{
			member("a", "10.0.0.1", "alive", "svc:web=80"), member("b", "10.0.0.2", "failed", "svc:web=80"),
			member("c", "10.0.0.3", "leaving", "svc:web=80"), member("d", "10.0.0.4", "left", "svc:web=80"),
			member("e", "10.0.0.5", "none", "svc:web=80")},
			want: "a=10.0.0.1:80", left: "c d"},
		{name: "priorities", spec: web, members: []api.Member{
			member("a", "10.0.0.1", "alive", "svc:web=80,p=2"), member("b", "10.0.0.2", "alive", "svc:web=80,p=1"),
			member("c", "10.0.0.3", "alive", "svc:web=80,p=0,drain")},
			want: "a=10.0.0.1:80+backup b=10.0.0.2:80 c=10.0.0.3:80+drain"},
		{name: "tags alone", spec: desired.Spec{Name: "web", Port: 8080, Tags: []desired.Match{{Key: "dc", Exact: "a"},
			{Key: "tier", Pattern: regexp.MustCompile(`^(?:fr.*)$`)}}}, members: []api.Member{
			member("a", "10.0.0.1", "alive", "dc=a", "tier=front"), member("b", "10.0.0.2", "alive", "dc=a", "tier=xfront"),
			member("c", "10.0.0.3", "alive", "dc=b", "tier=front"), member("d", "10.0.0.4", "alive", "dc=a", "tier=front", "svc:web=9")},
			want: "a=10.0.0.1:8080 d=10.0.0.4:9"},
		{name: "endpoint tags", spec: desired.Spec{Name: "web", Published: "web", AddressTag: "lb_addr", PortTag: "http",
			WeightTag: "weight", DrainTags: map[string]string{"lb": "drain"}}, members: []api.Member{
			member("a", "10.0.0.1", "alive", "svc:web=80", "lb_addr=192.0.2.1", "http=8080", "weight=7"),
			member("b", "10.0.0.2", "alive", "svc:web=80", "lb=drain"), member("c", "10.0.0.3", "alive", "svc:web=80", "weight=0"),
			member("d", "10.0.0.4", "alive", "svc:web=80", "lb=up")},
			want: "a=192.0.2.1:8080/w7 b=10.0.0.2:80+drain c=10.0.0.3:80/w1+drain d=10.0.0.4:80"},
		{name: "unusable members", spec: desired.Spec{Name: "web", Published: "web", AddressTag: "lb_addr", PortTag: "http", WeightTag: "weight"},
			members: []api.Member{
				member("a;b", "10.0.0.1", "alive", "svc:web=80"),
				member("a\nb", "10.0.0.1", "alive", "svc:web=80"),
				member("-a", "10.0.0.1", "alive", "svc:web=80"),
				member(strings.Repeat("n", 129), "10.0.0.1", "alive", "svc:web=80"),
				member("", "10.0.0.1", "alive", "svc:web=80"),
				member("loop", "127.0.0.1", "alive", "svc:web=80"),
				member("multi", "224.0.0.1", "alive", "svc:web=80"),
				member("none", "0.0.0.0", "alive", "svc:web=80"),
				member("noaddr", "", "alive", "svc:web=80"),
				member("noport", "10.0.0.1", "alive", "role=web"),
				member("port0", "10.0.0.1", "alive", "svc:web=0"),
				member("portx", "10.0.0.1", "alive", "svc:web=80", "http=99999"),
				member("addrx", "10.0.0.1", "alive", "svc:web=80", "lb_addr=localhost"),
				member("weightx", "10.0.0.1", "alive", "svc:web=80", "weight=257"),
				member("zone", "10.0.0.1", "alive", "svc:web=80", "lb_addr=fe80::1%eth0"),
				member("twin1", "10.0.0.9", "alive", "svc:web=80"), member("twin2", "10.0.0.9", "alive", "svc:web=80"),
			},
			want: "twin1=10.0.0.9:80",
			rejected: []string{": no name", "-a: begin with", "a\nb: its name has", "a;b: its name has \";\"", "addrx: not an IP",
				"loop: allow_loopback", "multi: a group's", strings.Repeat("n", 129) + ": limit is 128", "noaddr: 0 bytes", "none: nobody's",
				"noport: publishes no port", "port0: from 1 to 65535", "portx: not a port", "twin2: already twin1's", "weightx: not a weight", "zone: has a zone"}},
		{name: "loopback if allowed", spec: desired.Spec{Name: "web", Published: "web", AllowLoopback: true},
			members: []api.Member{member("a", "127.0.0.2", "alive", "role=web", "port=80")}, want: "a=127.0.0.2:80"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			res := desired.Evaluate(tt.spec, tt.members)
			if got := summary(res); got != tt.want {
				t.Errorf("servers: got  %s\nwant %s", got, tt.want)
			}
			var left []string
			for name, fate := range res.Others {
				if fate == desired.Left {
					left = append(left, name)
				}
			}
			slices.Sort(left)
			if got := strings.Join(left, " "); got != tt.left {
				t.Errorf("left: got %q, want %q", got, tt.left)
			}
			if len(res.Rejected) != len(tt.rejected) {
				t.Fatalf("rejected: got %+v, want %q", res.Rejected, tt.rejected)
			}
			for i, r := range res.Rejected {
				name, part, _ := strings.Cut(tt.rejected[i], ": ")
				if r.Member != name || !strings.Contains(r.Reason, part) {
					t.Errorf("rejected %q: %s; want %q: %s", r.Member, r.Reason, name, part)
				}
			}
		})
	}
}

func TestUnsafeTagsAreLeftOut(t *testing.T) {
	t.Parallel()
	res := desired.Evaluate(desired.Spec{Name: "web", Published: "web"}, []api.Member{
		member("a", "10.0.0.1", "alive", "svc:web=80", "zone=eu-1", "note=x; y", "evil=a\nserver x", "brace={", "quote=\"")})
	want := map[string]string{"svc:web": "80", "zone": "eu-1"}
	if got := res.Service.Servers[0].Tags; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestNode finds the agent's own member, screened, and nobody where there is none that files could name.
func TestNode(t *testing.T) {
	t.Parallel()
	members := []api.Member{
		{Name: "lb-1", Addr: net.ParseIP("10.0.0.9"), Status: "leaving", Tags: map[string]string{"zone": "eu", "evil": "a;b"}},
		{Name: "l b", Addr: net.ParseIP("10.0.0.8"), Status: "alive"},
		{Name: "odd", Addr: net.IP{1, 2}, Status: "alive"},
	}
	want := pool.Node{Name: "lb-1", Addr: netip.MustParseAddr("10.0.0.9"), Tags: map[string]string{"zone": "eu"}}
	if got := desired.Node(members, "lb-1"); !got.Equal(want) || got.Zone() != "eu" {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := desired.Node(members, "odd"); got.Name != "odd" || got.Addr.IsValid() {
		t.Errorf("without an address: %+v", got)
	}
	for _, name := range []string{"", "lb-2", "l b"} {
		if got := desired.Node(members, name); !got.Equal(pool.Node{}) {
			t.Errorf("%q is %+v", name, got)
		}
	}
}

func TestIPv4InIPv6Form(t *testing.T) {
	t.Parallel()
	m := member("a", "10.0.0.1", "alive", "svc:web=80")
	m.Addr = m.Addr.To16()
	res := desired.Evaluate(desired.Spec{Name: "web", Published: "web"}, []api.Member{m})
	if got := res.Service.Servers[0].Addr; got != netip.MustParseAddr("10.0.0.1") {
		t.Errorf("got %v", got)
	}
}

// TestOrderDoesNotMatter: the same members give the same result, in whatever order they come.
func TestOrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	members := []api.Member{member("a", "10.0.0.1", "alive", "svc:web=80"), member("b", "10.0.0.1", "alive", "svc:web=80"),
		member("c", "10.0.0.3", "left", "svc:web=80"), member("d", "10.0.0.4", "alive", "svc:web=80,p=1")}
	want := desired.Evaluate(desired.Spec{Name: "web", Published: "web"}, members)
	for range 50 {
		rand.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
		if got := desired.Evaluate(desired.Spec{Name: "web", Published: "web"}, members); !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	}
}

func FuzzEvaluate(f *testing.F) {
	f.Add("web-1", []byte{10, 0, 0, 1}, "svc:web", "80,w=5", "web")
	f.Add("evil;set server web/a state maint", []byte{127, 0, 0, 1}, "role", "web", "")
	f.Fuzz(func(t *testing.T, name string, addr []byte, key, value, role string) {
		m := api.Member{Name: name, Addr: addr, Status: "alive", Tags: map[string]string{key: value, "role": role, "port": "80"}}
		spec := desired.Spec{Name: "web", Published: "web", AddressTag: "a", PortTag: "p", WeightTag: "w"}
		for _, s := range desired.Evaluate(spec, []api.Member{m}).Service.Servers {
			if s.Port == 0 || !s.Addr.IsValid() || s.Weight < 1 || s.Weight > desired.MaxWeight {
				t.Errorf("unusable server %+v", s)
			}
			for k, v := range s.Tags {
				if strings.ContainsAny(k+v+s.Name, " \t\r\n;{}'\"#\\$`") {
					t.Errorf("a separator came through: %q %q %q", s.Name, k, v)
				}
			}
		}
	})
}
