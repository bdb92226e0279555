package harness

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Loopback returns the nth address of the loopback network (127.0.0.1 is the first), or 127.0.0.1 where the system has
// only that one.
func Loopback(n int) string {
	ip := fmt.Sprintf("127.0.0.%d", n)
	l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
	if err != nil {
		return "127.0.0.1"
	}
	_ = l.Close() // only tried
	return ip
}

// given are the addresses that FreeAddr has returned.
var given sync.Map

// FreeAddr returns host:port with a port that is free for both TCP and UDP, and no address twice. It is taken at random from
// below the range that systems use for outgoing connections, so that it stays free until the program that it is meant for binds it.
func FreeAddr(host string) (string, error) {
	for range 100 {
		addr := net.JoinHostPort(host, strconv.Itoa(20000+rand.IntN(12000)))
		if _, taken := given.LoadOrStore(addr, true); taken {
			continue
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		u, err := net.ListenPacket("udp", addr)
		if err == nil {
			_ = u.Close() // only tried
		}
		_ = l.Close()
		if err == nil {
			return addr, nil
		}
	}
	return "", errors.New("a free port on " + host + ": none found from 20000 to 31999")
}

// Port returns the port of a host:port that FreeAddr made.
func Port(addr string) int {
	_, port, _ := net.SplitHostPort(addr)
	n, _ := strconv.Atoi(port)
	return n
}

// Host returns the host of a host:port that FreeAddr made.
func Host(addr string) string {
	host, _, _ := net.SplitHostPort(addr)
	return host
}
