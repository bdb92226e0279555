package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/lbsync/internal/haproxy/cli"
	"github.com/seed-645ce708/gossip/lbsync/internal/haproxy/conf"
)

var now26 = Known{Version: cli.Version{Major: 2, Minor: 6}}

func want(lines string) Backend {
	sections := conf.Parse("backend web\n" + lines)
	return Backend{Name: "web", Probation: true, Servers: conf.Servers(sections[0], nil)}
}

// have makes a server as HAProxy reports it: "NAME ADDR ID WEIGHT FLAGS...".
func have(rows ...string) Actual {
	servers := map[string]Server{}
	for _, row := range rows {
		var s Server
		var addr string
		_, _ = fmt.Sscan(row, &s.Name, &addr, &s.ID, &s.Weight)
		s.Backend, s.Addr, s.Op, s.Initial, s.Check = "web", netip.MustParseAddrPort(addr), 2, 100, 6
		for _, flag := range strings.Fields(row)[4:] {
			switch flag {
			case "maint":
				s.Admin, s.Op = cli.AdminMaint, 0
			case "ready-disabled": // written disabled and made ready
				s.Admin = 4
			case "drain":
				s.Admin = cli.AdminDrain
			case "busy":
				s.Used = 2
			case "backup":
				s.Backup = true
			case "unwatched":
				s.Check = 2
			}
		}
		servers[s.Name] = s
	}
	return Actual{"web": servers}
}

const (
	lineA = " server a 10.0.0.1:80 id 1 weight 100 check\n"
	lineB = " server b 10.0.0.2:80 id 2 weight 100 check inter 1s\n"
	rowA  = "a 10.0.0.1:80 1 100"
	rowB  = "b 10.0.0.2:80 2 100"
)

