package simnet

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func listen(t *testing.T, n *Network, id int) *Endpoint {
	t.Helper()
	e, err := n.Listen(addr(id))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Shutdown() }) // cannot fail
	return e
}

func waiting(e *Endpoint) int { return len(e.packets) }

func TestPackets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := New(Options{Seed: 1, Delay: 10 * time.Millisecond})
		a, b := listen(t, n, 1), listen(t, n, 2)
		if _, err := n.Listen(addr(1)); !errors.Is(err, ErrAddrInUse) {
			t.Error("one address, two endpoints:", err)
		}
		send := func() {
			t.Helper()
			if _, err := a.WriteTo([]byte("x"), addr(2).String()); err != nil {
				t.Fatal(err)
			}
		}
		apart := func(x netip.AddrPort) int { return int(x.Addr().As4()[3]) }
		together := func(netip.AddrPort) int { return 0 }

		send()
		time.Sleep(9 * time.Millisecond)
		if waiting(b) != 0 {
			t.Error("a packet is early")
		}
		time.Sleep(2 * time.Millisecond)
		if waiting(b) != 1 {
			t.Error("a packet did not arrive")
		}
		send()
		n.Partition(apart) // while it is under way
		time.Sleep(time.Second)
		send()
		n.Partition(together) // after it was sent
		time.Sleep(time.Second)
		if c := n.Counters(); waiting(b) != 1 || c.Cut != 2 {
			t.Errorf("%d packets came through a partition, %+v", waiting(b)-1, c)
		}
		n.Freeze(addr(2), time.Minute)
		send()
		time.Sleep(59 * time.Second)
		if waiting(b) != 1 {
			t.Error("a frozen agent got a packet")
		}
		time.Sleep(2 * time.Second)
		if waiting(b) != 2 {
			t.Error("a thawed agent did not get its packet")
		}
		for range packetDepth + 10 {
			send()
		}
		time.Sleep(time.Second)
		if c := n.Counters(); waiting(b) != packetDepth || c.Overflowed != 12 {
			t.Errorf("%d packets wait, %+v", waiting(b), c)
		}
		n.Loss(1)
		n.Duplicate(1)
		send()
		if c := n.Counters(); c.Lost != 1 || c.Duplicated != 0 {
			t.Errorf("%+v", c)
		}
	})
}

func TestDial(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := New(Options{Seed: 1, Delay: 10 * time.Millisecond})
		a, b := listen(t, n, 1), listen(t, n, 2)
		fails := func(to int, want error, after time.Duration) {
			t.Helper()
			start := time.Now()
			_, err := a.DialTimeout(addr(to).String(), time.Second)
			var op *net.OpError
			if !errors.Is(err, want) || !errors.As(err, &op) || op.Op != "dial" || op.Net != "tcp" || time.Since(start) != after {
				t.Errorf("got %v after %v, want %v after %v", err, time.Since(start), want, after)
			}
		}
		fails(3, syscall.ECONNREFUSED, 20*time.Millisecond)
		n.Partition(func(x netip.AddrPort) int { return int(x.Addr().As4()[3]) })
		fails(2, os.ErrDeadlineExceeded, time.Second)
		n.Partition(func(netip.AddrPort) int { return 0 })
		n.Freeze(addr(2), time.Minute)
		fails(2, os.ErrDeadlineExceeded, time.Second)
		time.Sleep(time.Minute)

		ours, err := a.DialTimeout(addr(2).String(), time.Second)
		if err != nil {
			t.Fatal(err)
		}
		theirs := <-b.StreamCh()
		big := bytes.Repeat([]byte("x"), window) // both write before either reads
		for _, c := range []net.Conn{ours, theirs} {
			if k, err := c.Write(big); k != len(big) || err != nil {
				t.Fatal(k, err)
			}
		}
		if err := ours.SetDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := ours.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("a full window took more:", err)
		}
		if err := ours.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(big))
		if _, err := io.ReadFull(theirs, got); err != nil || !bytes.Equal(got, big) {
			t.Error("other bytes arrived", err)
		}
		if err := ours.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := theirs.Read(got); !errors.Is(err, io.EOF) {
			t.Error("no end:", err)
		}
		if err := b.Shutdown(); err != nil {
			t.Fatal(err)
		}
		if _, err := theirs.Write(got); !errors.Is(err, net.ErrClosed) {
			t.Error("a connection outlived its endpoint:", err)
		}
	})
}
