package examples_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-645ce708/gossip/agent/agenttest/loopback"
	"github.com/seed-645ce708/gossip/examples/internal/harness"
)

// gate is the address that an agent advertises in place of its own. What is sent there it passes on, by TCP and
// UDP, except packets from a sender that is cut off. What the agent sends itself does not come through here.
type gate struct {
	addr string

	mu     sync.Mutex
	to     netip.AddrPort // the agent; not valid until it is opened
	banned netip.AddrPort
	drops  atomic.Int64
}

// newGate makes a gate that lets nothing through yet. It closes at the end of the test.
func newGate(t *testing.T) *gate {
	t.Helper()
	addr := must(loopback.FreeAddr(harness.Loopback(9)))(t)
	l := must(net.Listen("tcp", addr))(t)
	in := must(net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr))))(t)
	g := &gate{addr: addr}
	var wg sync.WaitGroup
	conns := map[net.Conn]bool{}
	t.Cleanup(func() {
		l.Close()
		in.Close()
		g.mu.Lock()
		for c := range conns {
			c.Close()
		}
		g.mu.Unlock()
		wg.Wait()
	})
	wg.Go(func() {
		buf := make([]byte, 65536)
		for {
			n, from, err := in.ReadFromUDPAddrPort(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			g.mu.Lock()
			to, cut := g.to, g.banned.IsValid() && from == g.banned
			g.mu.Unlock()
			if cut {
				g.drops.Add(1)
			} else if err == nil && to.IsValid() {
				_, _ = in.WriteToUDPAddrPort(buf[:n], to) // packets may be lost
			}
		}
	})
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			g.mu.Lock()
			to := g.to
			g.mu.Unlock()
			d, err := net.Dial("tcp", to.String())
			if err != nil {
				c.Close()
				continue
			}
			g.mu.Lock()
			conns[c], conns[d] = true, true
			g.mu.Unlock()
			for _, way := range [][2]net.Conn{{c, d}, {d, c}} {
				wg.Go(func() {
					_, _ = io.Copy(way[1], way[0]) // either side may hang up
					way[1].Close()
				})
			}
		}
	})
	return g
}

// open lets everything through to the agent.
func (g *gate) open(agent string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.to = netip.MustParseAddrPort(agent)
}

// cut drops the sender's packets from now on.
func (g *gate) cut(sender string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.banned = netip.MustParseAddrPort(sender)
}

// dropped returns how many packets were dropped.
func (g *gate) dropped() int64 { return g.drops.Load() }
