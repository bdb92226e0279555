package simnet

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	packetDepth = 1024 // packets that an agent has not read yet
	streamDepth = 128  // connections that it has not accepted yet
	heldDepth   = 256  // packets that wait for a frozen agent, in either direction
	rto         = 200 * time.Millisecond
)

// Options describe a network.
type Options struct {
	Seed uint64
	// Each packet takes Delay, and longer by a random time below Jitter.
	Delay, Jitter time.Duration
}

// Counters count what happened on a network.
type Counters struct {
	Packets, PacketBytes uint64 // sent, without headers
	Dials, StreamBytes   uint64
	Lost, Duplicated     uint64 // by chance
	Cut                  uint64 // into another partition, or to nobody
	Overflowed           uint64 // beyond the room of a queue
}

// Network connects endpoints. Safe for concurrent use.
type Network struct {
	opts Options

	mu        sync.Mutex
	rand      *rand.Rand
	endpoints map[netip.AddrPort]*Endpoint
	group     func(netip.AddrPort) int
	loss      float64
	lossAt    map[netip.AddrPort]float64
	duplicate float64
	frozen    map[netip.AddrPort]*freeze
	counters  Counters
}

// freeze is what waits for an address to be thawed.
type freeze struct {
	end  time.Time
	held []func()
}

// New returns a network without endpoints.
func New(opts Options) *Network {
	return &Network{
		opts:      opts,
		rand:      rand.New(rand.NewPCG(opts.Seed, 0x73696d6e6574)), //nolint:gosec // for tests
		endpoints: map[netip.AddrPort]*Endpoint{},
		group:     func(netip.AddrPort) int { return 0 },
		lossAt:    map[netip.AddrPort]float64{},
		frozen:    map[netip.AddrPort]*freeze{},
	}
}

// Counters returns what was counted so far.
func (n *Network) Counters() Counters {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.counters
}

// Partition puts addresses into groups between which nothing passes.
func (n *Network) Partition(group func(netip.AddrPort) int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.group = group
}

// Loss sets the share of packets that are lost everywhere. Streams come later instead.
func (n *Network) Loss(share float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loss = share
}

// LossAt sets the share of packets that one address loses, in both directions.
func (n *Network) LossAt(addr netip.AddrPort, share float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lossAt[addr] = share
}

// Duplicate sets the share of packets that arrive twice.
func (n *Network) Duplicate(share float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.duplicate = share
}

// Freeze holds up all that goes to and comes from an address for d.
func (n *Network) Freeze(addr netip.AddrPort, d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.frozen[addr] != nil {
		return
	}
	fr := &freeze{end: time.Now().Add(d)}
	n.frozen[addr] = fr
	time.AfterFunc(d, func() {
		n.mu.Lock()
		delete(n.frozen, addr)
		n.mu.Unlock()
		for _, f := range fr.held {
			f()
		}
	})
}

// unlessFrozen runs f now, or when the address is not frozen any more.
func (n *Network) unlessFrozen(addr netip.AddrPort, f func()) {
	n.mu.Lock()
	fr := n.frozen[addr]
	switch {
	case fr == nil:
		n.mu.Unlock()
		f()
		return
	case len(fr.held) >= heldDepth:
		n.counters.Overflowed++
	default:
		fr.held = append(fr.held, f)
	}
	n.mu.Unlock()
}

// connected reports whether packets pass. The network is locked.
func (n *Network) connected(a, b netip.AddrPort) bool { return n.group(a) == n.group(b) }

// lucky reports whether a packet is not lost. The network is locked.
func (n *Network) lucky(a, b netip.AddrPort) bool {
	loss := max(n.loss, n.lossAt[a], n.lossAt[b])
	return loss == 0 || n.rand.Float64() >= loss
}

// delay returns how long a packet takes. The network is locked.
func (n *Network) delay() time.Duration {
	if n.opts.Jitter <= 0 {
		return n.opts.Delay
	}
	return n.opts.Delay + time.Duration(n.rand.Int64N(int64(n.opts.Jitter)))
}

// segment returns how long a piece of a stream takes, with what TCP repeats and until both sides are thawed, and
// whether it gets through at all.
func (n *Network) segment(a, b netip.AddrPort) (time.Duration, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.connected(a, b) {
		return 0, false
	}
	d := n.delay()
	for again := rto; !n.lucky(a, b) && again < time.Minute; again *= 2 {
		d += again
	}
	for _, addr := range []netip.AddrPort{a, b} {
		if fr := n.frozen[addr]; fr != nil {
			d = max(d, time.Until(fr.end))
		}
	}
	return d, true
}

// send lets a packet travel.
func (n *Network) send(from, to netip.AddrPort, packet []byte) {
	packet = slices.Clone(packet)
	n.unlessFrozen(from, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.counters.Packets++
		n.counters.PacketBytes += uint64(len(packet))
		switch {
		case !n.connected(from, to):
			n.counters.Cut++
			return
		case !n.lucky(from, to):
			n.counters.Lost++
			return
		}
		arrive := func() { n.unlessFrozen(to, func() { n.deliver(from, to, packet) }) }
		if n.duplicate > 0 && n.rand.Float64() < n.duplicate {
			n.counters.Duplicated++
			time.AfterFunc(n.delay(), arrive)
		}
		time.AfterFunc(n.delay(), arrive)
	})
}

func (n *Network) deliver(from, to netip.AddrPort, packet []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.endpoints[to]
	if e == nil || !n.connected(from, to) {
		n.counters.Cut++
		return
	}
	now := time.Now()
	e.heard.Store(&now)
	select {
	case e.packets <- &memberlist.Packet{Buf: slices.Clone(packet), From: net.UDPAddrFromAddrPort(from), Timestamp: now}:
	default:
		n.counters.Overflowed++
	}
}
