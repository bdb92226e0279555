package dnsserver

import (
	"fmt"
	"net/netip"
	"runtime"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// fleet is a zone of n members, each with one of 50 services, a service that all have, and some tags.
type fleet struct {
	z       *zone.Zone
	members []zone.Member
}

func newFleet(t testing.TB, n int) *fleet {
	t.Helper()
	z, err := zone.New(zone.Config{Origin: "gossip.", Self: "node00000", NodeTTL: 5 * time.Second, NegativeTTL: 2 * time.Second, Serial: 1})
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{members: make([]zone.Member, n)}
	var changes []zone.Change
	for i := range f.members {
		f.members[i] = fleetMember(i, 0)
		changes = append(changes, zone.Change{Name: f.members[i].Name, Member: &f.members[i]})
	}
	f.z = z.Update(changes)
	return f
}

func fleetMember(i, generation int) zone.Member {
	service := fmt.Sprint("svc", i%50)
	return zone.Member{
		Name:  fmt.Sprintf("node%05d", i),
		Addrs: []netip.Addr{netip.AddrFrom4([4]byte{10, byte(generation), byte(i >> 8), byte(i)})},
		Live:  true,
		Tags:  map[string]string{"role": service, "dc": fmt.Sprint("dc", i%3), "env": "prod", "port": "8080"},
		Services: []zone.Service{
			{Name: service, Port: 8080, Weight: 100}, {Name: "all", Port: 9100, Weight: 100},
		},
	}
}

// change gives member i another address.
func (f *fleet) change(i, generation int) netip.Addr {
	m := fleetMember(i, generation)
	f.members[i] = m
	f.z = f.z.Update([]zone.Change{{Name: m.Name, Member: &m}})
	return m.Addrs[0]
}

// remove takes member i out, add brings it back.
func (f *fleet) remove(i int) { f.z = f.z.Update([]zone.Change{{Name: f.members[i].Name}}) }

func (f *fleet) add(i int) {
	f.z = f.z.Update([]zone.Change{{Name: f.members[i].Name, Member: &f.members[i]}})
}

// TestDayOfChurn has a server live through a day in which every five seconds some member changes, goes or comes back, while
// clients ask. Its memory must not grow.
func TestDayOfChurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const members = 200
		f := newFleet(t, members)
		var current atomic.Pointer[zone.Zone]
		current.Store(f.z)
		udp, tcp := newMemConn(), newMemListener()
		s, err := New(Config{PacketConn: udp, Listener: tcp, Source: current.Load})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		// One as on Linux, which keeps what it finds.
		direct := s.responder(new(counters))
		direct.quick.packed.Remember()
		ask := func(name string, qtype uint16) *dns.Msg {
			packet := query(t, name, qtype)
			direct.respond(packet, overUDP)
			udp.in <- packet
			m := new(dns.Msg)
			if err := m.Unpack(<-udp.out); err != nil {
				t.Fatal(err)
			}
			return m
		}
		var early uint64
		end := time.Now().Add(24 * time.Hour)
		for step := 0; time.Now().Before(end); step++ {
			i := step * 7 % members
			name := f.members[i].Name + ".node.gossip."
			switch step % 3 {
			case 0:
				want := f.change(i, step/members)
				current.Store(f.z)
				if m := ask(name, dns.TypeA); len(m.Answer) != 1 || m.Answer[0].(*dns.A).A.String() != want.String() {
					t.Fatalf("step %d: %v, want %v", step, m, want)
				}
			case 1:
				f.remove(i)
				current.Store(f.z)
				if m := ask(name, dns.TypeA); m.Rcode != dns.RcodeNameError {
					t.Fatalf("step %d: %v, want no such name", step, m)
				}
				f.add(i)
				current.Store(f.z)
			}
			ask(fmt.Sprintf("svc%d.service.gossip.", step%50), dns.TypeA)
			ask(fmt.Sprintf("_svc%d._tcp.service.gossip.", step%50), dns.TypeSRV)
			ask(fmt.Sprintf("dc%d.dc.env.prod.svc%d.service.gossip.", step%4, step%50), dns.TypeA)
			ask(fmt.Sprintf("nope%d.node.gossip.", step), dns.TypeA)
			time.Sleep(5 * time.Second)
			if step == 24*60*60/5/8 { // an eighth of the day: all that is to be kept is there
				early = heap()
			}
		}
		if late := heap(); late > early+early/2+1<<20 {
			t.Errorf("the heap grew from %d to %d octets", early, late)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// heap returns the octets that are in use.
func heap() uint64 {
	var m runtime.MemStats
	for range 2 { // the second one frees what finalizers held
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkUpdateToAnswer10000 is the time from a member's change to the first answers with it, among 10,000 members: of its own
// name, and of a service of 200 as addresses and as SRV records.
func BenchmarkUpdateToAnswer10000(b *testing.B) {
	f := newFleet(b, 10_000)
	r := newResponder(f.z)
	r.quick = newQuick(&r.policy, r.stats)
	r.source = func() *zone.Zone { return f.z }
	queries := [][]byte{
		benchQuery(b, "node05000.node.gossip.", dns.TypeA), benchQuery(b, "svc0.service.gossip.", dns.TypeA),
		benchQuery(b, "_svc0._tcp.service.gossip.", dns.TypeSRV),
	}
	for _, all := range []bool{false, true} {
		name := "own"
		if all {
			name = "all" // and of a service that all 10,000 members have
			queries = append(queries, benchQuery(b, "all.service.gossip.", dns.TypeA))
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			// Changes of a cluster come with pauses, in which garbage is collected; so it is here.
			defer debug.SetGCPercent(debug.SetGCPercent(-1))
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				if i%100 == 0 {
					b.StopTimer()
					runtime.GC()
					b.StartTimer()
				}
				start := time.Now()
				f.change(5000, i)
				for _, q := range queries {
					if r.respond(q, overUDP) == nil {
						b.Fatal("no answer")
					}
				}
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-median")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs-p99")
		})
	}
}

// BenchmarkMemory10000 is what a zone of 10,000 members takes: as it is made, and once every name has been asked for.
func BenchmarkMemory10000(b *testing.B) {
	for b.Loop() {
		before := heap()
		f := newFleet(b, 10_000)
		made := heap()
		r := newResponder(f.z)
		r.quick = newQuick(&r.policy, r.stats)
		for i := range f.members {
			r.respond(benchQuery(b, f.members[i].Name+".node.gossip.", dns.TypeA), overUDP)
		}
		for i := range 50 {
			r.respond(benchQuery(b, fmt.Sprintf("svc%d.service.gossip.", i), dns.TypeA), overUDP)
			r.respond(benchQuery(b, fmt.Sprintf("_svc%d._tcp.service.gossip.", i), dns.TypeSRV), overUDP)
		}
		asked := heap()
		b.ReportMetric(float64(made-before)/(1<<20), "MiB-made")
		b.ReportMetric(float64(asked-before)/(1<<20), "MiB-asked")
		runtime.KeepAlive(f)
	}
}
