// Package lab is a network of test hosts on one machine, for tests and measurements with real programs: each host is a
// network namespace whose only way out is a switch in this process, which loses as many packets as it is told to. It
// needs Linux, the right to make namespaces (root), and /dev/net/tun; nothing of it is seen outside.
package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// MaxHosts is how many hosts a Net may have.
const MaxHosts = 1000

// mtu is the largest packet, as on Ethernet.
const mtu = 1500

// ErrNotAllowed is what New fails with, by errors.Is, where there is no right, or no device, to build a network.
var ErrNotAllowed = errors.New("needs root and /dev/net/tun")

// Net is a network of hosts. Safe for concurrent use.
type Net struct {
	hosts   []*host
	loss    atomic.Uint64 // of 2^63 packets
	passed  atomic.Uint64
	lost    atomic.Uint64
	running sync.WaitGroup
}

// host is a namespace and the thread that lives in it.
type host struct {
	tun  *os.File
	work chan func()
}

// New builds a network of so many hosts.
func New(hosts int) (*Net, error) {
	if hosts > MaxHosts {
		return nil, fmt.Errorf("%d hosts are more than %d", hosts, MaxHosts)
	}
	n := &Net{}
	for i := range hosts {
		h, err := newHost(n.Addr(i))
		if err != nil {
			n.Close()
			if errors.Is(err, syscall.EPERM) || errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
				err = fmt.Errorf("%w: %w", ErrNotAllowed, err)
			}
			return nil, fmt.Errorf("make a test host: %w", err)
		}
		n.hosts = append(n.hosts, h)
	}
	for _, h := range n.hosts {
		n.running.Go(func() { n.forward(h.tun) })
	}
	return n, nil
}

// Addr returns the address of a host, counted from 0. Each has 127.0.0.1 for itself too.
func (n *Net) Addr(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 77, byte(i / 250), byte(1 + i%250)}) //nolint:gosec // at most MaxHosts
}

// index is the opposite of Addr; it is -1 for other addresses.
func index(b []byte) int {
	if b[0] != 10 || b[1] != 77 || b[3] == 0 {
		return -1
	}
	return int(b[2])*250 + int(b[3]) - 1
}

// Lose makes the network lose a share of the packets, from 0 to 1.
func (n *Net) Lose(share float64) { n.loss.Store(uint64(share * (1 << 63))) }

// Counts returns how many packets were passed on and how many were lost on purpose.
func (n *Net) Counts() (passed, lost uint64) { return n.passed.Load(), n.lost.Load() }

// Start starts a program on a host. It is killed when the network is closed.
func (n *Net) Start(i int, cmd *exec.Cmd) (err error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	n.hosts[i].do(func() { err = cmd.Start() })
	return err
}

// Dial connects from a host, by TCP.
func (n *Net) Dial(ctx context.Context, i int, addr netip.AddrPort) (conn net.Conn, err error) {
	n.hosts[i].do(func() { conn, err = new(net.Dialer).DialContext(ctx, "tcp", addr.String()) })
	return conn, err
}

// Listen opens a UDP socket on a host.
func (n *Net) Listen(i int) (conn *net.UDPConn, err error) {
	n.hosts[i].do(func() { conn, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(n.Addr(i), 0))) })
	return conn, err
}

// Close ends the network. Nothing may be called any more.
func (n *Net) Close() {
	for _, h := range n.hosts {
		_ = h.tun.Close() // its namespace goes with it
		close(h.work)
	}
	n.running.Wait()
}

// forward passes on what a host sends.
func (n *Net) forward(tun *os.File) {
	buf := make([]byte, mtu)
	for {
		size, err := tun.Read(buf)
		if err != nil {
			return // it is closed
		}
		packet := buf[:size]
		if size < 20 || packet[0]>>4 != 4 {
			continue // IPv6 looks for neighbours; there are none
		}
		to := index(packet[16:20])
		switch {
		case to < 0 || to >= len(n.hosts):
		case rand.Uint64()>>1 < n.loss.Load(): //nolint:gosec // chance, no secret
			n.lost.Add(1)
		default:
			n.passed.Add(1)
			_, _ = n.hosts[to].tun.Write(packet) // a full queue loses packets, as elsewhere
		}
	}
}

