package dnsserver

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// orderZone has a service for each policy, each of the members n0 to n9 with weights 1 to 10 and, from n5, the lower
// priority.
func orderZone(t *testing.T) *zone.Zone {
	t.Helper()
	z, err := zone.New(zone.Config{Origin: "gossip.", ServiceTTL: 7 * time.Second, Services: map[string]zone.Policy{
		"One":   {TTL: time.Minute, Answers: 1},
		"three": {Answers: 3},
		"near":  {Order: zone.OrderNearest},
		"near2": {Order: zone.OrderNearest, Answers: 2},
		"fixed": {Order: zone.OrderStable, Answers: 2},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var changes []zone.Change
	for i := range 10 {
		m := &zone.Member{Name: fmt.Sprint("n", i), Live: true, Addrs: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})}}
		for _, s := range []string{"one", "three", "near", "near2", "fixed", "plain"} {
			m.Services = append(m.Services, zone.Service{Name: s, Port: 80, Weight: uint16(i + 1), Priority: uint16(i / 5)})
		}
		changes = append(changes, zone.Change{Name: m.Name, Member: m})
	}
	return z.Update(changes)
}

// hosts returns who is in an answer, one digit each, in order.
func hosts(m *dns.Msg) string {
	var b strings.Builder
	for _, rr := range m.Answer {
		switch rr := rr.(type) {
		case *dns.A:
			b.WriteByte('0' + rr.A[3])
		case *dns.SRV:
			b.WriteByte(rr.Target[1])
		}
	}
	return b.String()
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	r := newResponder(orderZone(t))
	rtt := map[string]time.Duration{}
	for i := range 9 { // n9 is not known
		rtt[fmt.Sprint("n", i)] = time.Duration(20-i) * time.Millisecond
	}
	near := &zone.Distances{RTT: rtt, Band: 1500 * time.Microsecond}
	r.picker.distances = func() *zone.Distances { return near }
	for _, tt := range []struct {
		name  string
		qtype uint16
		want  []string // the members of each band in turn
		n     int      // in the answer; 0 means all of them
		ttl   uint32
	}{
		{"plain", dns.TypeA, []string{"0123456789"}, 10, 7},
		{"plain", dns.TypeSRV, []string{"01234", "56789"}, 10, 7},
		{"one", dns.TypeA, []string{"0123456789"}, 1, 60},
		{"_one._tcp", dns.TypeSRV, []string{"01234"}, 1, 60},
		{"three", dns.TypeA, []string{"0123456789"}, 3, 0},
		{"near", dns.TypeA, []string{"87", "65", "43", "21", "0", "9"}, 10, 0},
		{"near", dns.TypeSRV, []string{"43", "21", "0", "87", "65", "9"}, 10, 0},
		{"near2", dns.TypeA, []string{"87"}, 2, 0},
		{"fixed", dns.TypeA, []string{"0", "1"}, 2, 0},
		{"fixed", dns.TypeSRV, []string{"0", "1"}, 2, 0},
	} {
		seen := map[string]bool{}
		for range 400 {
			for _, p := range []path{overUDP, overTCP} {
				m := ask(t, r, new(dns.Msg).SetQuestion(tt.name+".service.gossip.", tt.qtype), p)
				got := hosts(m)
				if len(got) != tt.n || m.Truncated || m.Answer[0].Header().Ttl != tt.ttl {
					t.Fatalf("%s %d: got %v", tt.name, tt.qtype, m)
				}
				seen[got] = true
				rest := got
				for _, band := range tt.want {
					part := []byte(rest[:min(len(band), len(rest))])
					rest = rest[len(part):]
					slices.Sort(part)
					if len(slices.Compact(part)) != len(part) || strings.Trim(string(part), band) != "" {
						t.Fatalf("%s %d: got %s, want a shuffle of each of %v", tt.name, tt.qtype, got, tt.want)
					}
				}
			}
		}
		if shuffles := tt.name != "fixed"; (len(seen) > 1) != shuffles {
			t.Errorf("%s %d: %d different answers", tt.name, tt.qtype, len(seen))
		}
	}
}

// TestSampleRespectsWeights: who has n times the weight is n times as often the one answer.
func TestSampleRespectsWeights(t *testing.T) {
	t.Parallel()
	r := newResponder(orderZone(t))
	const rounds = 55 * 400
	for _, tt := range []struct {
		name  string
		qtype uint16
		n     int // members that can be chosen
	}{{"one", dns.TypeA, 10}, {"one", dns.TypeSRV, 5}} {
		count := map[string]int{}
		q := new(dns.Msg).SetQuestion(tt.name+".service.gossip.", tt.qtype)
		for range rounds {
			count[hosts(ask(t, r, q, overUDP))]++
		}
		sum := tt.n * (tt.n + 1) / 2
		for i := range tt.n {
			want := float64(rounds*(i+1)) / float64(sum)
			if got := float64(count[fmt.Sprint(i)]); math.Abs(got-want) > 7*math.Sqrt(want) {
				t.Errorf("%d: n%d came %v times of %d, want about %v", tt.qtype, i, got, rounds, want)
			}
		}
	}
}

