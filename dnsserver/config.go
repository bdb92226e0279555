package dnsserver

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/seed-645ce708/gossip/dnsserver/dnssec"
	"github.com/seed-645ce708/gossip/dnsserver/transfer"
	"github.com/seed-645ce708/gossip/dnsserver/tsig"
	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// Defaults of Config.
const (
	DefaultUDPSize         = 1232
	DefaultMaxTCP          = 256
	DefaultMaxTCPPerClient = 64
	DefaultIdleTimeout     = 10 * time.Second
	DefaultReadTimeout     = 2 * time.Second
)

// DefaultNotReady is what a server in an agent says before there is a view to answer from.
const DefaultNotReady = "this agent has not joined its cluster yet"

// MaxIdentifier is how many octets Config.NSID and Config.Version may have: so much fits beside everything else in a
// reply of 512.
const MaxIdentifier = 128

// Config describes a Server.
type Config struct {
	// Addr is where to listen, on UDP and TCP alike: host:port. Port 0 lets the kernel choose one that is free
	// on both.
	Addr string
	// TLSAddr is where to listen for DNS over TLS (RFC 7858): host:port; "" means nowhere. TLSCert and TLSKey are files
	// in PEM, which are read again when they change.
	TLSAddr, TLSCert, TLSKey string
	// Source returns the zone to answer from, or nil if there is none to be trusted yet, which clients get to
	// hear as SERVFAIL. It is called once per query, by several goroutines, and must not block.
	Source func() *zone.Zone
	// NotReady is what clients are told while there is no such zone, in the text of an extended error; "" means
	// DefaultNotReady.
	NotReady string
	// Status returns what stands at the name status of the zone, one record a line of at most 255 octets; nil means
	// nothing. Distances are for sets that are to be ordered by distance; nil means that none is known. Both are
	// called by several goroutines, and must not block.
	Status    func() []string
	Distances func() *zone.Distances

	// UDPSize is the longest reply over UDP in octets, 512 to 65535, for clients that take as much; 0 means
	// DefaultUDPSize. Clients on the loopback interface get what they ask for, since nothing between them and
	// us could break a long packet.
	UDPSize int
	// MaxTCP is how many TCP connections may be open, TLS included, and MaxTCPPerClient how many of one address (of a
	// /64, for IPv6). 0 means the default.
	MaxTCP, MaxTCPPerClient int
	// IdleTimeout is how long a TCP connection may be silent between queries, ReadTimeout how long one message, or
	// a TLS handshake, may take to arrive or to be taken. 0 means the default.
	IdleTimeout, ReadTimeout time.Duration

	// Cookies says what becomes of DNS cookies. CookieFile names a file of the secrets that they are made with, one of
	// 32 hexadecimal digits a line, the one in use first, so that several servers can share them; "" means a random
	// one, a new one each day.
	Cookies    CookiePolicy
	CookieFile string
	// RateLimit is how many replies of one kind the clients of one network (/24, or /56 for IPv6) get over UDP in a
	// second, but for those that show a good cookie; 0 means no limit. Of those over the limit one in RateSlip goes out
	// empty, so that a real client comes back over TCP; 0 means none. RateExempt are networks without limit.
	RateLimit, RateSlip int
	RateExempt          []netip.Prefix
	// NSID is what the server calls itself, in the EDNS option of that name and as hostname.bind and id.server;
	// Version the answer for version.bind. At most MaxIdentifier octets; "" tells nothing.
	NSID, Version string

	// Keys are those that clients may sign their messages with (TSIG, RFC 8945); what is signed with any other is
	// refused. Nil: there is none.
	Keys *tsig.Keyring
	// Transfers hands the zone to secondaries; nil: to nobody.
	Transfers *transfer.Server
	// Signer signs the answers from the zones that it has keys for; nil signs nothing.
	Signer *dnssec.Signer

	// Report is told of what goes wrong behind queries, such as a certificate that was replaced by something else. It
	// may be called by several goroutines; nil means nobody wants to know.
	Report func(error)

	// PacketConn and Listener are served instead of Addr if both are set, and TLSListener instead of TLSAddr. The
	// server closes them.
	PacketConn            net.PacketConn
	Listener, TLSListener net.Listener
}

// CookiePolicy is what becomes of DNS cookies (RFC 7873).
type CookiePolicy string

// The policies. The empty one is CookiesOn.
const (
	CookiesOn      CookiePolicy = "on"      // given to who asks, and honoured
	CookiesOff     CookiePolicy = "off"     // ignored, as an option that nobody knows
	CookiesRequire CookiePolicy = "require" // who speaks cookies must show a good one over UDP
)

// complete fills in defaults and checks the rest.
func (cfg *Config) complete() error {
	if cfg.Source == nil {
		return errors.New("dns server: no source of zones")
	}
	if (cfg.PacketConn == nil) != (cfg.Listener == nil) {
		return errors.New("dns server: PacketConn and Listener go together")
	}
	if cfg.PacketConn == nil {
		if _, _, err := splitAddr(cfg.Addr); err != nil {
			return err
		}
	}
	if cfg.TLSAddr != "" {
		if _, _, err := splitAddr(cfg.TLSAddr); err != nil {
			return err
		}
	}
	if cfg.tls() && (cfg.TLSCert == "" || cfg.TLSKey == "") {
		return errors.New("dns server: TLS wants the files of a certificate and its key")
	}
	if cfg.UDPSize == 0 {
		cfg.UDPSize = DefaultUDPSize
	}
	if cfg.UDPSize < minUDP || cfg.UDPSize > maxMessage {
		return fmt.Errorf("dns server: udp size %d is not between %d and %d octets", cfg.UDPSize, minUDP, maxMessage)
	}
	switch cfg.Cookies {
	case "":
		cfg.Cookies = CookiesOn
	case CookiesOn, CookiesOff, CookiesRequire:
	default:
		return fmt.Errorf("dns server: no policy for cookies is called %q", cfg.Cookies)
	}
	if len(cfg.NSID) > MaxIdentifier || len(cfg.Version) > MaxIdentifier {
		return fmt.Errorf("dns server: an identifier or version of more than %d octets", MaxIdentifier)
	}
	for _, n := range []struct {
		value        *int
		defaultValue int
	}{
		{&cfg.MaxTCP, DefaultMaxTCP}, {&cfg.MaxTCPPerClient, DefaultMaxTCPPerClient}, {&cfg.RateLimit, 0}, {&cfg.RateSlip, 0},
	} {
		if *n.value < 0 {
			return errors.New("dns server: limits must not be negative")
		}
		if *n.value == 0 {
			*n.value = n.defaultValue
		}
	}
	if cfg.IdleTimeout < 0 || cfg.ReadTimeout < 0 {
		return errors.New("dns server: limits must not be negative")
	}
	if cfg.IdleTimeout == 0 {
		cfg.IdleTimeout = DefaultIdleTimeout
	}
	if cfg.ReadTimeout == 0 {
		cfg.ReadTimeout = DefaultReadTimeout
	}
	if cfg.Report == nil {
		cfg.Report = func(error) {}
	}
	return nil
}

// tls tells whether there is to be DNS over TLS.
func (cfg *Config) tls() bool { return cfg.TLSAddr != "" || cfg.TLSListener != nil }

func splitAddr(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf("dns address %q is not host:port: %w", addr, err)
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("dns address %q: port %q is not a number from 0 to 65535", addr, text)
	}
	return host, port, nil
}
