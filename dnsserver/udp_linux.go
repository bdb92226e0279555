package dnsserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// On Linux each core has a socket of its own at the same address, and a loop of its own that reads packets from it and
// sends replies many at a time, by plain system calls: to go through the run-time's poller for each packet costs more
// than all that we do with it. The kernel spreads clients over the sockets (SO_REUSEPORT).

// maxSockets bounds the sockets and threads of one address.
const maxSockets = 64

// socketRoom is how many octets of packets may wait in a socket; the kernel takes it as a wish.
const socketRoom = 1 << 20

// batchServer serves an address by a loop for each of its sockets.
type batchServer struct {
	sockets []*os.File
	closing atomic.Bool
}

// listenUDP opens the sockets of an address, whose port must not be 0.
func listenUDP(addr string) (udpServer, error) {
	b := &batchServer{}
	for range min(runtime.GOMAXPROCS(0), maxSockets) {
		f, err := listenShared(addr)
		if err != nil {
			for _, f := range b.sockets {
				_ = f.Close() // it served nobody yet
			}
			return nil, err
		}
		b.sockets = append(b.sockets, f)
	}
	return b, nil
}

// listenShared opens one of several sockets at an address. That nobody else is there the TCP listener has found out.
func listenShared(addr string) (*os.File, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return onSocket(c, func(fd int) error {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, socketRoom) // less will do, too
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, socketRoom)
			return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
		})
	}}
	conn, err := config.ListenPacket(context.Background(), "udp", addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // what is returned is the same socket
	c, err := conn.(*net.UDPConn).SyscallConn()
	if err != nil {
		return nil, err
	}
	// File would leave the socket with the run-time's poller, whom the kernel tells of each packet that comes or goes. It
	// does not take one that waits.
	var f *os.File
	err = onSocket(c, func(fd int) error {
		if fd, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0); err != nil {
			return os.NewSyscallError("fcntl", err)
		}
		if err := unix.SetNonblock(fd, false); err != nil {
			_ = unix.Close(fd)
			return os.NewSyscallError("fcntl", err)
		}
		f = os.NewFile(uintptr(fd), addr)
		return nil
	})
	return f, err
}

func onSocket(c syscall.RawConn, f func(fd int) error) error {
	var err error
	if e := c.Control(func(fd uintptr) { err = f(int(fd)) }); e != nil {
		return e
	}
	return err
}

func (b *batchServer) start(s *Server) {
	for _, f := range b.sockets {
		s.wg.Go(func() {
			defer func() { _ = f.Close() }() // nothing is lost with it
			newBatch(s, int(f.Fd())).serve(&b.closing)
		})
	}
	if s.policy.limiter != nil {
		s.wg.Go(func() { b.shed(s) })
	}
}

// Close makes the loops end. They close their sockets themselves.
func (b *batchServer) Close() error {
	b.closing.Store(true)
	var errs []error
	for _, f := range b.sockets {
		c, err := f.SyscallConn()
		if err != nil {
			continue // its loop was awake and has ended by itself
		}
		// This wakes a thread that waits in the socket, although the kernel says that nothing is connected.
		_ = c.Control(func(fd uintptr) { err = unix.Shutdown(int(fd), unix.SHUT_RD) }) // or it has ended by now
		if err != nil && !errors.Is(err, unix.ENOTCONN) {
			errs = append(errs, fmt.Errorf("dns: wake a socket: %w", err))
		}
	}
	return errors.Join(errs...)
}
