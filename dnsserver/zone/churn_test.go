package zone_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"

	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// TestADayOfChurn changes a zone as a cluster of hundreds that is never the same does in a day, one member every ten
// seconds, most of them new and never to be seen again. What a zone holds on to is what it shows.
//
// It runs before the parallel tests, so that the heap is its own.
func TestADayOfChurn(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	const size, perHour, hours = 500, 360, 24
	z, err := zone.New(zone.Config{Origin: "gossip.", Self: "pod0", Reverse: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	if err != nil {
		t.Fatal(err)
	}
	next := 0
	add := func() zone.Change {
		name := fmt.Sprintf("pod%d", next)
		if next%50 == 0 {
			name = fmt.Sprintf("Pod%d", next-1) // collides with the one before
		}
		service := fmt.Sprint("svc", next%40)
		if next%100 == 0 {
			service = fmt.Sprint("job", next) // of its own
		}
		m := &zone.Member{
			Name: name, Live: true, Addrs: []netip.Addr{netip.AddrFrom4([4]byte{10, byte(next >> 16), byte(next >> 8), byte(next)})},
			Tags:     map[string]string{"id": fmt.Sprint(next), "dc": fmt.Sprint("dc", next%3), "role": service},
			Services: []zone.Service{{Name: service, Port: 80, Weight: 100}},
		}
		next++
		return zone.Change{Name: name, Member: m}
	}
	var there []zone.Change
	for range size {
		there = append(there, add())
	}
	z = z.Update(there)
	empty, before := z, z
	look := func() {
		for owner, set := range z.RRsets() { // builds all that is built when first asked for
			_, _ = owner, set.Len()
		}
	}
	heap := func() uint64 {
		look()
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var after1 uint64
	for hour := range hours {
		for range perHour {
			i := rng.IntN(len(there))
			gone := there[i]
			switch rng.IntN(4) {
			case 0: // fails, comes back
				m := *gone.Member
				m.Down = !m.Down
				there[i].Member = &m
				z = z.Update(there[i : i+1])
			default:
				there[i] = add()
				z = z.Update([]zone.Change{{Name: gone.Name}, there[i]})
			}
		}
		if hour == 0 {
			empty, before = nil, nil
			after1 = heap()
		}
	}
	if z.Members() != size {
		t.Errorf("%d members, want %d", z.Members(), size)
	}
	if end := heap(); end > after1*5/4+1<<20 {
		t.Errorf("heap grew from %d to %d KiB", after1>>10, end>>10)
	} else {
		t.Logf("heap %d KiB after an hour, %d KiB after a day; serial %d", after1>>10, end>>10, z.Serial())
	}
	var all []zone.Change
	for _, c := range there {
		all = append(all, zone.Change{Name: c.Name})
	}
	z = z.Update(all)
	fresh, err := zone.New(zone.Config{Origin: "gossip.", Self: "pod0"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(records(z)), fmt.Sprint(records(fresh)); got != want {
		t.Errorf("left behind by everyone: %s\nwant %s", got, want)
	}
	for _, r := range z.Reverse() {
		if n := len(records(r)); n != 2 { // the apex: that it exists, and its NS set
			t.Errorf("%s: %d left", r.Origin(), n)
		}
	}
	if len(z.Problems()) != 0 {
		t.Errorf("problems left: %v", z.Problems())
	}
	_, _ = empty, before
}
