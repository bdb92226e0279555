// Package view holds what an agent knows about its cluster as immutable values: members, and numbered
// snapshots of all of them. The core publishes; DNS, RPC and every other reader only read. It imports the
// standard library alone, so that any package may speak its types.
package view

import "net/netip"

// Status is a member's place in its life. The numbers are Serf's and travel in conflict responses
// (Serf reference 1.5, type 6).
type Status uint8

// The statuses of Serf reference 2.2.
const (
	StatusNone    Status = 0
	StatusAlive   Status = 1
	StatusLeaving Status = 2
	StatusLeft    Status = 3
	StatusFailed  Status = 4
)

// String returns the status as RPC and the command line spell it.
func (s Status) String() string {
	switch s {
	case StatusAlive:
		return "alive"
	case StatusLeaving:
		return "leaving"
	case StatusLeft:
		return "left"
	case StatusFailed:
		return "failed"
	default:
		return "none"
	}
}

// Member is one member at one moment. Once published it is never modified: a change makes a new Member,
// so a pointer may be kept, compared and shared between goroutines.
type Member struct {
	Name string
	// Addr keeps the form in which the member announces itself: 4 bytes, or 16 bytes with an IPv4 address
	// inside when it binds to 0.0.0.0 (Serf reference 1.1). Use Addr.Unmap to compare or print.
	Addr   netip.Addr
	Port   uint16
	Tags   map[string]string // never nil; read-only
	Status Status

	// Versions of the memberlist protocol that the member understands and speaks.
	ProtocolMin, ProtocolMax, ProtocolCur uint8
	// Versions of Serf's protocol that the member understands and speaks.
	DelegateMin, DelegateMax, DelegateCur uint8
}

// AddrPort returns the gossip address, with an IPv4 address in its short form.
func (m *Member) AddrPort() netip.AddrPort {
	return netip.AddrPortFrom(m.Addr.Unmap(), m.Port)
}
