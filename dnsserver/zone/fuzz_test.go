package zone_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// longOrigin is nearly as long as an origin can be, so that not all names fit.
var longOrigin = strings.Repeat("zone567890.", 12) + "x."

// FuzzMembers publishes two members of any name, with a service and a tag of any name. Whatever they are called, every name
// in the zone is one that can be asked for, every target has the addresses of the member that it was meant for, and what
// one update made another undoes.
func FuzzMembers(f *testing.F) {
	f.Add("web1", "WEB1", "http", "dc", "eu")
	f.Add("db1.example.com", "a b", "My App", "version", "2.1")
	f.Add("_x2e", "_X2E", "_tcp", "", "\x00")
	f.Add("é", "É", strings.Repeat("s", 63), "node", "service")
	f.Add(strings.Repeat("n", 63), strings.Repeat("N", 63), "", "tag", strings.Repeat("v", 400))
	f.Fuzz(func(t *testing.T, one, two, service, key, value string) {
		empty, err := zone.New(zone.Config{Origin: longOrigin, Self: one, Reverse: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/31")}})
		if err != nil {
			t.Fatal(err)
		}
		byAddr := map[netip.Addr]string{}
		z := empty
		for i, name := range []string{one, two} {
			addr := netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
			byAddr[addr] = name
			z = z.Update(adds(&zone.Member{Name: name, Addrs: []netip.Addr{addr}, Live: true, Tags: map[string]string{key: value},
				Services: []zone.Service{{Name: service, Port: 80, Weight: uint16(i)}}}))
		}
		checkOrder(t, z)
		for owner, set := range z.RRsets() {
			for _, name := range append([]string{owner}, set.Names...) {
				if _, err := zone.ParseName(name); err != nil {
					t.Fatalf("%s %d: %v", owner, set.Type, err)
				}
			}
			for _, rr := range set.SRV {
				got := lookup(t, z, rr.Target.Name, zone.TypeA)
				if got.Outcome != zone.Success || got.Answer != rr.Target.A || len(got.Answer.Addrs) != 1 {
					t.Fatalf("%s: target %s is %v", owner, rr.Target.Name, got.Outcome)
				}
			}
			if rest, ok := strings.CutSuffix(owner, ".node."+longOrigin); ok && set.Type == zone.TypeA {
				if name := byAddr[set.Addrs[0]]; !strings.EqualFold(zone.Unlabel(rest), name) && strings.ToValidUTF8(name, "") == name {
					t.Fatalf("%s is %q, and reads as %q", owner, name, zone.Unlabel(rest))
				}
			}
		}
		if l, ok := zone.Label(service); ok {
			if got := lookup(t, z, l+".service."+longOrigin, zone.TypeA); got.Outcome != zone.Success {
				t.Fatalf("%s.service: %v", l, got.Outcome)
			}
		}
		z = z.Update([]zone.Change{{Name: one}, {Name: two}})
		for owner := range records(z) {
			if _, was := records(empty)[owner]; !was {
				t.Fatalf("%s is left", owner)
			}
		}
	})
}
