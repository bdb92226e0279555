// Package loopback finds addresses for programs in tests that cannot leave the choice of a port to the kernel, or that come
// back to the one they had. It stands below agenttest and needs no agent, so that tests of all modules can use it.
package loopback

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The ports lie below the range from which systems take those of outgoing connections and of listeners that ask for any
// port (32768 and up): what is free then stays free until the program that it is meant for binds it.
const firstPort, ports = 20000, 12000

// claims is where a process holds the ports that it has given, whatever their host, so that no other one gives them meanwhile.
// Only Linux has such an address; elsewhere two processes may still choose alike.
const claims = "127.254.254.254"

// given are the ports that FreeAddr has returned.
var given sync.Map

// Host returns a loopback address that nothing else uses, where the system has such, or 127.0.0.1.
func Host() string {
	if runtime.GOOS != "linux" {
		return "127.0.0.1"
	}
	return netip.AddrFrom4([4]byte{127, byte(1 + rand.IntN(254)), byte(rand.IntN(256)), byte(1 + rand.IntN(254))}).String()
}

// FreeAddr returns host:port, host being one of this machine, with a port at which nobody listens, and no port twice: neither in
// this process nor, while it lives, in another one. It may be called from several goroutines.
func FreeAddr(host string) (string, error) {
	for range 100 {
		port := strconv.Itoa(firstPort + rand.IntN(ports))
		if _, taken := given.LoadOrStore(port, true); taken {
			continue
		}
		claim, err := net.ListenPacket("udp", net.JoinHostPort(claims, port))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		given.Store(port, claim) // which keeps it open
		// To listen there, as a trial, would not do: a program that another goroutine starts meanwhile holds the port, too, until
		// it has got rid of what it inherited.
		addr := net.JoinHostPort(host, port)
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return addr, nil //nolint:nilerr // nobody answers: that is what was wanted
		}
		_ = conn.Close() // somebody was there
	}
	return "", errors.New("a free port on " + host + ": none found from 20000 to 31999")
}

// Addr returns a free address of a host of its own, and fails the test if there is none.
func Addr(t testing.TB) string {
	t.Helper()
	addr, err := FreeAddr(Host())
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// Rebind calls bind again for up to half a minute while its error is that the address is in use: a program that another test starts
// just now holds a port that was closed until it has got rid of what it inherited.
func Rebind(bind func() error) error {
	limit := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := bind()
		if !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(limit) {
			return err
		}
		<-tick.C
	}
}
