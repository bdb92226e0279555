package session

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// ParseAddress reads the address of an agent's RPC service, host:port, tcp://host:port, tls://host:port or
// unix:///path, and returns it in one form: without tcp://. The error says what is wrong and what would be right.
func ParseAddress(text string) (string, error) {
	addr, prefix := text, ""
	if scheme, rest, ok := strings.Cut(text, "://"); ok {
		switch scheme {
		case "tcp":
			addr = strings.TrimSuffix(rest, "/")
		case "tls":
			addr, prefix = strings.TrimSuffix(rest, "/"), tlsScheme
		case "unix":
			if !strings.HasPrefix(rest, "/") {
				return "", fmt.Errorf("%q: the path of a socket must be absolute, as in unix:///run/gossip.sock", text)
			}
			return text, nil
		default:
			return "", fmt.Errorf("%q: unknown scheme %q; write host:port, tcp://host:port, tls://host:port or unix:///path", text, scheme)
		}
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("%q is not host:port, such as 127.0.0.1:7373 or [::1]:7373", text)
	}
	if host == "" || strings.ContainsAny(host, " \t/") {
		return "", fmt.Errorf("%q names no host; write host:port, such as 127.0.0.1:7373", text)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("%q: port %q is not a number from 1 to 65535", text, port)
	}
	return prefix + net.JoinHostPort(host, port), nil
}
