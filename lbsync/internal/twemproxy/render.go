// Package twemproxy is all that gossip-lbsync knows of twemproxy, whose program is nutcracker: how its file looks, what it
// refuses in one and why, and how a restart is proved by its statistics. It cannot reload: a new file takes a restart, which
// cuts every client's connection. Facts about its behaviour are from version 0.5.0 and were tried with the real program.
//
// The place of a server on the ring of consistent hashing comes from its name. The name is the member's, so a server that
// moves to another address keeps its keys, and the order of members means nothing.
package twemproxy

import (
	"bytes"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
)

// placeholder stands for a pool without servers, which nutcracker refuses: a port that nothing listens on, so that clients
// get an error at once.
const placeholder = "127.0.0.1:1:1 there-are-none"

// Render writes a file of pools. The same pools give the same bytes.
func Render(pools []config.Pool, services adapter.Pools) []byte {
	var b bytes.Buffer
	b.WriteString("# Managed by gossip-lbsync. What is changed here by hand is lost.\n")
	for _, p := range pools {
		fmt.Fprintf(&b, "\n%s:\n", scalar(p.Name))
		set := func(key, value string) { fmt.Fprintf(&b, "  %s: %s\n", key, scalar(value)) }
		set("listen", listen(p.Listen))
		set("hash", p.Hash)
		if p.HashTag != "" {
			set("hash_tag", p.HashTag)
		}
		set("distribution", p.Distribution)
		set("redis", strconv.FormatBool(p.Redis))
		for _, key := range slices.Sorted(maps.Keys(p.Settings)) {
			set(key, p.Settings[key])
		}
		b.WriteString("  servers:\n")
		servers := members(services.Services[p.Service])
		for _, s := range servers {
			fmt.Fprintf(&b, "  - %s\n", scalar(fmt.Sprintf("%s:%d:%d %s", address(p, s), s.Port, s.Weight, s.Name)))
		}
		if len(servers) == 0 {
			fmt.Fprintf(&b, "  - %s\n", scalar(placeholder))
		}
	}
	return b.Bytes()
}

// members returns who is on the ring. There is no draining of a cache: who asks for one leaves the ring, unless nobody
// else is on it.
func members(s pool.Service) []pool.Server {
	if ready := s.Ready(); len(ready) > 0 {
		return ready
	}
	return s.Servers
}

// listen writes an address as nutcracker reads it: an IPv6 address has no brackets, the last colon begins the port.
func listen(hostport string) string {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil || strings.HasPrefix(hostport, "/") {
		return hostport
	}
	return host + ":" + port
}

// address is the server's address, or the name that the cluster's DNS has for it: nutcracker looks a name up each time it
// connects, so that a member may move without a restart.
func address(p config.Pool, s pool.Server) string {
	if p.Address != config.AddressDNS {
		return s.Addr.String()
	}
	return nodeLabel(s.Name) + ".node." + strings.Trim(p.Domain, ".")
}

// nodeLabel is the label under which our DNS publishes a member: letters in lower case, and a byte that DNS or the escape
// itself could misread as _xHH. Member names begin with a letter or digit and hold but letters, digits and _ . : - here.
func nodeLabel(name string) string {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		escape := c == '.' || c == ':' || c == '-' && i == len(name)-1 ||
			c == '_' && len(name) >= i+4 && (name[i+1] == 'x' || name[i+1] == 'X') && isHex(name[i+2]) && isHex(name[i+3])
		switch {
		case escape:
			fmt.Fprintf(&b, "_x%02x", c)
		case 'A' <= c && c <= 'Z':
			b.WriteByte(c + 'a' - 'A')
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func isHex(c byte) bool { return strings.IndexByte("0123456789abcdefABCDEF", c) >= 0 }

// scalar writes text as one YAML scalar, in quotes unless it is surely harmless without.
func scalar(text string) string {
	plain := text != "" && strings.IndexFunc(text, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("_./: -", r))
	}) < 0
	if plain && !strings.Contains(text, ": ") && !strings.HasSuffix(text, ":") && !strings.HasSuffix(text, " ") &&
		!strings.ContainsRune(" :-.", rune(text[0])) {
		return text
	}
	return strconv.QuoteToASCII(text) // a subset of what YAML has in double quotes
}
