package gossip

import (
	"io"
	"log"
	"net"
	"strings"
	"testing"
	"time"
)

func newTestTransport(t *testing.T, addr string) *transport {
	t.Helper()
	tr, err := newTransport(addr, 0, log.New(io.Discard, "", 0), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.Shutdown() })
	return tr
}

// TestPackets: each packet is a value of its own, as long as what was sent.
func TestPackets(t *testing.T) {
	t.Parallel()
	a, b := newTestTransport(t, "127.0.0.1"), newTestTransport(t, "127.0.0.1")
	want := []string{"first", strings.Repeat("x", 60000), "last"}
	var got [][]byte
	for _, text := range want {
		if _, err := a.WriteTo([]byte(text), b.udp.LocalAddr().String()); err != nil {
			t.Fatal(err)
		}
		p := <-b.PacketCh()
		if p.From.String() != a.udp.LocalAddr().String() || p.Timestamp.IsZero() {
			t.Errorf("from %v at %v", p.From, p.Timestamp)
		}
		got = append(got, p.Buf)
	}
	for i := range want {
		if string(got[i]) != want[i] || cap(got[i]) > 2*len(want[i])+64 {
			t.Errorf("packet %d: %d bytes in %d, want %d", i, len(got[i]), cap(got[i]), len(want[i]))
		}
	}
	if _, err := a.WriteTo([]byte("x"), "localhost:1"); err == nil {
		t.Error("a packet went to a name")
	}
}

// TestShutdownUnread: neither a packet nor a connection that nobody takes holds up the end.
func TestShutdownUnread(t *testing.T) {
	t.Parallel()
	a, b := newTestTransport(t, "127.0.0.1"), newTestTransport(t, "127.0.0.1")
	if _, err := a.WriteTo([]byte("x"), b.udp.LocalAddr().String()); err != nil {
		t.Fatal(err)
	}
	conn, err := a.DialTimeout(b.tcp.Addr().String(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := b.Shutdown(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection that nobody took is open")
	}
	if _, err := b.DialTimeout(a.tcp.Addr().String(), 10*time.Second); err == nil {
		t.Error("dialled after the end")
	}
}

func TestAdvertised(t *testing.T) {
	t.Parallel()
	bound, all := newTestTransport(t, "127.0.0.1"), newTestTransport(t, "0.0.0.0")
	for _, tc := range []struct {
		on       *transport
		host     string
		port     int
		want     string
		wantPort int
	}{
		{bound, "", 1, "127.0.0.1", bound.port()},
		{bound, "10.1.2.3", 5, "10.1.2.3", 5},
		{all, "::ffff:10.1.2.3", 5, "10.1.2.3", 5},
		{all, "fe80::1", 5, "fe80::1", 5},
	} {
		ip, port, err := tc.on.FinalAdvertiseAddr(tc.host, tc.port)
		if err != nil || ip.String() != tc.want || port != tc.wantPort || tc.want[0] == '1' && len(ip) != net.IPv4len {
			t.Errorf("%q %d: got %v %d %v", tc.host, tc.port, ip, port, err)
		}
	}
	if _, _, err := all.FinalAdvertiseAddr("host", 1); err == nil {
		t.Error("a name was taken for an address")
	}
}
