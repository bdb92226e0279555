package dnspath

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/dnsserver/dnsclient"
)

const (
	agentAddr = "127.0.0.1:8600"
	soaData   = "ns-a.gossip. hostmaster.gossip. 17 60 10 86400 2"
)

var (
	errSilent = errors.New("i/o timeout")
	goodSOA   = reply{answer: dnsclient.Answer{Rcode: "NOERROR", Records: []dnsclient.Record{{Type: "SOA", Data: soaData}}}}
	otherSOA  = reply{answer: dnsclient.Answer{Rcode: "NOERROR", Records: []dnsclient.Record{{Type: "SOA", Data: "ns.other. x.other. 1 2 3 4 5"}}}}
	address   = reply{answer: dnsclient.Answer{Rcode: "NOERROR", Records: []dnsclient.Record{{Type: "A", Data: "10.0.0.1"}}}}
	silent    = reply{err: errSilent}
)

func rcode(text string) reply { return reply{answer: dnsclient.Answer{Rcode: text, Reason: "why"}} }

type reply struct {
	answer dnsclient.Answer
	err    error
}

// world answers by server, type and what else the question says.
type world map[string]reply

func (w world) ask(_ context.Context, q dnsclient.Question) (dnsclient.Answer, error) {
	key := q.Server + " " + q.Type
	if q.TCP {
		key += " tcp"
	}
	if q.Unchecked {
		key += " unchecked"
	}
	if q.Recursive != (q.Server != agentAddr) {
		return dnsclient.Answer{}, errors.New("asked for recursion where it must not be, or not where it must")
	}
	r, ok := w[key]
	if !ok {
		return dnsclient.Answer{Rcode: "NXDOMAIN"}, nil
	}
	return r.answer, r.err
}

