package update

import (
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// members is a zone with so many, and other names besides, that a test exchanges.
func members(t *testing.T, n int, names ...string) *atomic.Pointer[zone.Zone] {
	t.Helper()
	z, err := zone.New(zone.Config{Origin: "gossip.", Self: "n0"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		names = append(names, fmt.Sprintf("n%d", i))
	}
	slices.Sort(names)
	var changes []zone.Change
	for i, name := range names {
		changes = append(changes, zone.Change{Name: name, Member: &zone.Member{
			Name: name, Live: true, Addrs: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})},
			Services: []zone.Service{{Name: "web", Port: 80, Weight: 1}},
		}})
	}
	var p atomic.Pointer[zone.Zone]
	p.Store(z.Update(changes))
	return &p
}

// atMost is a guard that lets two nodes go at once.
type atMost struct {
	lifted bool
	gone   int
	asked  string
}

func (g *atMost) Hold(gone []string, of int) string {
	if g.asked = fmt.Sprintf("%v of %d", gone, of); len(gone) <= 2 || g.lifted {
		return ""
	}
	return "too many"
}

func (g *atMost) Gone(gone []string, _ int) { g.gone += len(gone) }

// TestGuard: what the guard holds stays with all its records while others come, and goes when the guard says so. While
// nothing is to be removed anyway, it hears of nobody.
func TestGuard(t *testing.T) {
	t.Parallel()
	p := newPrimary(t)
	s, _ := newSession(t, p, 0)
	guard, doubt := &atMost{}, ""
	s.cfg.Guard, s.cfg.Doubt = guard, func() string { return doubt }
	for i, step := range []struct {
		zone          *atomic.Pointer[zone.Zone]
		doubt         string
		lift          bool
		asked         string // last
		gone, service int
	}{
		{zone: members(t, 6), asked: "[] of 6", service: 6},
		{zone: members(t, 4), asked: "[] of 4", gone: 2, service: 4},
		{zone: members(t, 1, "new"), asked: "[n1 n2 n3] of 5", gone: 2, service: 5},
		{zone: members(t, 1, "new"), doubt: "cut off", asked: "[] of 5", gone: 2, service: 5},
		{zone: members(t, 1, "new"), lift: true, asked: "[] of 2", gone: 5, service: 2},
	} {
		s.cfg.Source, doubt, guard.lifted = step.zone.Load, step.doubt, step.lift
		if err := steps(t, s); err != nil {
			t.Fatal(err)
		}
		if guard.asked != step.asked || guard.gone != step.gone {
			t.Errorf("step %d: asked about %s, told of %d that are gone", i, guard.asked, guard.gone)
		}
		if n := p.count("web.service.svc.example.com.", "SRV"); n != step.service {
			t.Errorf("step %d: the service has %d records, want %d", i, n, step.service)
		}
	}
}
