//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The load must cost less than any server does, or its own limit is what is measured. So questions are made before, each
// with an ID of its own, and lie one behind the other: what a socket asks at once is a stretch of them, handed to the
// kernel by one call, which cuts it (UDP_SEGMENT) on the client's processor: the server's socket gets each question as
// a packet of its own. Replies are taken one by one, since a socket that took them joined (UDP_GRO) would spare work to those
// servers that send them joined.
const (
	// maxUnderWay is how many questions can be under way in a socket.
	maxUnderWay = 64
	replySize   = 2048
	lostAfter   = time.Second
	socketRoom  = 4 << 20
	// rest is how long a client leaves the sockets alone in which it found nothing.
	rest = 5 * time.Microsecond
)

// outcome is what came of a burst.
type outcome struct {
	answered, lost, wrong int
	octets                int
	took                  time.Duration
}

// load asks the server for the time of a burst: as many questions as it answers, or at the rate wanted.
func load(o options, p placement, addr string, m *mix) (outcome, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return outcome{}, err
	}
	type result struct {
		outcome
		err error
	}
	results := make(chan result)
	for i := range p.workers {
		go func() {
			var got outcome
			err := on(p.client, func() error {
				c, err := newClient(to, m, o.sockets/p.workers, o.underWay, i*7919)
				if err != nil {
					return err
				}
				defer c.close()
				c.awake, c.singly = !o.free, o.singly
				got, err = c.run(o.burst, float64(o.rate)/float64(p.workers))
				return err
			})
			results <- result{got, err}
		}()
	}
	var sum outcome
	for range p.workers {
		r := <-results
		if r.err != nil {
			err = r.err
		}
		sum.answered += r.answered
		sum.lost += r.lost
		sum.wrong += r.wrong
		sum.octets += r.octets
		sum.took = max(sum.took, r.took)
	}
	return sum, err
}

// client is one thread's share of the load.
type client struct {
	mix *mix
	// awake says not to sleep, on a processor of its own: to wake the client is the server's work on a loopback
	// interface, and on no other.
	awake  bool
	singly bool
	next   int      // question
	asker  []uint16 // of each question: the number of the flow where it is under way, plus 1; or 0
	flows  []flow
	poll   []unix.PollFd
	outcome

	in      [maxUnderWay]unix.Mmsghdr
	inVec   [maxUnderWay]unix.Iovec
	replies [maxUnderWay][replySize]byte
}

// flow is a socket.
type flow struct {
	fd   int
	free int // how many more questions can be under way
}

func newClient(to netip.AddrPort, m *mix, sockets, underWay, first int) (*client, error) {
	c := &client{mix: m, next: first % m.count, asker: make([]uint16, m.count)}
	for i := range c.in {
		c.inVec[i].Base = &c.replies[i][0]
		c.inVec[i].SetLen(replySize)
		c.in[i].Hdr.Iov = &c.inVec[i]
		c.in[i].Hdr.SetIovlen(1)
	}
	for range sockets {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			c.close()
			return nil, fmt.Errorf("socket: %w", err)
		}
		c.flows = append(c.flows, flow{fd, underWay})
		c.poll = append(c.poll, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, socketRoom)
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT, m.size); err != nil {
			c.close()
			return nil, fmt.Errorf("have the kernel cut packets: %w", err)
		}
		if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err != nil {
			c.close()
			return nil, fmt.Errorf("connect: %w", err)
		}
	}
	return c, nil
}

func (c *client) close() {
	for _, f := range c.flows {
		_ = unix.Close(f.fd)
	}
}

// run asks for so long. A rate of 0 is without limit.
func (c *client) run(d time.Duration, rate float64) (outcome, error) {
	start := time.Now()
	asked, turn := 0, 0
	for heard := time.Duration(0); ; turn++ {
		now := time.Since(start)
		if now >= d {
			c.took = now
			return c.outcome, nil
		}
		got := 0
		allowed := math.MaxInt
		if rate > 0 {
			allowed = int(rate*now.Seconds()) - asked
		}
		for i := range c.flows {
			i = (turn + i) % len(c.flows)
			got += c.receive(i)
			n := min(c.flows[i].free, allowed)
			if rate > 0 {
				n = min(n, 1) // as from many clients
			}
			if n <= 0 {
				continue
			}
			n, err := c.send(i, n)
			if err != nil {
				return c.outcome, err
			}
			allowed -= n
			asked += n
		}
		switch {
		case got > 0:
			heard = now
		case now-heard > lostAfter:
			heard = now
			c.giveUp(0, len(c.asker))
		default:
			if err := c.wait(rate); err != nil {
				return c.outcome, err
			}
		}
	}
}

// wait waits for replies, or until it is time to look for them.
func (c *client) wait(rate float64) error {
	if c.awake {
		for start := time.Now(); time.Since(start) < rest; {
		}
		return nil
	}
	limit := 20 * time.Millisecond
	if rate > 0 {
		limit = time.Duration(float64(time.Second) / rate)
	}
	timeout := unix.NsecToTimespec(limit.Nanoseconds())
	if _, err := unix.Ppoll(c.poll, &timeout, nil); err != nil && err != unix.EINTR {
		return fmt.Errorf("poll: %w", err)
	}
	return nil
}

// receive takes what replies there are.
func (c *client) receive(i int) int {
	f := &c.flows[i]
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(f.fd), uintptr(unsafe.Pointer(&c.in)), maxUnderWay, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0
	}
	for k := range int(n) {
		reply := c.replies[k][:c.in[k].Len]
		if len(reply) < c.mix.end {
			c.wrong++
			continue
		}
		id := int(reply[0])<<8 | int(reply[1])
		if id >= c.mix.count || c.asker[id] != uint16(i+1) {
			c.wrong++ // or late: it was given up
			continue
		}
		if reply[3]&15 != c.mix.rcode || !bytes.Equal(reply[12:c.mix.end], c.mix.question(id)[12:c.mix.end]) {
			c.wrong++
		}
		c.answered++
		c.octets += len(reply)
		c.asker[id] = 0
		f.free++
	}
	return int(n)
}

// send asks n more questions, or fewer before all have been asked and the first one follows, and returns how many.
func (c *client) send(i, n int) (int, error) {
	first := c.next
	end := min(first+n, c.mix.count)
	c.next = end % c.mix.count
	// What is still under way after all others were asked is lost.
	c.giveUp(first, end)
	for id := first; id < end; id++ {
		c.asker[id] = uint16(i + 1)
	}
	f := &c.flows[i]
	f.free -= end - first
	packets := c.mix.packets[first*c.mix.size : end*c.mix.size]
	step := len(packets)
	if c.singly {
		step = c.mix.size
	}
	for ; len(packets) > 0; packets = packets[step:] {
		_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(f.fd), uintptr(unsafe.Pointer(&packets[0])), uintptr(step), 0, 0, 0)
		switch errno {
		case 0, unix.EAGAIN: // then they count as lost in time
		case unix.ECONNREFUSED:
			return 0, errors.New("the server is gone")
		default:
			return 0, fmt.Errorf("send: %w", errno)
		}
	}
	return end - first, nil
}

// giveUp counts those of some questions that are under way as lost.
func (c *client) giveUp(first, end int) {
	for id := first; id < end; id++ {
		if asker := c.asker[id]; asker > 0 {
			c.asker[id] = 0
			c.flows[asker-1].free++
			c.lost++
		}
	}
}
