// Package shed keeps a flood out of the queues of sockets. Whoever is over the limit of replies still takes the places of
// others there: when packets come faster than they can be read, the kernel drops whichever finds no room. So networks that
// flood are named to the kernel, which throws most of their packets away before they are queued.
//
// It is pure: a Plan says which networks, given what was seen, and Program how to say so to the kernel, as a filter of the
// classic Berkeley kind. What applies it is the server.
package shed

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/net/bpf"
)

// Share is how many of the packets of a network that floods one gets through, by chance: enough to see that it still
// floods, and to let a real client in it through now and then.
const Share = 8

const (
	// loud is by how many packets in a second a network must be over its limit.
	loud = 1000
	// hold is how long a network is kept out after it was last seen to flood.
	hold = 2 * time.Second
	// maxNetworks bounds those that are kept out at the same time; each costs every packet a comparison or two.
	maxNetworks = 32
)

// Plan decides which networks are kept out. It is for one goroutine.
type Plan struct {
	until map[netip.Prefix]time.Time
}

// Step takes what was seen over an interval: by how many packets networks were over their limit, and whether queues ran
// over. It returns the networks to keep out from now on, in order, and whether they are others than before.
func (p *Plan) Step(now time.Time, interval time.Duration, over map[netip.Prefix]int, overflow bool) (networks []netip.Prefix, changed bool) {
	if p.until == nil {
		p.until = map[netip.Prefix]time.Time{}
	}
	rate := func(n int) float64 { return float64(n) / interval.Seconds() }
	for network := range p.until {
		switch {
		case rate(over[network])*Share >= loud: // this is what gets through
			p.until[network] = now.Add(hold)
		case now.After(p.until[network]):
			delete(p.until, network)
			changed = true
		}
	}
	if overflow {
		for network, n := range over {
			if _, known := p.until[network]; !known && rate(n) >= loud && len(p.until) < maxNetworks {
				p.until[network] = now.Add(hold)
				changed = true
			}
		}
	}
	for network := range p.until {
		networks = append(networks, network)
	}
	slices.SortFunc(networks, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	return networks, changed
}

// Offsets in the headers of IP, which in a filter of a UDP socket are found from netOffset on.
const (
	netOffset = 0xfff00000 // SKF_NET_OFF
	source4   = 12
	source6   = 8
	whole     = 0xffffffff
)

// Program returns a filter that drops what comes from the networks, but for one packet in Share.
func Program(networks []netip.Prefix) ([]bpf.RawInstruction, error) {
	var v4, v6 []bpf.Instruction
	for _, n := range networks {
		if n.Addr().Is4() {
			a := n.Addr().As4()
			v4 = append(v4,
				bpf.LoadAbsolute{Off: netOffset + source4, Size: 4},
				bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: mask(n.Bits())},
				bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32(a[:]), SkipTrue: uint8(len(shedding))})
			v4 = append(v4, shedding...)
			continue
		}
		a := n.Addr().As16()
		v6 = append(v6,
			bpf.LoadAbsolute{Off: netOffset + source6, Size: 4},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32(a[:]), SkipTrue: uint8(3 + len(shedding))},
			bpf.LoadAbsolute{Off: netOffset + source6 + 4, Size: 4},
			bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: mask(n.Bits() - 32)},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32(a[4:]), SkipTrue: uint8(len(shedding))})
		v6 = append(v6, shedding...)
	}
	pass := bpf.RetConstant{Val: whole}
	program := []bpf.Instruction{
		bpf.LoadAbsolute{Off: netOffset, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 4, SkipTrue: 1},
		bpf.Jump{Skip: uint32(len(v4) + 1)},
	}
	program = append(append(program, v4...), pass)
	program = append(append(program, v6...), pass)
	return bpf.Assemble(program)
}

// shedding drops a packet, but for one in Share.
var shedding = []bpf.Instruction{
	bpf.LoadExtension{Num: bpf.ExtRand},
	bpf.ALUOpConstant{Op: bpf.ALUOpMod, Val: Share},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 1},
	bpf.RetConstant{Val: 0},
	bpf.RetConstant{Val: whole},
}

// mask returns the first bits of a word.
func mask(bits int) uint32 { return uint32(uint64(whole) << (32 - bits)) }
