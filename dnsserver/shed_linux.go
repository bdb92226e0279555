package dnsserver

import (
	"net/netip"
	"os"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/seed-645ce708/gossip/dnsserver/internal/shed"
)

// shedInterval is how often it is decided whose packets the kernel is to throw away, calmInterval how often while nobody
// asks too much: to look all the time is a third of the processor time of an idle agent.
const shedInterval, calmInterval = 200 * time.Millisecond, time.Second

// shed keeps networks that flood out of the queues of the sockets, until the server is closed.
func (b *batchServer) shed(s *Server) {
	tick := time.NewTicker(calmInterval)
	defer tick.Stop()
	stats := s.tally.counters()
	var plan shed.Plan
	lost := b.overflows()
	for last := time.Now(); ; {
		select {
		case <-s.done:
			return
		case <-tick.C:
		}
		now := time.Now()
		was := lost
		lost = b.overflows()
		over := s.policy.limiter.Loud()
		networks, changed := plan.Step(now, now.Sub(last), over, lost != was)
		last = now
		if len(over) == 0 && len(networks) == 0 && lost == was {
			tick.Reset(calmInterval)
		} else {
			tick.Reset(shedInterval)
		}
		stats.lost.Store(lost)
		stats.shedding.Store(uint64(len(networks)))
		if !changed {
			continue
		}
		for _, f := range b.sockets {
			if err := setFilter(f, networks); err != nil {
				stats.errors.Add(1) // then the limit of replies is all there is
			}
		}
	}
}

// overflows returns how many packets the sockets dropped so far, for want of room or because of a filter.
func (b *batchServer) overflows() (n uint64) {
	for _, f := range b.sockets {
		_ = control(f, func(fd uintptr) error {
			var info [unix.SK_MEMINFO_VARS]uint32
			size := uint32(unsafe.Sizeof(info))
			_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
				uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
			if errno == 0 { // older kernels do not tell
				n += uint64(info[unix.SK_MEMINFO_DROPS])
			}
			return nil
		})
	}
	return n
}

// setFilter has the kernel drop packets of the networks on a socket.
func setFilter(f *os.File, networks []netip.Prefix) error {
	return control(f, func(fd uintptr) error {
		if len(networks) == 0 {
			return os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0))
		}
		program, err := shed.Program(networks)
		if err != nil {
			return err
		}
		return os.NewSyscallError("setsockopt", unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, kernelForm(program)))
	})
}

func kernelForm(program []bpf.RawInstruction) *unix.SockFprog {
	filter := make([]unix.SockFilter, len(program))
	for i, in := range program {
		filter[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	return &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
}

// control runs f with a socket's number.
func control(file *os.File, f func(fd uintptr) error) error {
	c, err := file.SyscallConn()
	if err != nil {
		return err
	}
	return onSocket(c, func(fd int) error { return f(uintptr(fd)) })
}
