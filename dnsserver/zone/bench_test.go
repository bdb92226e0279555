package zone_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// fleet returns members of which each offers one of 50 services and has a few tags, one of them shared by all.
func fleet(n int) []*zone.Member {
	members := make([]*zone.Member, n)
	for i := range members {
		service := fmt.Sprint("svc", i%50)
		members[i] = &zone.Member{
			Name:  fmt.Sprintf("node%05d", i),
			Addrs: []netip.Addr{netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})},
			Live:  true,
			Tags: map[string]string{"role": service, "dc": fmt.Sprint("dc", i%3), "build": "1234", "env": "prod",
				"port": "8080"},
			Services: []zone.Service{{Name: service, Port: 8080, Weight: 100}, {Name: "all", Port: 9100, Weight: 100}},
		}
	}
	return members
}

func BenchmarkBuild10000(b *testing.B) {
	members := fleet(10_000)
	b.ReportAllocs()
	for b.Loop() {
		newZone(b, members...)
	}
}

// BenchmarkUpdate10000 changes one member of 10,000 that is in several sets of 10,000 and 3,333 members.
func BenchmarkUpdate10000(b *testing.B) {
	members := fleet(10_000)
	z := newZone(b, members...)
	for _, ask := range []bool{false, true} {
		b.Run(fmt.Sprintf("answer=%v", ask), func(b *testing.B) {
			wire, _ := zone.ParseName("all.service.gossip")
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				m := *members[5000]
				m.Addrs = []netip.Addr{netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)})}
				z = z.Update([]zone.Change{{Name: m.Name, Member: &m}})
				if ask {
					z.Lookup(wire, zone.TypeA)
				}
			}
		})
	}
}

func BenchmarkLookup(b *testing.B) {
	z := newZone(b, fleet(1000)...)
	for _, bench := range []struct {
		name  string
		qtype zone.Type
	}{
		{"node00500.node.gossip", zone.TypeA},
		{"svc7.service.gossip", zone.TypeA},
		{"_svc7._tcp.service.gossip", zone.TypeSRV},
		{"dc1.dc.svc7.service.gossip", zone.TypeA},
		{"nope.service.gossip", zone.TypeA},
	} {
		wire, _ := zone.ParseName(bench.name)
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				z.Lookup(wire, bench.qtype)
			}
		})
	}
}
