package dnsserver

import (
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/dnsserver/internal/shed"
)

// TestFilter: the kernel lets a share of what comes from a network through, and all that comes from others.
func TestFilter(t *testing.T) {
	t.Parallel()
	prefixes := func(list ...string) (p []netip.Prefix) {
		for _, text := range list {
			p = append(p, netip.MustParsePrefix(text))
		}
		return p
	}
	tests := []struct {
		name, listen string
		filter       []netip.Prefix
		loud, quiet  string // addresses to send from
	}{
		{"IPv4", "127.0.0.1:0", prefixes("10.0.0.0/24", "127.0.66.0/24", "2001:db8::/56"), "127.0.66.5", "127.0.67.5"},
		{"IPv4 to a socket for both", "[::]:0", prefixes("127.0.66.0/24"), "127.0.66.5", "127.0.67.5"},
		{"IPv6", "[::1]:0", prefixes("127.0.66.0/24", "2001:db8::/56", "::/56", "2001:db8:0:100::/56"), "::1", ""},
		{"IPv6 of another network", "[::1]:0", prefixes("127.0.66.0/24", "2001:db8::/56", "0:0:0:100::/56", "0:1::/56"), "", "::1"},
		{"none any more", "127.0.0.1:0", nil, "", "127.0.66.5"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.ListenPacket("udp", tt.listen)
			if err != nil {
				t.Skip("this machine cannot listen there:", err)
			}
			defer func() { _ = conn.Close() }()
			file, err := conn.(*net.UDPConn).File()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = file.Close() }()
			if err := setFilter(file, prefixes("127.0.0.0/24")); err != nil {
				t.Skip("this machine has no filters for sockets:", err)
			}
			if err := setFilter(file, tt.filter); err != nil {
				t.Fatal(err)
			}
			var mu sync.Mutex
			received := map[string]int{}
			go func() {
				b := make([]byte, 10)
				for {
					_, from, err := conn.ReadFrom(b)
					if err != nil {
						return
					}
					mu.Lock()
					received[from.(*net.UDPAddr).AddrPort().Addr().Unmap().String()]++
					mu.Unlock()
				}
			}()
			count := func(addr string) int {
				mu.Lock()
				defer mu.Unlock()
				return received[addr]
			}
			port := conn.LocalAddr().(*net.UDPAddr).Port
			send := func(addr string, n int) {
				t.Helper()
				from := net.ParseIP(addr)
				to := net.IPv4(127, 0, 0, 1)
				if from.To4() == nil {
					to = net.IPv6loopback
				}
				c, err := net.DialUDP("udp", &net.UDPAddr{IP: from}, &net.UDPAddr{IP: to, Port: port})
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = c.Close() }()
				for range n {
					if _, err := c.Write([]byte("x")); err != nil {
						t.Fatal(err)
					}
				}
			}
			deadline := time.Now().Add(time.Minute)
			// until sends packets until so many have arrived: there may be no room for one now and then.
			until := func(addr string, n, atMost int) (sent int) {
				t.Helper()
				for count(addr) < n && sent < atMost && time.Now().Before(deadline) {
					send(addr, 10)
					sent += 10
					time.Sleep(time.Millisecond)
				}
				for count(addr) < n && time.Now().Before(deadline) { // who counts them may be behind
					time.Sleep(time.Millisecond)
				}
				if count(addr) < n {
					t.Errorf("%d of %d packets from %s arrived, want %d", count(addr), sent, addr, n)
				}
				return sent
			}
			if tt.loud != "" {
				sent := until(tt.loud, 100, 1e5)
				if least := 100 * shed.Share / 2; sent < least { // 8 standard deviations
					t.Errorf("100 of only %d packets from %s arrived", sent, tt.loud)
				}
			}
			if tt.quiet != "" {
				until(tt.quiet, 100, 200)
			}
		})
	}
}
