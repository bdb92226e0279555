package dnsserver

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// TestBatchUnderLoad asks from many sockets at once, so that batches are full, replies of one length follow each other,
// and loops wait in every way there is. Each reply must be the one to its question.
func TestBatchUnderLoad(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"127.0.0.1:0", "0.0.0.0:0", "[::]:0"} {
		t.Run(addr, func(t *testing.T) {
			t.Parallel()
			testLoad(t, addr)
		})
	}
}

func testLoad(t *testing.T, addr string) {
	z := testZone(t, 100, zone.OrderRandom)
	s := start(t, Config{Addr: addr, Source: func() *zone.Zone { return z }})
	_, port, err := net.SplitHostPort(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for client := range 8 {
		wg.Go(func() {
			conn, err := net.Dial("udp", net.JoinHostPort("127.0.0.1", port))
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = conn.Close() }()
			buf := make([]byte, maxMessage)
			for round := range 30 {
				asked := map[uint16]*dns.Msg{}
				for i := range 20 {
					q := []string{"web1.node.gossip.", "WEB.service.gossip.", "many.service.gossip.", "nope.node.gossip.", "eu.dc.web.service.gossip."}[i/4]
					m := new(dns.Msg).SetQuestion(q, dns.TypeA)
					m.Id = uint16(client<<12 | round<<5 | i)
					if i%7 == 0 {
						m.SetEdns0(4096, true) // the answer of many is longer than what is sent together
					}
					packet, err := m.Pack()
					if err != nil {
						t.Error(err)
						return
					}
					asked[m.Id] = m
					if _, err := conn.Write(packet); err != nil {
						t.Error(err)
						return
					}
				}
				for len(asked) > 0 {
					if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
						t.Error(err)
						return
					}
					n, err := conn.Read(buf)
					if err != nil {
						t.Errorf("%d not answered: %v", len(asked), err)
						return
					}
					reply := new(dns.Msg)
					if err := reply.Unpack(buf[:n]); err != nil {
						t.Error(err)
						return
					}
					m := asked[reply.Id]
					if m == nil || len(reply.Question) != 1 || reply.Question[0] != m.Question[0] {
						t.Errorf("got %v for %v", reply, m)
						return
					}
					delete(asked, reply.Id)
				}
			}
		})
	}
	wg.Wait()
	if stats := s.Stats(); stats.UDP != 8*30*20 || stats.Errors != 0 {
		t.Errorf("stats %+v", stats)
	}
}

// TestBatchCloses: loops that wait, in either way, end when the server is closed, which waits for them.
func TestBatchCloses(t *testing.T) {
	t.Parallel()
	for range 20 {
		s := start(t, Config{Addr: "127.0.0.1:0", Source: func() *zone.Zone { return nil }})
		conn, err := net.Dial("udp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			if _, err := conn.Write(query(t, "web1.node.gossip.", dns.TypeA)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		_ = conn.Close()
	}
}

// TestKernelRefusesToCut: replies that were to go out as one packet go out one by one if the kernel will not cut it, and
// none is lost. It refuses for sockets without check sums, among others.
func TestKernelRefusesToCut(t *testing.T) {
	t.Parallel()
	for name, refuses := range map[string]bool{"cuts": false, "refuses": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			z := testZone(t, 100, zone.OrderRandom)
			s, err := New(Config{Addr: "127.0.0.1:0", Source: func() *zone.Zone { return z }})
			if err != nil {
				t.Fatal(err)
			}
			f, err := listenShared("127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = f.Close() }()
			fd := int(f.Fd())
			addr, err := unix.Getsockname(fd)
			if err != nil {
				t.Fatal(err)
			}
			client, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: addr.(*unix.SockaddrInet4).Port})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = client.Close() }()
			b := newBatch(s, fd)
			if !b.mayMerge {
				t.Skip("this kernel does not cut packets")
			}
			if refuses {
				if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_NO_CHECK, 1); err != nil {
					t.Fatal(err)
				}
			}
			const each = 10
			for i, name := range []string{"web1.node.gossip.", "many.service.gossip.", "web2.node.gossip."} {
				for k := range each {
					q := query(t, name, dns.TypeA)
					q[1] = byte(i*each + k)
					if _, err := client.Write(q); err != nil {
						t.Fatal(err)
					}
				}
			}
			replies := 0
			for handled := 0; handled < 3*each; {
				n, errno := b.receive()
				if errno == unix.EINTR || errno == unix.EAGAIN {
					continue
				}
				if errno != 0 {
					t.Fatal(errno)
				}
				handled += n
				n = b.answer(n)
				b.send(n)
				replies += n
			}
			if refused := !b.mergeFrom.IsZero(); refused != refuses {
				t.Fatalf("the kernel refused: %v, want %v", refused, refuses)
			}
			seen := map[uint16]bool{}
			buf := make([]byte, maxMessage)
			for range replies {
				if err := client.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
					t.Fatal(err)
				}
				n, err := client.Read(buf)
				if err != nil {
					t.Fatalf("%d replies of %d: %v", len(seen), replies, err)
				}
				m := new(dns.Msg)
				if err := m.Unpack(buf[:n]); err != nil {
					t.Fatal(err)
				}
				seen[m.Id&0xff] = true
			}
			if stats := b.stats.read(); len(seen) != 3*each || stats.Errors != 0 {
				t.Errorf("%d of %d answered; stats %+v", len(seen), 3*each, stats)
			}
		})
	}
}

// TestPollerLeftAlone: sockets are not with the run-time's poller, which would have the kernel call it for each packet that
// comes or goes.
func TestPollerLeftAlone(t *testing.T) {
	t.Parallel()
	f, err := listenShared("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	polled := regexp.MustCompile(fmt.Sprintf(`(?m)^tfd: +%d `, f.Fd()))
	infos, err := filepath.Glob("/proc/self/fdinfo/*")
	if err != nil || len(infos) == 0 {
		t.Skip("nothing known of open files:", err)
	}
	for _, info := range infos {
		text, err := os.ReadFile(info)
		if err == nil && polled.Match(text) { // or it was closed
			t.Errorf("%s: %s", info, text)
		}
	}
}

// TestWildcardRepliesFromThere: a socket bound to all addresses replies from the one that was asked, on both versions of IP.
func TestWildcardRepliesFromThere(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		listen string
		ask    []string
	}{
		{"0.0.0.0:0", []string{"127.0.0.1", "127.1.2.3", "127.0.0.77"}},
		{"[::]:0", []string{"127.0.0.1", "127.1.2.3", "::1"}},
	} {
		z := testZone(t, 0, zone.OrderRandom)
		s, err := New(Config{Addr: tt.listen, Source: func() *zone.Zone { return z }})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(); err != nil {
			if strings.Contains(tt.listen, "::") {
				t.Logf("no IPv6 here: %v", err)
				continue
			}
			t.Fatal(err)
		}
		defer func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}()
		_, port, err := splitAddr(s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range tt.ask {
			// A connected socket hears nobody else.
			conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(host), uint16(port))))
			if err != nil {
				t.Logf("cannot ask %s: %v", host, err)
				continue
			}
			if _, err := conn.Write(query(t, "web1.node.gossip.", dns.TypeA)); err != nil {
				t.Fatal(err)
			}
			if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Read(make([]byte, 512)); err != nil {
				t.Errorf("%s asked at %s: %v", tt.listen, host, err)
			}
			_ = conn.Close()
		}
	}
}
