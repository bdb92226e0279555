// Package rrl limits how many replies per second go to one network over UDP, where whoever asks may have written
// somebody else's address into the query: without it a name server is a tool for flooding third parties, and one loud
// client takes the capacity of all others. It counts by client network and kind of reply, as name servers do since
// BIND 9.9.4; of the replies over the limit a share is sent truncated ("slip"), so that a real client in such a network
// gets through by TCP.
//
// Its memory is fixed, it hardly ever locks, it allocates nothing, and it does no I/O; times are handed in.
package rrl

import (
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Kind is a kind of reply. Each has its own count, so that a flood of one does not silence the others.
type Kind uint8

// The kinds.
const (
	Answer   Kind = iota // records
	NoData               // the name has nothing of that type
	NXDomain             // no such name
	Error                // everything else
)

// Action is what is to become of a reply.
type Action uint8

// The actions.
const (
	Send Action = iota
	Slip        // send it truncated and empty
	Drop
)

// Config describes a Limiter.
type Config struct {
	// Rate is how many replies of one kind a network gets per second; as many may come in one burst. At least 1.
	Rate int
	// Slip is the share of replies over the rate that is sent truncated, one in Slip; 0 means none.
	Slip int
	// Exempt are networks without limit.
	Exempt []netip.Prefix
}

// Networks are as long as those that providers give to one customer, as in other name servers.
const (
	bits4 = 24
	bits6 = 56
)

// mark6 tells networks of IPv6, as numbers, from those of IPv4.
const mark6 = 1 << bits6

// slots is the number of counters in each row, a power of two; all of them take 1 MiB. A network shares a counter with
// another one by chance, but hardly both of its counters with busy ones: 1000 networks over their limit at the same
// time hit one in 4000 of the others.
const slots = 1 << 16

// Limiter counts replies. It is safe for concurrent use. The nil Limiter limits nothing.
type Limiter struct {
	interval int64 // ns between replies at the rate
	burst    int64 // ns by which a counter may be ahead
	slip     uint32
	exempt4  []prefix4
	exempt6  []netip.Prefix
	seed     [2]uint64 // nobody outside knows who shares a counter with whom
	// A counter is the time, in ns, at which all that was sent would have been sent at the rate (the "theoretical
	// arrival time" of the generic cell rate algorithm): one number instead of a balance and its date.
	rows [2][slots]atomic.Int64

	mu   sync.Mutex
	loud map[uint64]int // samples of networks over their limit, since Loud
}

// One in so many replies over the limit is remembered with its network, and so many networks at most.
const (
	sampleRate = 64
	maxLoud    = 256
)

// prefix4 is a network of IPv4 in the form that is fastest to compare.
type prefix4 struct{ addr, mask uint32 }

// New returns a Limiter.
func New(cfg Config) *Limiter {
	l := &Limiter{
		interval: int64(time.Second) / int64(max(cfg.Rate, 1)),
		slip:     uint32(max(cfg.Slip, 0)),
		seed:     [2]uint64{rand.Uint64(), rand.Uint64()},
		loud:     map[uint64]int{},
	}
	l.burst = int64(time.Second) - l.interval
	for _, p := range cfg.Exempt {
		if p.Addr().Is4() {
			mask := uint32(0xffffffff << (32 - p.Bits()) & 0xffffffff)
			l.exempt4 = append(l.exempt4, prefix4{word(p.Addr()) & mask, mask})
		} else {
			l.exempt6 = append(l.exempt6, p.Masked())
		}
	}
	return l
}

// word returns an address of IPv4 as a number.
func word(addr netip.Addr) uint32 {
	a := addr.As4()
	return uint32(a[0])<<24 | uint32(a[1])<<16 | uint32(a[2])<<8 | uint32(a[3])
}

// Decide counts a reply of a kind to an address, and says what is to become of it. Time runs from any fixed point, such
// as the start of the process, and must not jump.
func (l *Limiter) Decide(addr netip.Addr, kind Kind, now time.Duration) Action {
	if l == nil {
		return Send
	}
	var network uint64
	if addr = addr.Unmap(); addr.Is4() {
		a := word(addr)
		for _, p := range l.exempt4 {
			if a&p.mask == p.addr {
				return Send
			}
		}
		network = uint64(a >> (32 - bits4))
	} else {
		for _, p := range l.exempt6 {
			if p.Contains(addr) {
				return Send
			}
		}
		a := addr.As16()
		for _, b := range a[:bits6/8] {
			network = network<<8 | uint64(b)
		}
		network |= mark6
	}
	high, low := bits.Mul64(network^l.seed[0], l.seed[1]^uint64(kind)<<56|1)
	hash := high ^ low
	places := [2]uint64{hash % slots, hash >> 32 % slots}
	// A reply passes if one of its counters lets it: what else the other one counts is not this network's.
	pass := false
	for i, place := range places {
		counter := &l.rows[i][place]
		for {
			was := counter.Load()
			base := max(was, int64(now))
			if base-int64(now) > l.burst {
				break
			}
			if counter.CompareAndSwap(was, base+l.interval) {
				pass = true
				break
			}
		}
	}
	if pass {
		return Send
	}
	if rand.Uint32N(sampleRate) == 0 {
		l.note(network)
	}
	switch {
	case l.slip > 0 && rand.Uint32N(l.slip) == 0:
		return Slip
	default:
		return Drop
	}
}

// note remembers a network that is over its limit.
func (l *Limiter) note(network uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.loud[network]; known || len(l.loud) < maxLoud {
		l.loud[network]++
	}
}

// Loud returns the networks that were over their limit since the last call, with the replies by which they were, about.
func (l *Limiter) Loud() map[netip.Prefix]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.loud) == 0 {
		return nil
	}
	found := make(map[netip.Prefix]int, len(l.loud))
	for network, n := range l.loud {
		found[prefix(network)] = n * sampleRate
	}
	clear(l.loud)
	return found
}

// prefix returns the network that a number stands for.
func prefix(network uint64) netip.Prefix {
	if network&mark6 == 0 {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(network >> 16), byte(network >> 8), byte(network)}), bits4)
	}
	var a [16]byte
	for i := range bits6 / 8 {
		a[i] = byte(network >> (bits6 - 8 - 8*i))
	}
	return netip.PrefixFrom(netip.AddrFrom16(a), bits6)
}
