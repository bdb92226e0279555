package dnsserver

import (
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// batchSize is how many packets are read by one system call at most.
	batchSize = 32
	// inSize is more than any query needs, as what we advertise is less; what is longer is cut, and then malformed.
	inSize = 2048
	// outSize is the longest reply that is sent together with others.
	outSize = 2048
	// controlSize holds one control message of either version of IP.
	controlSize = 64
)

// batch reads, answers and sends the packets of one socket. All its memory is there from the start.
type batch struct {
	server    *Server
	fd        uintptr
	stats     *counters
	responder *responder

	in, out  [batchSize]unix.Mmsghdr
	inVec    [batchSize]unix.Iovec
	outVec   [batchSize]unix.Iovec
	from     [batchSize]unix.RawSockaddrInet6 // or RawSockaddrInet4, which is shorter
	controls [batchSize][controlSize]byte
	queries  [batchSize][inSize]byte
	replies  [batchSize][outSize]byte

	wildcard bool // the socket is bound to all addresses
	busy     bool // the last call brought several packets
}

func newBatch(s *Server, fd int) *batch {
	stats := s.tally.counters()
	b := &batch{server: s, fd: uintptr(fd), stats: stats, responder: s.responder(stats), wildcard: tellDestination(fd)}
	for i := range batchSize {
		b.inVec[i].Base = &b.queries[i][0]
		b.inVec[i].SetLen(inSize)
		in, out := &b.in[i].Hdr, &b.out[i].Hdr
		in.Name = (*byte)(unsafe.Pointer(&b.from[i]))
		in.Iov = &b.inVec[i]
		in.SetIovlen(1)
		out.Iov = &b.outVec[i]
		out.SetIovlen(1)
		if b.wildcard {
			in.Control = &b.controls[i][0]
		}
	}
	return b
}

// serve answers until the server is closing.
func (b *batch) serve(closing *atomic.Bool) {
	for failures := 0; ; {
		n, errno := b.receive()
		switch {
		case closing.Load():
			return
		case errno == unix.EINTR:
			continue
		case errno != 0:
			b.stats.errors.Add(1)
			if failures++; failures > maxFailures && !b.server.pause() {
				return
			}
			continue
		}
		failures = 0
		b.send(b.answer(n))
	}
}

// receive reads what packets there are, and waits for one if there is none.
//
// The run-time is told of a system call only if it may wait, so that others can have the processor meanwhile. While
// packets come in numbers, the next ones are there already; while they come one by one, to look first would double
// the calls.
func (b *batch) receive() (n int, errno syscall.Errno) {
	for i := range batchSize {
		h := &b.in[i].Hdr
		h.Namelen = unix.SizeofSockaddrInet6
		if b.wildcard {
			h.SetControllen(controlSize)
		}
	}
	if b.busy {
		r, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, b.fd, uintptr(unsafe.Pointer(&b.in)), batchSize, unix.MSG_DONTWAIT, 0, 0)
		if errno != unix.EAGAIN {
			b.busy = r > 1
			return int(r), errno
		}
	}
	r, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, b.fd, uintptr(unsafe.Pointer(&b.in)), batchSize, unix.MSG_WAITFORONE, 0, 0)
	b.busy = r > 1
	return int(r), errno
}

// answer makes the replies to the first n packets received, and returns how many are to be sent.
func (b *batch) answer(n int) (replies int) {
	b.stats.udp.Add(uint64(n))
	z := b.server.cfg.Source()
	now := time.Now()
	quick := 0
	for i := range n {
		query := b.queries[i][:b.in[i].Len]
		p := path{client: b.client(i), now: now, udpLimit: b.server.cfg.UDPSize}
		if p.client.IsLoopback() {
			p.udpLimit = maxLoopback
		}
		buf := b.replies[replies][:0]
		reply, ok := b.responder.quick.respond(buf, query, z, p)
		if ok {
			quick++
		} else if reply = b.responder.general(query, p); reply != nil {
			reply = append(buf, reply...) // somewhere else if it is too long
		}
		if reply == nil {
			continue
		}
		b.outVec[replies].Base = &reply[0]
		b.outVec[replies].SetLen(len(reply))
		in, out := &b.in[i].Hdr, &b.out[replies].Hdr
		out.Name, out.Namelen = in.Name, in.Namelen
		if b.wildcard {
			out.Control, out.Controllen = in.Control, in.Controllen
			fromThere(b.controls[i][:in.Controllen])
		}
		replies++
	}
	b.stats.latency.observeMany(time.Since(now), uint64(quick))
	return replies
}

// client returns the address of who sent a packet.
func (b *batch) client(i int) netip.Addr {
	from := &b.from[i]
	if from.Family == unix.AF_INET {
		return netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(from)).Addr)
	}
	return netip.AddrFrom16(from.Addr).Unmap()
}

// send sends the first n replies.
func (b *batch) send(n int) {
	for sent := 0; sent < n; {
		r, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, b.fd, uintptr(unsafe.Pointer(&b.out[sent])), uintptr(n-sent), unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EAGAIN {
			r, _, errno = unix.Syscall6(unix.SYS_SENDMMSG, b.fd, uintptr(unsafe.Pointer(&b.out[sent])), uintptr(n-sent), 0, 0, 0)
		}
		switch errno {
		case 0:
			sent += int(r)
		case unix.EINTR:
		default:
			b.stats.errors.Add(1)
			sent++ // it is the client's to ask again
		}
	}
}

// tellDestination has the kernel tell where each packet was sent to, if the socket is bound to all addresses: replies
// must come from there, or clients drop them (RFC 2181 section 4.1), and the kernel alone would choose by route.
func tellDestination(fd int) (wildcard bool) {
	addr, err := unix.Getsockname(fd)
	if err != nil {
		return false
	}
	switch a := addr.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(a.Addr).IsUnspecified() && unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1) == nil
	case *unix.SockaddrInet6:
		// This also tells of packets of IPv4, as mapped addresses.
		return netip.AddrFrom16(a.Addr).IsUnspecified() && unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1) == nil
	}
	return false
}

// fromThere turns the control message of a query, which says where it was sent to, into that of its reply, which says
// where it is to be sent from: it is the same, but for the link, which is for the routes to choose. Addresses that mean
// nothing without their link keep it.
func fromThere(control []byte) {
	if len(control) < unix.SizeofCmsghdr {
		return
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	data := control[unix.CmsgLen(0):]
	switch {
	case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
		(*unix.Inet4Pktinfo)(unsafe.Pointer(&data[0])).Ifindex = 0
	case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
		if info := (*unix.Inet6Pktinfo)(unsafe.Pointer(&data[0])); !netip.AddrFrom16(info.Addr).IsLinkLocalUnicast() {
			info.Ifindex = 0
		}
	}
}
