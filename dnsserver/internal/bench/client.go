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

// The load must cost less than the servers do.
const (
	// maxUnderWay is how many questions can be under way in a socket.
	maxUnderWay = 32
	replySize   = 2048
	lostAfter   = time.Second
	queryRoom   = 320
	socketRoom  = 4 << 20
)

// outcome is what came of a burst.
type outcome struct {
	answered, lost, wrong int
	octets                int
	took                  time.Duration
}

// load asks the server for the time of a burst: as many questions as it answers, or at the rate wanted.
func load(o options, p placement, addr string, m mix) (outcome, error) {
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
	mix   mix
	next  int // question
	flows []*flow
	poll  []unix.PollFd
	outcome
}

// flow is a socket with its questions. The ID of a question is its place.
type flow struct {
	fd      int
	since   [maxUnderWay]time.Duration // when it was asked; 0 if nothing is under way there
	asked   [maxUnderWay]int
	free    []int
	in, out [maxUnderWay]unix.Mmsghdr
	inVec   [maxUnderWay]unix.Iovec
	outVec  [maxUnderWay]unix.Iovec
	replies [maxUnderWay][replySize]byte
	queries [maxUnderWay][queryRoom]byte
}

func newClient(to netip.AddrPort, m mix, sockets, underWay, first int) (*client, error) {
	c := &client{mix: m, next: first % len(m.questions)}
	for range sockets {
		f := new(flow)
		var err error
		if f.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
			c.close()
			return nil, fmt.Errorf("socket: %w", err)
		}
		c.flows = append(c.flows, f)
		_ = unix.SetsockoptInt(f.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, socketRoom)
		if err := unix.Connect(f.fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err != nil {
			c.close()
			return nil, fmt.Errorf("connect: %w", err)
		}
		for i := range underWay {
			f.free = append(f.free, i)
			f.inVec[i].Base = &f.replies[i][0]
			f.inVec[i].SetLen(replySize)
			f.in[i].Hdr.Iov = &f.inVec[i]
			f.in[i].Hdr.SetIovlen(1)
			f.outVec[i].Base = &f.queries[i][0]
			f.out[i].Hdr.Iov = &f.outVec[i]
			f.out[i].Hdr.SetIovlen(1)
		}
		c.poll = append(c.poll, unix.PollFd{Fd: int32(f.fd), Events: unix.POLLIN})
	}
	// Else each wait takes 50 µs longer than asked, and a steady rate becomes bursts.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
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
	for swept := time.Duration(0); ; {
		now := time.Since(start) + 1 // never 0
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
			f := c.flows[(turn+i)%len(c.flows)]
			got += c.receive(f)
			n := min(len(f.free), allowed)
			if rate > 0 {
				n = min(n, 1) // as from many clients
			}
			if err := c.send(f, n, now); err != nil {
				return c.outcome, err
			}
			allowed -= n
			asked += n
		}
		turn++
		if got == 0 {
			wait := unix.NsecToTimespec(int64(20 * time.Millisecond))
			if rate > 0 {
				due := time.Duration(float64(asked+1) / rate * float64(time.Second))
				wait = unix.NsecToTimespec(int64(max(due-now, 0)))
			}
			if _, err := unix.Ppoll(c.poll, &wait, nil); err != nil && err != unix.EINTR {
				return c.outcome, fmt.Errorf("poll: %w", err)
			}
		}
		if now-swept > lostAfter/4 {
			swept = now
			c.sweep(now)
		}
	}
}

// receive takes what replies there are.
func (c *client) receive(f *flow) int {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(f.fd), uintptr(unsafe.Pointer(&f.in)), maxUnderWay, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0
	}
	for i := range int(n) {
		reply := f.replies[i][:f.in[i].Len]
		if len(reply) < c.mix.end {
			c.wrong++
			continue
		}
		id := int(reply[0])<<8 | int(reply[1])
		if id >= maxUnderWay || f.since[id] == 0 {
			c.wrong++ // late: it was given up
			continue
		}
		if reply[3]&15 != c.mix.rcode || !bytes.Equal(reply[12:c.mix.end], c.mix.questions[f.asked[id]][12:c.mix.end]) {
			c.wrong++
		}
		c.answered++
		c.octets += len(reply)
		f.since[id] = 0
		f.free = append(f.free, id)
	}
	return int(n)
}

// send asks n more questions.
func (c *client) send(f *flow, n int, now time.Duration) error {
	for i := range n {
		id := f.free[i]
		f.asked[id], f.since[id] = c.next, now
		q := c.mix.questions[c.next]
		if c.next++; c.next == len(c.mix.questions) {
			c.next = 0
		}
		copy(f.queries[i][:], q)
		f.queries[i][0], f.queries[i][1] = byte(id>>8), byte(id)
		f.outVec[i].SetLen(len(q))
	}
	for sent := 0; sent < n; {
		r, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(f.fd), uintptr(unsafe.Pointer(&f.out[sent])), uintptr(n-sent), 0, 0, 0)
		switch errno {
		case 0:
			sent += int(r)
		case unix.ECONNREFUSED:
			return errors.New("the server is gone")
		default:
			sent++ // counts as lost in time
		}
	}
	if n > 0 {
		f.free = append(f.free[:0], f.free[n:]...)
	}
	return nil
}

// sweep gives up what was asked long ago.
func (c *client) sweep(now time.Duration) {
	for _, f := range c.flows {
		for id, since := range f.since {
			if since != 0 && now-since > lostAfter {
				c.lost++
				f.since[id] = 0
				f.free = append(f.free, id)
			}
		}
	}
}
