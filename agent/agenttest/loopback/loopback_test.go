package loopback

import (
	"errors"
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
)

func TestFreeAddr(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 100 {
		text := Addr(t)
		addr, err := netip.ParseAddrPort(text)
		if err != nil || !addr.Addr().IsLoopback() || addr.Port() < 20000 || addr.Port() >= 32000 {
			t.Errorf("got %s, %v, want loopback and a port from 20000 to 31999", text, err)
		}
		if seen[text] {
			t.Errorf("%s is given twice", text)
		}
		seen[text] = true
	}
	if runtime.GOOS == "linux" { // another process would find the port claimed
		for text := range seen {
			_, port, _ := net.SplitHostPort(text)
			if l, err := net.ListenPacket("udp", net.JoinHostPort(claims, port)); err == nil {
				t.Errorf("%s is not claimed", text)
				_ = l.Close() // only tried
			}
		}
	}
}

func TestHost(t *testing.T) {
	t.Parallel()
	host := Host()
	if !netip.MustParseAddr(host).IsLoopback() {
		t.Errorf("%s is not on loopback", host)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close() // only tried
}

func TestRebind(t *testing.T) {
	t.Parallel()
	other := errors.New("another fault")
	for _, last := range []error{nil, other} {
		faults := []error{syscall.EADDRINUSE, &net.OpError{Err: syscall.EADDRINUSE}, last}
		calls := 0
		err := Rebind(func() error { calls++; return faults[calls-1] })
		if !errors.Is(err, last) || calls != len(faults) {
			t.Errorf("got %v after %d calls, want %v after %d", err, calls, last, len(faults))
		}
	}
}
