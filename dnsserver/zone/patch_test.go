package zone

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// TestPatchedSetsAreLikeNew changes a few of many members at a time, and compares sets that were made from earlier ones with
// those of a zone that never had any.
func TestPatchedSetsAreLikeNew(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(9, 10))
	empty, err := New(Config{Origin: "gossip."})
	if err != nil {
		t.Fatal(err)
	}
	random := func(i int) *Member {
		m := &Member{Name: fmt.Sprint("n", i), Live: rng.IntN(8) > 0, Down: rng.IntN(20) == 0, Stale: rng.IntN(200) == 0,
			Tags: map[string]string{"env": "prod"}}
		addr := rng.IntN(100_000)
		if rng.IntN(300) == 0 {
			addr = i % 3 // shared by some
		}
		m.Addrs = []netip.Addr{netip.AddrFrom4([4]byte{10, byte(addr >> 16), byte(addr >> 8), byte(addr)})}
		if rng.IntN(2) == 0 {
			m.Addrs = append(m.Addrs, netip.AddrFrom16([16]byte{0: 0xfd, 13: byte(addr >> 16), 14: byte(addr >> 8), 15: byte(addr)}))
		}
		weight := uint16(rng.IntN(200))
		if rng.IntN(300) == 0 {
			weight = 1000
		}
		for range 1 + rng.IntN(2) {
			m.Services = append(m.Services, Service{Name: "web", Port: uint16(rng.IntN(20)), Weight: weight, Priority: uint16(rng.IntN(3)), Drain: rng.IntN(9) == 0})
		}
		return m
	}
	const size = 150
	state := map[string]*Member{}
	var all []Change
	for i := range size {
		m := random(i)
		state[m.Name] = m
		all = append(all, Change{m.Name, m})
	}
	z := empty.Update(all)
	questions := []struct {
		name  string
		types []Type
	}{
		{"web.service.gossip", []Type{TypeA, TypeAAAA, TypeSRV}},
		{"prod.env.tag.gossip", []Type{TypeA, TypeAAAA}},
		{"prod.env.web.service.gossip", []Type{TypeA, TypeSRV}},
	}
	sorted := func(z *Zone, name string, qtype Type) string {
		wire, err := ParseName(name)
		if err != nil {
			t.Fatal(err)
		}
		set := z.Lookup(wire, qtype).Answer
		if set == nil {
			return "none"
		}
		var lines []string
		for _, a := range set.Addrs {
			lines = append(lines, a.String())
		}
		priority := uint16(0)
		for _, s := range set.SRV {
			if s.Priority < priority {
				t.Fatalf("%s: priorities are out of order", name)
			}
			priority = s.Priority
			lines = append(lines, fmt.Sprint(s.Priority, s.Weight, s.Port, s.Target.Name, s.Target.A.Addrs, s.member))
		}
		slices.Sort(lines)
		return fmt.Sprint(set.TTL, set.Stale, strings.Join(lines, " "))
	}
	patched := 0
	for round := range 1500 {
		var changes []Change
		for range 1 + rng.IntN(3) {
			m := random(rng.IntN(size))
			c := Change{m.Name, m}
			if rng.IntN(10) == 0 {
				c.Member = nil
			}
			changes = append(changes, c)
			if state[c.Name] = c.Member; c.Member == nil {
				delete(state, c.Name)
			}
		}
		z = z.Update(changes)
		if round%(1+rng.IntN(4)) != 0 {
			continue // nobody asks about this generation
		}
		all = all[:0]
		for name, m := range state {
			all = append(all, Change{name, m})
		}
		fresh := empty.Update(all)
		n, _ := z.names.get([]byte(key("web", serviceLabel)))
		if n.from.(*group).a.basis.Load().patched() != nil {
			patched++
		}
		for _, q := range questions {
			for _, qtype := range q.types {
				if got, want := sorted(z, q.name, qtype), sorted(fresh, q.name, qtype); got != want {
					t.Fatalf("round %d, %s %d:\ngot  %s\nwant %s", round, q.name, qtype, got, want)
				}
			}
		}
	}
	if patched < 100 {
		t.Errorf("only %d sets were made from earlier ones", patched)
	}
}