func TestMake(t *testing.T) {
	t.Parallel()
	fixed := func(b Backend) Backend { b.Fixed, b.Static = true, true; return b }
	bold := func(b Backend) Backend { b.Probation = false; return b }
	force := func(b Backend) Backend { b.Force = true; return b }
	keep := Known{Version: now26.Version, KeepWeights: true, KeepStates: true}
	tests := []struct {
		name  string
		want  Backend
		have  Actual
		known Known
		plan  string // steps, then "reload: ...", "remains: ...", "kept: ..."
	}{
		{"in step", want(lineA), have(rowA), now26, ""},
		{"written disabled, made ready", want(lineA), have(rowA + " ready-disabled"), now26, ""},
		{
			"a new server earns its way in", want(lineA + lineB), have(rowA), now26,
			"add server web/b 10.0.0.2:80 id 2 weight 100 check inter 1s pool-purge-delay 5s pool-max-conn -1;enable health web/b;enable server web/b;set server web/b health down",
		},
		{
			"without probation", bold(want(lineB)), have(), now26,
			"add server web/b 10.0.0.2:80 id 2 weight 100 check inter 1s pool-purge-delay 5s pool-max-conn -1;enable health web/b;enable server web/b",
		},
		{"without checks, of 3.0, a backup", want(" server a 10.0.0.1:80 backup\n"), have(), Known{Version: cli.Version{Major: 3}}, "add server web/a 10.0.0.1:80 weight 1 backup;enable server web/a"},
		{"weights before new servers before removals", want(lineA + lineB), have("a 10.0.0.1:80 1 7", "z 10.0.0.9:80 9 100"), now26, "set server web/a weight 100\n" +
			"add server web/b 10.0.0.2:80 id 2 weight 100 check inter 1s pool-purge-delay 5s pool-max-conn -1;enable health web/b;enable server web/b;set server web/b health down\n" +
			"set server web/z state maint\ndel server web/z"},
		{"another address", want(lineA), have("a 10.0.0.7:81 1 100"), now26, "set server web/a addr 10.0.0.1 port 80;set server web/a health down"},
		{"another address, no probation", bold(want(lineA)), have("a [fd00::1]:81 1 100"), now26, "set server web/a addr 10.0.0.1 port 80"},
		{"back from maintenance", want(lineA), have(rowA + " maint"), now26, "set server web/a state ready;set server web/a health down"},
		{"back from a drain it was healthy in", want(lineA), have(rowA + " drain"), now26, "set server web/a state ready"},
		{"added, and the rest was lost", want(lineA), have(rowA + " maint unwatched"), now26, "enable health web/a;set server web/a state ready;set server web/a health down"},
		{"checks stopped by hand", want(lineA), have(rowA + " unwatched"), now26, "enable health web/a"},
		{"checks stopped by hand, respected", want(lineA), have(rowA + " unwatched"), keep, ""},
		{"back elsewhere", want(lineA), have("a 10.0.0.7:81 1 100 drain"), now26, "set server web/a addr 10.0.0.1 port 80;set server web/a state ready;set server web/a health down"},
		{"gone with sessions", want(lineA), have(rowA, rowB+" busy"), now26, "set server web/b state maint\nremains: web/b: 2 sessions"},
		{"gone, waits", want(lineA), have(rowA, rowB+" busy maint"), now26, "remains: web/b: 2 sessions"},
		{"gone, sessions are ended", force(want(lineA)), have(rowA, rowB+" busy maint"), now26, "shutdown sessions server web/b\nremains: web/b: 2 sessions"},
		{"gone, idle connections", want(lineA), have(rowA, rowB+" maint"), Known{Version: now26.Version, Busy: map[cli.Ref]bool{{Backend: "web", Server: "b"}: true}}, "remains: web/b: idle connections"},
		{"gone, pointed to", want(lineA), have(rowA, rowB+" maint"), Known{Version: now26.Version, Pinned: map[cli.Ref]bool{{Backend: "web", Server: "b"}: true}}, "remains: web/b stays in maintenance until the next reload"},
		{"gone in 3.0", want(lineA), have(rowA, rowB+" maint"), Known{Version: cli.Version{Major: 3}}, "wait 100ms srv-removable web/b;del server web/b"},
		{"an old version", want(lineA + lineB), have(rowA), Known{Version: cli.Version{Major: 2, Minor: 4}}, "reload: web/b: this version of haproxy takes no servers at run time"},
		{"no backend", want(lineA), Actual{}, now26, "reload: backend web is new"},
		{"another id", want(lineA), have("a 10.0.0.1:80 5 100"), now26, "reload: web/a has id 5, not 1"},
		{"a backup now", want(lineA), have(rowA + " backup"), now26, "reload: web/a changes between server and backup"},
		{"a refused option", want(lineA), have(), Known{Version: now26.Version, Refused: map[string]bool{"check": true}}, `reload: web/a: option "check" is refused at run time`},
		{"a static algorithm found out", want(lineA), have(), Known{Version: now26.Version, Closed: map[string]bool{"web": true}}, "reload: web/a: the balance algorithm takes no servers at run time"},
		{"an option that cannot be said", want(" server a 10.0.0.1:80 sni 'str(a b)'\n"), have(), now26, `reload: web/a: option "str(a b)" cannot be said at run time`},
		{"it failed before", want(lineA), have("a 10.0.0.7:81 1 100"), Known{Version: now26.Version, Failed: map[Attempt]bool{{cli.Ref{Backend: "web", Server: "a"}, Move}: true}}, "reload: haproxy does not move web/a as it was told"},
		{"a name to resolve is left alone", want(" server a host:80 id 1\n"), have(rowA), now26, ""},
		{"a weight by hand", want(lineA), have("a 10.0.0.1:80 1 7"), keep, "kept: web/a has weight 7 by hand, not 100"},
		{"a state by hand", want(lineA), have(rowA + " maint"), keep, "kept: web/a is taken out by hand"},
		{"a state by hand, and it moves", want(lineA), have("a 10.0.0.7:81 1 100 maint"), keep, "set server web/a addr 10.0.0.1 port 80\nkept: web/a is taken out by hand"},
		{"our own state", want(lineA), have(rowA + " maint"), Known{KeepStates: true, Parked: map[cli.Ref]bool{{Backend: "web", Server: "a"}: true}}, "set server web/a state ready;set server web/a health down"},
		{"our own new weight", want(" server a 10.0.0.1:80 id 1 weight 50\n"), have(rowA), keep, "set server web/a weight 50"},

		{"a slot is taken", fixed(want(lineA)), have("a 127.0.0.1:1 1 100 maint"), now26, "set server web/a addr 10.0.0.1 port 80;set server web/a state ready;set server web/a health down"},
		{"a slot is freed", fixed(want(" server a 127.0.0.1:1 id 1 weight 100 check disabled\n")), have(rowA), now26, "set server web/a state maint\nset server web/a addr 127.0.0.1 port 1"},
		{"a slot is freed with sessions", fixed(want(" server a 127.0.0.1:1 id 1 check disabled\n")), have(rowA + " busy"), now26, "set server web/a state maint\nremains: web/a: 2 sessions"},
		{"a slot is free", fixed(want(" server a 127.0.0.1:1 id 1 weight 100 check disabled\n")), have("a 127.0.0.1:1 1 100 maint"), now26, ""},
		{"a slot drains", fixed(want(" server a 10.0.0.1:80 id 1 weight 0\n")), have(rowA), now26, "set server web/a weight 0%"},
		{"a slot of another weight", fixed(want(" server a 10.0.0.1:80 id 1 weight 50\n")), have(rowA), now26, "reload: web/a: the balance algorithm takes no weight 50 at run time"},
		{"too few slots", fixed(want(lineA + lineB)), have(rowA), now26, "reload: web/b: there are too few slots"},
		{"too many slots", fixed(want(lineA)), have(rowA, rowB), now26, "reload: web/b is one too many"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := Make([]Backend{tt.want}, tt.have, tt.known)
			var got []string
			for _, s := range p.Steps {
				var texts []string
				for _, c := range s.Commands {
					texts = append(texts, c.String())
				}
				got = append(got, strings.Join(texts, ";"))
			}
			for label, list := range map[string][]string{"reload: ": p.Reload, "remains: ": p.Remains, "kept: ": p.Kept} {
				if len(list) > 0 {
					got = append(got, label+strings.Join(list, ", "))
				}
			}
			if text := strings.Join(got, "\n"); text != tt.plan {
				t.Errorf("got\n%s\nwant\n%s", text, tt.plan)
			}
		})
	}
}

