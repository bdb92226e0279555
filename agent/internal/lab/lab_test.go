//go:build linux

package lab

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"
)

func TestNet(t *testing.T) {
	t.Parallel()
	n, err := New(3)
	if errors.Is(err, ErrNotAllowed) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	var conns []*net.UDPConn
	for i := range 3 {
		c, err := n.Listen(i)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
	}
	to := conns[2].LocalAddr().(*net.UDPAddr).AddrPort()
	send := func(text string) {
		if _, err := conns[0].WriteToUDPAddrPort([]byte(text), to); err != nil {
			t.Fatal(err)
		}
	}
	buf := make([]byte, 100)
	n.Lose(1)
	send("lost")
	for lost := uint64(0); lost == 0; _, lost = n.Counts() {
		time.Sleep(time.Millisecond)
	}
	n.Lose(0)
	send("hello")
	_ = conns[2].SetReadDeadline(time.Now().Add(time.Minute))
	size, from, err := conns[2].ReadFromUDPAddrPort(buf)
	if err != nil || string(buf[:size]) != "hello" || netip.AddrPortFrom(n.Addr(0), from.Port()) != from {
		t.Errorf("%q from %v, %v", buf[:size], from, err)
	}
}