func TestCheck(t *testing.T) {
	t.Parallel()
	const stub, far, near = "127.0.0.53:53", "192.0.2.1:53", "127.0.0.1:53"
	healthy := world{agentAddr + " SOA": goodSOA, agentAddr + " SOA tcp": goodSOA, agentAddr + " A": address}
	with := func(more world) world {
		w := world{}
		for _, part := range []world{healthy, more} {
			for k, v := range part {
				w[k] = v
			}
		}
		return w
	}
	here := func() ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr("10.0.0.1")}, nil }
	for _, tt := range []struct {
		name      string
		world     world
		resolvers []string
		lookup    func() ([]netip.Addr, error)
		code      int
		want      []string // in the lines, in order
	}{
		{"all is well", with(world{stub + " SOA": goodSOA}), []string{stub}, here, CodeOK,
			[]string{"ok agent", "UDP and TCP", "ok resolver", "leads to the agent", "ok system", "find ns-a.gossip"}},
		{"no agent", world{agentAddr + " SOA": silent}, []string{stub}, here, CodeNoAgent,
			[]string{"fault agent", "nothing answers at 127.0.0.1:8600: i/o timeout", "gossip info"}},
		{"not joined", world{agentAddr + " SOA": rcode("SERVFAIL")}, nil, here, CodeNotReady, []string{"nothing to go by yet: why", "gossip join"}},
		{"another zone", world{agentAddr + " SOA": rcode("REFUSED")}, nil, here, CodeNotReady, []string{"not for gossip.", "-dns-zone"}},
		{"something else", world{agentAddr + " SOA": rcode("NXDOMAIN")}, nil, here, CodeNotReady, []string{"does not know gossip.", "-dns-addr"}},
		{"no TCP", with(world{agentAddr + " SOA tcp": silent, far + " SOA": goodSOA}), []string{far}, here, CodeOK, []string{"warning agent", "not over TCP", "ok resolver"}},
		{"stub does not forward", with(nil), []string{stub}, here, CodeResolver, []string{"fault resolver 127.0.0.53:53 has not heard of gossip. (NXDOMAIN)", "snippet systemd-resolved"}},
		{"local does not forward", with(nil), []string{near}, here, CodeResolver, []string{"fault resolver", "snippet dnsmasq"}},
		{"far does not forward", with(nil), []string{far}, here, CodeResolver, []string{"fault resolver", "have whoever runs it", "its own host alone"}},
		{"first is silent", with(world{far + " SOA": silent, near + " SOA": goodSOA}), []string{far, near}, here, CodeResolver,
			[]string{"fault resolver 192.0.2.1:53, the first", "i/o timeout", "ok resolver"}},
		{"second is silent", with(world{far + " SOA": silent, near + " SOA": goodSOA}), []string{near, far}, here, CodeOK, []string{"ok resolver", "warning resolver"}},
		{"second does not forward", with(world{near + " SOA": goodSOA}), []string{near, far}, here, CodeResolver, []string{"ok resolver", "fault resolver"}},
		{"the zone of others", with(world{far + " SOA": otherSOA}), []string{far}, here, CodeResolver, []string{"another zone gossip., of ns.other.", "choose another name"}},
		{"validates", with(world{near + " SOA": rcode("SERVFAIL"), near + " SOA unchecked": goodSOA}), []string{near}, here, CodeResolver,
			[]string{"do not validate: why", "exempt the zone"}},
		{"forwards to nowhere", with(world{near + " SOA": rcode("SERVFAIL"), near + " SOA unchecked": rcode("SERVFAIL")}), []string{near}, here, CodeResolver,
			[]string{"fails to get an answer", "see that the address it forwards to is 127.0.0.1:8600"}},
		{"refuses", with(world{near + " SOA": rcode("REFUSED")}), []string{near}, here, CodeResolver, []string{"refuses to answer: why"}},
		{"not in nsswitch", with(world{near + " SOA": goodSOA}), []string{near}, func() ([]netip.Addr, error) { return nil, errors.New("no such name") }, CodeSystem,
			[]string{"fault system programs on this host do not find ns-a.gossip: no such name", "nsswitch.conf"}},
		{"another address", with(world{near + " SOA": goodSOA}), []string{near},
			func() ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr("192.0.2.9")}, nil }, CodeSystem, []string{"at [192.0.2.9], but the agent has it at [10.0.0.1]"}},
		{"no resolv.conf", with(nil), nil, here, CodeOK, []string{"skipped resolver the host's resolvers are not known: reason", "ok system"}},
		{"no addresses", world{agentAddr + " SOA": goodSOA, agentAddr + " SOA tcp": goodSOA, near + " SOA": goodSOA}, []string{near}, here, CodeOK, []string{"skipped system", "-name"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			findings, code := Check(t.Context(), Config{
				Server: agentAddr, Zone: "gossip.", Resolvers: tt.resolvers, Unknown: "reason", Ask: tt.world.ask,
				Lookup: func(context.Context, string) ([]netip.Addr, error) { return tt.lookup() },
			})
			var b strings.Builder
			for _, f := range findings {
				b.WriteString(string(f.Level) + " " + string(f.Hop) + " " + f.Text + "\n-> " + f.Remedy + "\n")
				if (f.Level == OK || f.Level == Skipped) != (f.Remedy == "") {
					t.Errorf("%s %s: the remedy is %q", f.Level, f.Hop, f.Remedy)
				}
			}
			if code != tt.code {
				t.Errorf("code %d, want %d", code, tt.code)
			}
			rest := b.String()
			for _, want := range tt.want {
				_, after, ok := strings.Cut(rest, want)
				if !ok {
					t.Fatalf("no %q in\n%s", want, b.String())
				}
				rest = after
			}
		})
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	got := parseResolvConf([]byte("# nameserver 1.1.1.1\nsearch x\nnameserver 192.0.2.1 # comment\nnameserver fe80::1%eth0\nnameserver rubbish\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n"))
	if want := []string{"192.0.2.1:53", "[fe80::1%eth0]:53", "192.0.2.3:53"}; !slices.Equal(got, want) {
		t.Errorf("servers are %q, want %q", got, want)
	}
	hosts := parseHosts([]byte("10.0.0.1        STREAM ns-a.gossip\n10.0.0.1        DGRAM\n\n::ffff:10.0.0.2 STREAM\nrubbish\n"))
	if want := []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")}; !slices.Equal(hosts, want) {
		t.Errorf("hosts are %v, want %v", hosts, want)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("nameserver 192.0.2.1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if n := len(parseResolvConf(text)); n > maxResolvers {
			t.Errorf("%d servers", n)
		}
		parseHosts(text)
	})
}