// do runs f on the host.
func (h *host) do(f func()) {
	done := make(chan struct{})
	h.work <- func() {
		defer close(done)
		f()
	}
	<-done
}

func newHost(addr netip.Addr) (*host, error) {
	h := &host{work: make(chan func())}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine, and the namespace with both
		var err error
		h.tun, err = plug(addr)
		made <- err
		if err != nil {
			return
		}
		for f := range h.work {
			f()
		}
	}()
	return h, <-made
}

// plug puts the thread into a namespace of its own with an interface that is ours to read and write.
func plug(addr netip.Addr) (*os.File, error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("new network namespace: %w", err)
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	if err := configure(fd, addr); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "tun"), nil
}

func configure(tun int, addr netip.Addr) error {
	ip := addr.As4()
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket) //nolint:errcheck // nothing was written
	const name = "eth0"
	return errors.Join(
		request(tun, name, unix.TUNSETIFF, func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI); return nil }),
		request(socket, name, unix.SIOCSIFADDR, func(r *unix.Ifreq) error { return r.SetInet4Addr(ip[:]) }),
		request(socket, name, unix.SIOCSIFNETMASK, func(r *unix.Ifreq) error { return r.SetInet4Addr([]byte{255, 255, 0, 0}) }),
		request(socket, name, unix.SIOCSIFMTU, func(r *unix.Ifreq) error { r.SetUint32(mtu); return nil }),
		request(socket, name, unix.SIOCSIFFLAGS, func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING); return nil }),
		request(socket, "lo", unix.SIOCSIFFLAGS, func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING); return nil }),
	)
}

// request asks something of a network interface.
func request(fd int, name string, what uint, fill func(*unix.Ifreq) error) error {
	r, err := unix.NewIfreq(name)
	if err == nil {
		err = fill(r)
	}
	if err == nil {
		err = unix.IoctlIfreq(fd, what, r)
	}
	if err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	return nil
}

// Freeze stops a process for d, as SIGSTOP does.
func Freeze(p *os.Process, d time.Duration) error {
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	time.Sleep(d)
	return p.Signal(syscall.SIGCONT)
}

// Bytes counts what passes the loopback interface of this process's namespace to or from a port, with IP headers.
type Bytes struct {
	fd    int
	done  chan struct{}
	count atomic.Uint64
}

// CountBytes begins to count. It needs root.
func CountBytes(port uint16) (*Bytes, error) {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		return nil, err
	}
	all := int(binary.BigEndian.Uint16([]byte{unix.ETH_P_ALL >> 8, unix.ETH_P_ALL & 0xff}))
	network := all<<8&0xff00 | all>>8 // in the byte order of the network
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, network)
	if err != nil {
		return nil, fmt.Errorf("listen to the loopback interface: %w", err)
	}
	b := &Bytes{fd: fd, done: make(chan struct{})}
	tv := unix.Timeval{Usec: 100_000}
	err = errors.Join(
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: uint16(network), Ifindex: lo.Index}), //nolint:gosec // 16 bits
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv),
	)
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("listen to the loopback interface: %w", err)
	}
	go b.run(port)
	return b, nil
}

func (b *Bytes) run(port uint16) {
	buf := make([]byte, 64)
	for {
		select {
		case <-b.done:
			_ = unix.Close(b.fd)
			b.done <- struct{}{}
			return
		default:
		}
		n, from, err := unix.Recvfrom(b.fd, buf, 0)
		link, ok := from.(*unix.SockaddrLinklayer)
		if err != nil || !ok || link.Pkttype != unix.PACKET_OUTGOING || n < 24 || buf[0]>>4 != 4 {
			continue // each packet passes twice, out and in
		}
		head := int(buf[0]&15) * 4
		if head+4 > n || buf[9] != unix.IPPROTO_UDP && buf[9] != unix.IPPROTO_TCP {
			continue
		}
		if binary.BigEndian.Uint16(buf[head:]) == port || binary.BigEndian.Uint16(buf[head+2:]) == port {
			b.count.Add(uint64(binary.BigEndian.Uint16(buf[2:])))
		}
	}
}

// Stop ends counting and returns the number.
func (b *Bytes) Stop() uint64 {
	b.done <- struct{}{}
	<-b.done
	return b.count.Load()
}
