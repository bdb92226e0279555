package dnsserver

import (
	"bytes"
	"net/netip"
	"runtime"
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
	// lineSize keeps the beginnings of packets, which are all that most have, out of one corner of the processor's cache.
	lineSize = 64
	// holdGap is how seldom packets may come for the thread to wait for them with its processor in hand, holdTime how long
	// it does. The kernel counts that in ticks.
	holdGap  = time.Millisecond
	holdTime = 2 * time.Millisecond
	// slice is how long others wait at most for a thread that has work without end.
	slice = time.Millisecond
	// controlSize holds a control message of either version of IP, which come with a query, and room for one behind it
	// that a reply may need.
	controlSize = 40
	segmentRoom = 24
	// mergeSize is the longest reply that is handed over together with others: it passes all links in one piece.
	mergeSize = 1232
	// mergePause is how long replies go out one by one after the kernel refused to cut a packet: for a link of small
	// packets, it may be, which is on the way to one client.
	mergePause = time.Second
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
	controls [batchSize][controlSize + segmentRoom]byte
	to       [batchSize]uint8 // for each reply: the query
	queries  [batchSize][inSize + lineSize]byte
	replies  [batchSize][outSize + lineSize]byte

	wildcard      bool      // the socket is bound to all addresses
	mayHold, hold bool      // see receive
	mayMerge      bool      // the kernel knows how to cut packets, see compose
	mergeFrom     time.Time // when it may be asked to again
	last          time.Time // when packets came
	yielded       time.Time // when others were let run
}

func newBatch(s *Server, fd int) *batch {
	stats := s.tally.counters()
	b := &batch{server: s, fd: uintptr(fd), stats: stats, responder: s.responder(stats), wildcard: tellDestination(fd)}
	b.responder.quick.packed.Remember()
	b.mayMerge = unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT, 0) == nil
	hold := unix.NsecToTimeval(holdTime.Nanoseconds())
	b.mayHold = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &hold) == nil
	for i := range batchSize {
		b.inVec[i].Base = &b.queries[i][0]
		b.inVec[i].SetLen(inSize)
		in := &b.in[i].Hdr
		in.Name = (*byte)(unsafe.Pointer(&b.from[i]))
		in.Iov = &b.inVec[i]
		in.SetIovlen(1)
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
		case errno == unix.EINTR, errno == unix.EAGAIN:
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
		if b.last.Sub(b.yielded) > slice {
			b.yielded = b.last
			runtime.Gosched()
		}
	}
}

// receive reads what packets there are, and waits for one if there is none.
//
// While packets come more often than every holdGap, Go's run-time is not told that the call may wait: it would give what
// we run on (its P) to others and search for another one when the packet comes, and that costs more than the answer. It
// can stop us all the same, since it does so by a signal, which ends the call; and if the signal came a moment too
// early, the time-out of the socket does. When packets come seldom, we wait as everybody does.
func (b *batch) receive() (n int, errno syscall.Errno) {
	for i := range batchSize {
		h := &b.in[i].Hdr
		h.Namelen = unix.SizeofSockaddrInet6
		if b.wildcard {
			h.SetControllen(controlSize)
		}
	}
	if b.hold {
		r, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, b.fd, uintptr(unsafe.Pointer(&b.in)), batchSize, unix.MSG_WAITFORONE, 0, 0)
		if errno != unix.EAGAIN {
			return int(r), errno
		}
		b.hold = false
	}
	wait := unix.PollFd{Fd: int32(b.fd), Events: unix.POLLIN}
	if _, _, errno := unix.Syscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&wait)), 1, 0, 0, 0, 0); errno != 0 {
		return 0, errno
	}
	r, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, b.fd, uintptr(unsafe.Pointer(&b.in)), batchSize, unix.MSG_DONTWAIT, 0, 0)
	return int(r), errno
}

// answer makes the replies to the first n packets received, and returns how many are to be sent.
func (b *batch) answer(n int) (replies int) {
	b.stats.udp.Add(uint64(n))
	z := b.server.cfg.Source()
	now := time.Now()
	b.hold = b.mayHold && now.Sub(b.last) < holdGap
	b.last = now
	quick := 0
	for i := range n {
		query := b.queries[i][:b.in[i].Len]
		p := path{client: b.client(i), now: now, udpLimit: b.server.cfg.UDPSize}
		if p.client.IsLoopback() {
			p.udpLimit = maxLoopback
		}
		buf := b.replies[replies][:0:outSize]
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
		b.to[replies] = uint8(i)
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
		sent += b.sendFrom(sent, n)
	}
}

// sendFrom sends replies from the i-th on, and returns how many are done with.
func (b *batch) sendFrom(i, n int) (done int) {
	messages := 0
	merge := b.mayMerge && !b.last.Before(b.mergeFrom)
	for next := i; next < n; messages++ {
		run := 1
		if merge {
			run = b.run(next, n)
		}
		b.compose(messages, next, run)
		next += run
	}
	r, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, b.fd, uintptr(unsafe.Pointer(&b.out)), uintptr(messages), unix.MSG_DONTWAIT, 0, 0)
	if errno == unix.EAGAIN {
		r, _, errno = unix.Syscall6(unix.SYS_SENDMMSG, b.fd, uintptr(unsafe.Pointer(&b.out)), uintptr(messages), 0, 0, 0)
	}
	switch {
	case errno == unix.EINTR:
		return 0
	case errno != 0 && b.out[0].Hdr.Iovlen > 1:
		b.mergeFrom = b.last.Add(mergePause) // one by one then
		return 0
	case errno != 0:
		b.stats.errors.Add(1)
		return 1 // it is the client's to ask again
	}
	for _, m := range b.out[:r] {
		done += int(m.Hdr.Iovlen)
	}
	return done
}

// run returns how many replies from the i-th on go to one client and are of one length.
func (b *batch) run(i, n int) int {
	first := b.to[i]
	size := b.outVec[i].Len
	if size > mergeSize {
		return 1
	}
	j := i + 1
	for j < n && b.outVec[j].Len == size && b.from[b.to[j]] == b.from[first] &&
		(!b.wildcard || bytes.Equal(b.control(b.to[j]), b.control(first))) {
		j++
	}
	return j - i
}

// control returns the control message that came with a query.
func (b *batch) control(i uint8) []byte { return b.controls[i][:b.in[i].Hdr.Controllen] }

// compose makes a message of the replies from the i-th on. Several, which go to one client and are of one length, are
// handed to the kernel as one, to be cut after it has found the way for all of them (UDP_SEGMENT).
func (b *batch) compose(message, i, replies int) {
	in, out := &b.in[b.to[i]].Hdr, &b.out[message].Hdr
	out.Name, out.Namelen = in.Name, in.Namelen
	out.Iov = &b.outVec[i]
	out.SetIovlen(replies)
	control := b.controls[b.to[i]][:0]
	if b.wildcard {
		control = b.control(b.to[i])
		fromThere(control)
	}
	if replies > 1 {
		control = appendSegment(control, uint16(b.outVec[i].Len))
	}
	out.Control = nil
	if len(control) > 0 {
		out.Control = &control[0]
	}
	out.SetControllen(len(control))
}

// appendSegment appends the control message that has the kernel cut a packet into pieces of so many octets.
func appendSegment(control []byte, size uint16) []byte {
	at := len(control)
	control = control[:at+unix.CmsgSpace(2)]
	h := (*unix.Cmsghdr)(unsafe.Pointer(&control[at]))
	h.Level, h.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	*(*uint16)(unsafe.Pointer(&control[at+unix.CmsgLen(0)])) = size
	return control
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