// TestSampleKeepsTheSmallest compares with sorting.
func TestSampleKeepsTheSmallest(t *testing.T) {
	t.Parallel()
	for range 200 {
		set := &zone.RRset{Type: zone.TypeA, Addrs: make([]netip.Addr, 30), Weights: make([]uint16, 30)}
		var p picker
		for n := range 30 {
			p.weigh(set, 0, 30)
			places := make([]int32, 30)
			p.sample(places, 0, n)
			want := make([]int32, 30)
			for i := range want {
				want[i] = int32(i)
			}
			slices.SortFunc(want, func(a, b int32) int {
				if p.keys[a] < p.keys[b] {
					return -1
				}
				return 1
			})
			if !slices.Equal(places[:n], want[:n]) {
				t.Fatalf("%d of 30: got %v, want %v", n, places[:n], want[:n])
			}
		}
	}
}

func TestStatusName(t *testing.T) {
	t.Parallel()
	r := newResponder(orderZone(t))
	q := new(dns.Msg).SetQuestion("Status.gossip.", dns.TypeTXT)
	if m := ask(t, r, q, overUDP); m.Rcode != dns.RcodeSuccess || len(m.Answer) != 0 || len(m.Ns) != 1 {
		t.Errorf("nobody to tell: got %v", m)
	}
	r.policy.status = func() []string { return []string{"alive=3", `odd="\` + "\x00", strings.Repeat("x", 300)} }
	ready := r.source()
	for _, z := range []*zone.Zone{ready, ready.WithTrust(zone.Doubtful), ready.WithTrust(zone.NotReady)} {
		r.source = func() *zone.Zone { return z }
		m := ask(t, r, q, overTCP)
		if len(m.Answer) != 3 || m.Answer[0].String() != "Status.gossip.\t0\tIN\tTXT\t\"alive=3\"" || !m.Authoritative {
			t.Errorf("trust %d: got %v", z.Trust(), m)
		}
		if m := ask(t, r, new(dns.Msg).SetQuestion("status.gossip.", dns.TypeA), overUDP); m.Rcode != dns.RcodeSuccess || len(m.Ns) != 1 {
			t.Errorf("trust %d, no such type: got %v", z.Trust(), m)
		}
	}
	r.policy.status = func() []string { return slices.Repeat([]string{strings.Repeat("x", 200)}, 5) }
	if m := ask(t, r, q, overUDP); !m.Truncated || len(m.Answer) != 2 {
		t.Errorf("too long: got %v", m)
	}
}

// TestTrust: what an unknown name gets while the zone is not to be trusted, and what a known one gets.
func TestTrust(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		trust zone.Trust
		qname string
		rcode int
		ede   int // -1: none
		count int
	}{
		{zone.Trusted, "nope.service.gossip.", dns.RcodeNameError, -1, 0},
		{zone.Trusted, "plain.service.gossip.", dns.RcodeSuccess, -1, 10},
		{zone.Doubtful, "nope.service.gossip.", dns.RcodeServerFailure, int(dns.ExtendedErrorCodeNotReady), 0},
		{zone.Doubtful, "nope.node.gossip.", dns.RcodeServerFailure, int(dns.ExtendedErrorCodeNotReady), 0},
		{zone.Doubtful, "plain.service.gossip.", dns.RcodeSuccess, -1, 10},
		{zone.Doubtful, "service.gossip.", dns.RcodeSuccess, -1, 0},
		{zone.Doubtful, "example.com.", dns.RcodeRefused, int(dns.ExtendedErrorCodeNotAuthoritative), 0},
		{zone.NotReady, "nope.service.gossip.", dns.RcodeServerFailure, int(dns.ExtendedErrorCodeNotReady), 0},
		{zone.NotReady, "plain.service.gossip.", dns.RcodeServerFailure, int(dns.ExtendedErrorCodeNotReady), 0},
		{zone.NotReady, "gossip.", dns.RcodeServerFailure, int(dns.ExtendedErrorCodeNotReady), 0},
		{zone.NotReady, "example.com.", dns.RcodeRefused, int(dns.ExtendedErrorCodeNotAuthoritative), 0},
	} {
		z := orderZone(t).WithTrust(tt.trust)
		r := newResponder(z)
		r.quick = newQuick(&r.policy, new(counters))
		m := ask(t, r, new(dns.Msg).SetQuestion(tt.qname, dns.TypeA).SetEdns0(1232, false), overUDP)
		ede := -1
		for _, o := range m.IsEdns0().Option {
			if e, ok := o.(*dns.EDNS0_EDE); ok {
				ede = int(e.InfoCode)
			}
		}
		if m.Rcode != tt.rcode || ede != tt.ede || len(m.Answer) != tt.count || len(m.Ns) > 0 && m.Rcode == dns.RcodeServerFailure {
			t.Errorf("trust %d, %s: got EDE %d in %v", tt.trust, tt.qname, ede, m)
		}
	}
}
