package zone

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// maxReverse bounds how many zones of addresses there are. One network makes at most 128 of them.
const maxReverse = 1024

// reverseZones returns the empty zones for networks, sorted by key.
func reverseZones(cfg *settings, networks []netip.Prefix, serial uint32) ([]*Zone, error) {
	var clean []netip.Prefix
	for _, p := range networks {
		if !p.IsValid() {
			return nil, fmt.Errorf("reverse network %v is not valid", p)
		}
		clean = append(clean, netip.PrefixFrom(p.Addr().WithZone(""), p.Bits()).Masked())
	}
	// The wide before the narrow, so that what is inside another is found to be.
	slices.SortFunc(clean, func(a, b netip.Prefix) int { return a.Bits() - b.Bits() })
	var zones []*Zone
	var kept []netip.Prefix
	for _, p := range clean {
		if slices.ContainsFunc(kept, func(k netip.Prefix) bool { return k.Overlaps(p) }) {
			continue
		}
		kept = append(kept, p)
		for _, name := range reverseOrigins(p) {
			o, err := newOrigin(name)
			if err != nil {
				return nil, err
			}
			if strings.HasPrefix(o.key, cfg.origin.key) || strings.HasPrefix(cfg.origin.key, o.key) {
				return nil, fmt.Errorf("reverse network %v: its zone %s and the zone itself overlap", p, name)
			}
			zones = append(zones, &Zone{cfg: cfg, origin: o, serial: serial})
		}
		if len(zones) > maxReverse {
			return nil, fmt.Errorf("the reverse networks make more than %d zones; list wider ones that end at whole octets (IPv4) or nibbles (IPv6)", maxReverse)
		}
	}
	slices.SortFunc(zones, func(a, b *Zone) int { return strings.Compare(a.origin.key, b.origin.key) })
	return zones, nil
}

// reverseOrigins returns the names of the zones that hold a network and nothing else. Where it does not end at a whole
// octet or nibble those are as many as it has parts that do, up to 128.
func reverseOrigins(p netip.Prefix) []string {
	step := 8
	if p.Addr().Is6() {
		step = 4
	}
	digits := (p.Bits() + step - 1) / step
	spare := digits*step - p.Bits()
	octets := p.Addr().AsSlice()
	var names []string
	for i := range 1 << spare {
		at := slices.Clone(octets)
		if digits > 0 {
			last := digits*step - 1 // bit
			at[last/8] |= byte(i << (7 - last%8))
		}
		addr, _ := netip.AddrFromSlice(at)
		labels := strings.Split(ReverseName(addr), ".")
		names = append(names, strings.Join(labels[len(octets)*8/step-digits:], "."))
	}
	return names
}

// ReverseName returns the name at which the PTR record of an address is found (RFC 1035 section 3.5, RFC 3596 section
// 2.5), with its last dot.
func ReverseName(addr netip.Addr) string {
	addr = addr.Unmap()
	octets := addr.AsSlice()
	var b strings.Builder
	for i := len(octets) - 1; i >= 0; i-- {
		if addr.Is4() {
			b.WriteString(strconv.Itoa(int(octets[i])) + ".")
		} else {
			b.Write([]byte{hexDigits[octets[i]&15], '.', hexDigits[octets[i]>>4], '.'})
		}
	}
	if addr.Is4() {
		return b.String() + "in-addr.arpa."
	}
	return b.String() + "ip6.arpa."
}

// pointer says where the PTR record of an address goes.
type pointer struct {
	zone int    // in the list of reverse zones
	key  string // relative to its origin
}

// pointers returns where the addresses of a host are pointed to from.
func (z *Zone) pointers(h *Host) []pointer {
	if len(z.reverse) == 0 || h.Name == "" {
		return nil
	}
	var out []pointer
	for _, addrs := range [][]netip.Addr{h.A.Addrs, h.AAAA.Addrs} {
		for _, a := range addrs {
			wire, err := ParseName(ReverseName(a))
			if err != nil {
				continue
			}
			var buf [maxName]byte
			k, _ := parseKey(wire, &buf)
			in := z.find(k)
			if in == nil || in == z {
				continue
			}
			out = append(out, pointer{slices.Index(z.reverse, in), string(k[len(in.origin.key):])})
		}
	}
	return out
}
