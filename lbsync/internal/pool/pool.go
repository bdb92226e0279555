// Package pool is the model that the core of gossip-lbsync and its adapters share: what servers a service should have
// now. The core makes it from the members, the guards and each instance's history; adapters put it into files and
// running balancers, and templates see it. It is plain data and pure.
package pool

import (
	"hash/fnv"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// State is where an instance of a service stands.
type State string

// The states. Servers in the first four are in files and balancers; the others are listed nowhere, and a balancer that
// still has one should let it go.
//
//	pending ──▶ probation ──▶ active ◀──▶ suspect
//	                 │           │           │
//	                 └──────▶ draining ◀─────┘──▶ removing
const (
	Probation State = "probation" // in, but no balancer has said yet that it is healthy
	Active    State = "active"    // in
	Suspect   State = "suspect"   // gossip says that it failed, but it stays in for now: checks of the balancer's own are surer
	Draining  State = "draining"  // in, to finish what it has: nothing new goes there

	Pending    State = "pending"    // seen too recently
	Removing   State = "removing"   // out, but some balancer still has it
	Suppressed State = "suppressed" // out, because it comes and goes too often
)

// In tells whether a server of this state belongs in files and balancers.
func (s State) In() bool {
	return s == Probation || s == Active || s == Suspect || s == Draining
}

// MaxWeight is the highest weight; it is what HAProxy takes.
const MaxWeight = 256

// MaxID is the highest server id; it is what HAProxy takes.
const MaxID = 1<<31 - 1

// Server is one endpoint of a service. Names, addresses, ports and tags were screened: none can end a word, a line, a
// quotation or a command in any file or on any socket that adapters write to.
type Server struct {
	Name string     `json:"name"` // of the member: [A-Za-z0-9][A-Za-z0-9_.:-]*
	ID   uint32     `json:"id"`   // 1 to MaxID, from the names alone: the same on every balancer
	Slot int        `json:"slot,omitempty"`
	Addr netip.Addr `json:"addr"` // never an IPv4 address in its IPv6 form
	Port uint16     `json:"port"`
	// Weight is the share of the traffic, 1 to MaxWeight. That there should be none is said by Draining.
	Weight uint16 `json:"weight"`
	// Backup marks who is used only when all others are down.
	Backup bool              `json:"backup,omitempty"`
	State  State             `json:"state"`
	Tags   map[string]string `json:"tags,omitempty"` // those that are harmless in any file
}

// HostPort returns the endpoint with an IPv6 address in brackets.
func (s Server) HostPort() string { return netip.AddrPortFrom(s.Addr, s.Port).String() }

// Family returns "ipv4" or "ipv6".
func (s Server) Family() string {
	if s.Addr.Is4() {
		return "ipv4"
	}
	return "ipv6"
}

// Zone returns the tag zone; empty if there is none.
func (s Server) Zone() string { return s.Tags["zone"] }

// Draining tells whether the server is to get nothing new.
func (s Server) Draining() bool { return s.State == Draining }

// Equal tells whether the two are the same in every field.
func (s Server) Equal(o Server) bool {
	return s.Name == o.Name && s.ID == o.ID && s.Slot == o.Slot && s.Addr == o.Addr && s.Port == o.Port &&
		s.Weight == o.Weight && s.Backup == o.Backup && s.State == o.State && maps.Equal(s.Tags, o.Tags)
}

// Node is the member beside the balancer: that of the agent which is followed. Its name and tags were screened as those of a
// Server. The zero value is one that is not known.
type Node struct {
	Name string            `json:"name"`
	Addr netip.Addr        `json:"addr,omitzero"`
	Tags map[string]string `json:"tags,omitempty"` // those that are harmless in any file
}

// Zone returns the tag zone; empty if there is none.
func (n Node) Zone() string { return n.Tags["zone"] }

// Equal tells whether the two are the same in every field.
func (n Node) Equal(o Node) bool {
	return n.Name == o.Name && n.Addr == o.Addr && maps.Equal(n.Tags, o.Tags)
}

// Service is the servers of a service that belong in files and balancers.
type Service struct {
	Name    string   `json:"name"`
	Servers []Server `json:"servers"` // sorted by name, each of a state that is In
	// Force ends the sessions of a server that is removed although some remain.
	Force bool `json:"force,omitempty"`
	// HoldReason says why removals are held; empty if none is.
	HoldReason string `json:"hold_reason,omitempty"`
}

// Hold tells whether removals are held.
func (s Service) Hold() bool { return s.HoldReason != "" }

// Ready returns the servers that take traffic.
func (s Service) Ready() []Server {
	return slices.DeleteFunc(slices.Clone(s.Servers), Server.Draining)
}

// Server finds a server by name.
func (s Service) Server(name string) (Server, bool) {
	i, ok := slices.BinarySearchFunc(s.Servers, name, func(s Server, name string) int { return strings.Compare(s.Name, name) })
	if !ok {
		return Server{}, false
	}
	return s.Servers[i], true
}

// ringBits is how many of an id's low bits place a server on HAProxy's ring of consistent hashing: two servers that share
// them share their places, and their order decides.
const ringBits = 20

// AssignIDs gives each server its id. Servers are sorted by name; of two whose hashes meet on the ring the later moves on
// to the next free number. So consistent hashing survives reordering, and all balancers agree without talking.
func AssignIDs(servers []Server) {
	const places = 1 << ringBits
	taken := make(map[uint32]bool, len(servers))
	for i := range servers {
		h := fnv.New32a()
		_, _ = h.Write([]byte(servers[i].Name)) // never fails
		id := 1 + h.Sum32()%(MaxID-1)
		for taken[id%places] && len(taken) < places {
			id = 1 + id%MaxID
		}
		taken[id%places] = true
		servers[i].ID = id
	}
}
