package rrl

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// send decides n times at once, and returns how often each action came.
func send(l *Limiter, addr string, kind Kind, n int, now time.Duration) (count [3]int) {
	a := netip.MustParseAddr(addr)
	for range n {
		count[l.Decide(a, kind, now)]++
	}
	return count
}

// TestRate: a burst of one second's replies, then as many as time brings, for each network and kind on its own.
func TestRate(t *testing.T) {
	t.Parallel()
	l := New(Config{Rate: 10})
	at := 5 * time.Second
	for _, step := range []struct {
		name, addr string
		kind       Kind
		after      time.Duration
		n, sent    int
	}{
		{"a burst", "192.0.2.1", Answer, 0, 15, 10},
		{"the network's other end", "192.0.2.254", Answer, 0, 5, 0},
		{"the same, mapped", "::ffff:192.0.2.77", Answer, 0, 5, 0},
		{"another kind", "192.0.2.1", NXDomain, 0, 15, 10},
		{"another network", "192.0.3.1", Answer, 0, 15, 10},
		{"before its time", "192.0.2.1", Answer, 99 * time.Millisecond, 5, 0},
		{"one more", "192.0.2.1", Answer, 100 * time.Millisecond, 5, 1},
		{"half a second later", "192.0.2.1", Answer, 600 * time.Millisecond, 15, 5},
		{"long after", "192.0.2.1", Answer, time.Hour, 15, 10},
		{"IPv6", "2001:db8:0:100::1", Answer, 0, 15, 10},
		{"the same /56", "2001:db8:0:1ff:ffff::1", Answer, 0, 5, 0},
		{"another /56", "2001:db8:0:200::1", Answer, 0, 15, 10},
	} {
		got := send(l, step.addr, step.kind, step.n, at+step.after)
		if got[Send] != step.sent || got[Slip] != 0 {
			t.Errorf("%s: sent %d and slipped %d of %d, want %d and none", step.name, got[Send], got[Slip], step.n, step.sent)
		}
	}
}

func TestSlip(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ slip, least, most int }{{0, 0, 0}, {1, 10000, 10000}, {2, 4600, 5400}, {10, 700, 1300}} { // 8 standard deviations
		l := New(Config{Rate: 1, Slip: tt.slip})
		send(l, "192.0.2.1", Answer, 1, 0)
		if got := send(l, "192.0.2.1", Answer, 10000, 0); got[Send] != 0 || got[Slip] < tt.least || got[Slip] > tt.most {
			t.Errorf("slip %d: %v", tt.slip, got)
		}
	}
}

func TestExempt(t *testing.T) {
	t.Parallel()
	var prefixes []netip.Prefix
	for _, p := range []string{"10.0.0.0/8", "192.0.2.7/32", "198.51.100.99/24", "2001:db8:1::/48"} {
		prefixes = append(prefixes, netip.MustParsePrefix(p))
	}
	l := New(Config{Rate: 1, Exempt: prefixes})
	for addr, want := range map[string]int{"10.1.2.3": 50, "::ffff:10.1.2.3": 50, "192.0.2.7": 50, "192.0.2.8": 1, "198.51.100.1": 50, "198.51.101.1": 1,
		"2001:db8:1:2::3": 50, "2001:db8:2::": 1, "11.0.0.0": 1} {
		if got := send(l, addr, Error, 50, 0); got[Send] != want {
			t.Errorf("%s: sent %d of 50, want %d", addr, got[Send], want)
		}
	}
	all := New(Config{Rate: 1, Exempt: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}})
	if got := send(all, "203.0.113.1", Answer, 50, 0); got[Send] != 50 {
		t.Errorf("with all of IPv4 exempt: %v", got)
	}
	if got := send(nil, "203.0.113.1", Answer, 50, 0); got[Send] != 50 {
		t.Errorf("without a limiter: %v", got)
	}
}

// TestLoud: who is over the limit is known by name, and by how much, about.
func TestLoud(t *testing.T) {
	t.Parallel()
	l := New(Config{Rate: 1})
	send(l, "192.0.2.1", Answer, 100000, 0)
	send(l, "2001:db8:12:34ff::1", NXDomain, 50000, 0)
	send(l, "203.0.113.1", Answer, 1, 0)
	got := l.Loud()
	for network, want := range map[string]int{"192.0.2.0/24": 100000, "2001:db8:12:3400::/56": 50000, "203.0.113.0/24": 0} {
		if n := got[netip.MustParsePrefix(network)]; n < want*3/4 || n > want*5/4 { // 7 standard deviations
			t.Errorf("%s: %d, want about %d; all: %v", network, n, want, got)
		}
	}
	if again := l.Loud(); len(again) > 0 {
		t.Errorf("a second time: %v", again)
	}
	for i := range 100000 {
		l.Decide(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}), Answer, 0)
		l.Decide(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}), Answer, 0)
	}
	if n := len(l.Loud()); n > maxLoud {
		t.Errorf("%d networks are remembered", n)
	}
}

// A thousand loud networks leave hardly anybody else short.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	l := New(Config{Rate: 5})
	addr := func(first byte, i int) netip.Addr { return netip.AddrFrom4([4]byte{first, byte(i >> 8), byte(i), 1}) }
	for i := range 1000 {
		for range 50 {
			l.Decide(addr(198, i), Answer, 0)
		}
	}
	lost := 0
	for i := range 2000 {
		if l.Decide(addr(203, i), Answer, 0) != Send {
			lost++
		}
	}
	if lost > 10 { // 0.5 expected
		t.Errorf("%d of 2000 quiet networks got no answer", lost)
	}
}

// Goroutines that count the same network together let through what one alone would.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	l := New(Config{Rate: 1000})
	var sent atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			sent.Add(int64(send(l, "2001:db8::1", NoData, 1000, 0)[Send]))
		})
	}
	wg.Wait()
	// Two counters that are raised one after the other may let a few more through, one a goroutine and counter.
	if n := sent.Load(); n < 1000 || n > 1016 {
		t.Errorf("sent %d, want 1000", n)
	}
}

func BenchmarkDecide(b *testing.B) {
	private := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8"),
		netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16")}
	for _, bb := range []struct{ name, addr string }{{"exempt", "192.168.1.1"}, {"counted", "192.0.2.1"}} {
		l, addr := New(Config{Rate: 200, Slip: 2, Exempt: private}), netip.MustParseAddr(bb.addr)
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l.Decide(addr, Answer, 0)
			}
		})
	}
}