// FuzzMake carries plans out on a model of HAProxy, from random states to random wishes: what is left to do
// after that is nothing.
func FuzzMake(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})
	f.Add([]byte{0xff, 0, 0xff, 0, 0x80, 0x7f})
	f.Fuzz(func(t *testing.T, seed []byte) {
		at := func(i int) byte {
			if i < len(seed) {
				return seed[i]
			}
			return 0
		}
		var lines string
		var rows []string
		for i := range 6 {
			b := at(i)
			if b&1 != 0 {
				lines += fmt.Sprintf(" server s%d 10.0.0.%d:80 id %d weight %d check\n", i, b>>4, i+1, b%7)
			}
			if b&2 != 0 {
				c := at(i + 6)
				rows = append(rows, fmt.Sprintf("s%d 10.0.0.%d:80 %d %d %s", i, c>>4, i+1, c%5, []string{"", "maint", "drain", "x"}[c&3]))
			}
		}
		b, actual := want(lines), have(rows...)
		p := Make([]Backend{b}, actual, now26)
		if len(p.Reload) > 0 || len(p.Remains) > 0 {
			t.Fatalf("%+v", p)
		}
		for _, s := range p.Steps {
			do(t, actual["web"], b, s)
		}
		if again := Make([]Backend{b}, actual, now26); len(again.Steps)+len(again.Reload) > 0 {
			t.Errorf("still to do: %+v", again)
		}
		if !slices.IsSortedFunc(p.Steps, func(a, b Step) int { return rank[a.Kind] - rank[b.Kind] }) {
			t.Errorf("order %+v", p.Steps)
		}
	})
}

func do(t *testing.T, servers map[string]Server, b Backend, s Step) {
	t.Helper()
	srv := servers[s.Server]
	wish := b.Servers[max(0, slices.IndexFunc(b.Servers, func(w conf.Server) bool { return w.Name == s.Server })):]
	switch s.Kind {
	case Weight:
		srv.Weight = s.Weight
	case Move:
		srv.Addr = wish[0].Addr
	case Return:
		srv.Addr, srv.Admin = wish[0].Addr, 0
	case Add:
		srv = Server{ServerState: cli.ServerState{Check: 6, Backend: "web", Name: s.Server, ID: wish[0].ID, Addr: wish[0].Addr, Weight: s.Weight}}
	case Park:
		srv.Admin |= cli.AdminMaint
	case Delete:
		if srv.Admin&cli.AdminMaint == 0 {
			t.Errorf("%s is deleted while in use", s.Ref)
		}
		delete(servers, s.Server)
		return
	default:
		t.Errorf("step %s", s.Kind)
	}
	servers[s.Server] = srv
}
