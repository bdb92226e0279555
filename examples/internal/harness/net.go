package harness

import (
	"fmt"
	"net"
	"strconv"
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

// Port returns the port of a host:port.
func Port(addr string) int {
	_, port, _ := net.SplitHostPort(addr)
	n, _ := strconv.Atoi(port)
	return n
}

// Host returns the host of a host:port.
func Host(addr string) string {
	host, _, _ := net.SplitHostPort(addr)
	return host
}
