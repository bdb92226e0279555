package shed

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

func TestPlan(t *testing.T) {
	t.Parallel()
	a, b := netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/56")
	var p Plan
	now := time.Unix(1e9, 0)
	for _, step := range []struct {
		name     string
		after    time.Duration
		over     map[netip.Prefix]int
		overflow bool
		want     string
		changed  bool
	}{
		{"nothing", 0, nil, false, "[]", false},
		{"a flood that does no harm", 0, map[netip.Prefix]int{a: 1e6}, false, "[]", false},
		{"queues run over, and nobody is over the limit", 0, nil, true, "[]", false},
		{"nor by much", 0, map[netip.Prefix]int{a: 150}, true, "[]", false},
		{"a flood", 0, map[netip.Prefix]int{a: 5000, b: 150}, true, "[192.0.2.0/24]", true},
		{"goes on", time.Second, map[netip.Prefix]int{a: 100}, true, "[192.0.2.0/24]", false},
		{"another one", time.Second, map[netip.Prefix]int{a: 100, b: 300}, true, "[192.0.2.0/24 2001:db8::/56]", true},
		{"one ends", 2 * time.Second, map[netip.Prefix]int{b: 100}, true, "[192.0.2.0/24 2001:db8::/56]", false},
		{"for good", time.Second, map[netip.Prefix]int{b: 100}, true, "[2001:db8::/56]", true},
		{"the other too", 3 * time.Second, map[netip.Prefix]int{b: 10}, false, "[]", true},
		{"quiet", time.Second, nil, false, "[]", false},
	} {
		now = now.Add(step.after)
		got, changed := p.Step(now, 200*time.Millisecond, step.over, step.overflow)
		if fmt.Sprint(got) != step.want || changed != step.changed {
			t.Errorf("%s: got %v, changed %t; want %s, %t", step.name, got, changed, step.want, step.changed)
		}
	}
	over := map[netip.Prefix]int{}
	for i := range 1000 {
		over[netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i)}), 24)] = 1e6
	}
	if got, _ := p.Step(now, time.Second, over, true); len(got) != maxNetworks {
		t.Errorf("%d networks", len(got))
	}
	if _, err := Program(mostly6()); err != nil {
		t.Errorf("the longest program: %v", err)
	}
}

func mostly6() (list []netip.Prefix) {
	for i := range maxNetworks {
		list = append(list, netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, byte(i)}), 56))
	}
	return append(list[1:], netip.MustParsePrefix("192.0.2.0/24"))
}
