package dnspath

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// maxResolvers is how many lines of resolv.conf count (resolv.conf(5)).
const maxResolvers = 3

// Resolvers reads the servers from a resolv.conf, as host:port.
func Resolvers(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	list := parseResolvConf(text)
	if len(list) == 0 {
		return nil, fmt.Errorf("%s names no server", path)
	}
	return list, nil
}

func parseResolvConf(text []byte) []string {
	var list []string
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan() && len(list) < maxResolvers; {
		f := strings.Fields(lines.Text())
		if len(f) < 2 || f[0] != "nameserver" {
			continue
		}
		if addr, err := netip.ParseAddr(f[1]); err == nil {
			list = append(list, net.JoinHostPort(addr.String(), "53"))
		}
	}
	return list
}

// Lookup asks the system for the addresses of a host as C programs do. On Linux that is getent, which heeds
// /etc/nsswitch.conf and its modules whether or not this program was built with cgo.
func Lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if path, err := exec.LookPath("getent"); err == nil && runtime.GOOS == "linux" {
		out, err := exec.CommandContext(ctx, path, "ahosts", host).Output()
		var exit *exec.ExitError
		switch {
		case err == nil:
			return parseHosts(out), nil
		case errors.As(err, &exit) && exit.ExitCode() == 2: // getent(1)
			return nil, errors.New("the system's resolver has no such name")
		case ctx.Err() != nil:
			return nil, fmt.Errorf("the system's resolver does not answer: %w", ctx.Err())
		}
		return nil, fmt.Errorf("getent: %w", err)
	}
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// parseHosts reads the output of getent: an address and more on each line, each address several times.
func parseHosts(out []byte) []netip.Addr {
	var list []netip.Addr
	seen := map[netip.Addr]bool{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) == 0 {
			continue
		}
		if addr, err := netip.ParseAddr(f[0]); err == nil && !seen[addr.Unmap()] {
			seen[addr.Unmap()] = true
			list = append(list, addr.Unmap())
		}
	}
	return list
}
