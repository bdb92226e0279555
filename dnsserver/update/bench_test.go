package update

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// BenchmarkChange10000 plans what to tell the primary of when one member of 10,000 changes, that is in a service of 200 and in
// one of all.
func BenchmarkChange10000(b *testing.B) {
	for _, all := range []bool{false, true} {
		b.Run(fmt.Sprintf("all=%v", all), func(b *testing.B) {
			members := make([]*zone.Member, 10_000)
			changes := make([]zone.Change, len(members))
			for i := range members {
				service := fmt.Sprint("svc", i%50)
				members[i] = &zone.Member{
					Name:     fmt.Sprintf("node%05d", i),
					Addrs:    []netip.Addr{netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})},
					Live:     true,
					Tags:     map[string]string{"role": service},
					Services: []zone.Service{{Name: service, Port: 8080, Weight: 100}},
				}
				if all {
					members[i].Services = append(members[i].Services, zone.Service{Name: "all", Port: 9100, Weight: 100})
				}
				changes[i] = zone.Change{Name: members[i].Name, Member: members[i]}
			}
			z, err := zone.New(zone.Config{Origin: "gossip."})
			if err != nil {
				b.Fatal(err)
			}
			z = z.Update(changes)
			u, err := New(Config{Server: "127.0.0.1:1", Zone: "example.com.", Name: "gossip.example.com.", Owner: "bench"})
			if err != nil {
				b.Fatal(err)
			}
			s := &session{Updater: u, ledger: newLedger(u.marker)}
			settle := func() (records int) {
				s.show(z)
				s.ledger.nodes(s.nodes())
				changes, _ := s.ledger.plan(false)
				for _, batch := range batches(changes) {
					for _, c := range batch {
						records += len(c.gone) + len(c.added)
					}
					s.ledger.message(u.cfg.Zone, batch)
					s.ledger.done(batch)
				}
				return records
			}
			settle()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				m := *members[5000]
				m.Addrs = []netip.Addr{netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)})}
				z = z.Update([]zone.Change{{Name: m.Name, Member: &m}})
				if n := settle(); n == 0 || n > 20 {
					b.Fatal(n, "records changed")
				}
			}
		})
	}
}
