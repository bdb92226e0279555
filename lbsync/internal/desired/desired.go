// Package desired works out which servers a service should have from the members that an agent knows: whom
// it selects, at which address, port and weight, and whom it leaves out and why. It is pure; what may be
// removed is not decided here but by package guard.
//
// Nothing a member says reaches a load balancer unscreened: names, addresses and ports are checked here (see
// screen.go), because a member's name or tag could otherwise inject into a configuration file or a socket.
package desired

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/service"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
)

// MaxWeight is the highest weight. Higher ones from tags are cut to it.
const MaxWeight = pool.MaxWeight

// The member statuses as RPC spells them (Serf reference 2.2).
const (
	statusAlive   = "alive"
	statusLeaving = "leaving"
	statusLeft    = "left"
)

// Server is one endpoint of a service. All of it was screened.
type Server struct {
	Name   string     `json:"name"` // of the member
	Addr   netip.Addr `json:"addr"` // never an IPv4 address in its IPv6 form
	Port   uint16     `json:"port"`
	Weight uint16     `json:"weight"` // 1 to MaxWeight; relative share of the traffic
	// Backup marks who is used only when all of better priority are down.
	Backup bool `json:"backup,omitempty"`
	// Drain asks to finish what runs and send nothing new.
	Drain bool `json:"drain,omitempty"`
	// Tags are those of the member whose keys and values are harmless in any file; others are left out.
	Tags map[string]string `json:"tags,omitempty"`
}

// HostPort returns the endpoint with an IPv6 address in brackets.
func (s Server) HostPort() string { return netip.AddrPortFrom(s.Addr, s.Port).String() }

// Equal tells whether the two are the same in every field.
func (s Server) Equal(o Server) bool {
	return s.Name == o.Name && s.Addr == o.Addr && s.Port == o.Port && s.Weight == o.Weight &&
		s.Backup == o.Backup && s.Drain == o.Drain && maps.Equal(s.Tags, o.Tags)
}

// Service is a service's set of servers.
type Service struct {
	Name    string   `json:"name"`
	Servers []Server `json:"servers"` // sorted by name
}

// Server finds a server by name.
func (s Service) Server(name string) (Server, bool) {
	i, ok := slices.BinarySearchFunc(s.Servers, name, func(s Server, name string) int { return strings.Compare(s.Name, name) })
	if !ok {
		return Server{}, false
	}
	return s.Servers[i], true
}

// Equal tells whether both hold the same servers.
func (s Service) Equal(o Service) bool {
	return s.Name == o.Name && slices.EqualFunc(s.Servers, o.Servers, Server.Equal)
}

// Match is a condition on a tag: it must be there and be Exact, or match Pattern as a whole if that is set.
type Match struct {
	Key     string
	Exact   string
	Pattern *regexp.Regexp
}

// Spec says which members serve a service and how to reach them there.
type Spec struct {
	// Name is the service's name in the configuration.
	Name string
	// Published is the service that a member must publish in its tags (see package agent/service); empty
	// selects by Tags alone.
	Published string
	// Tags must all match.
	Tags []Match

	// AddressTag names the tag that holds the address; a member without it is reached at its own.
	AddressTag string
	// PortTag names the tag that holds the port; a member without it at the port it publishes, or else Port.
	PortTag string
	// Port is for members that publish none; 0 is no default.
	Port uint16
	// WeightTag names the tag that holds the weight, 0 to MaxWeight; a member without it has the weight it
	// publishes. 0 drains.
	WeightTag string
	// DrainTags drain a member if any of them has the value.
	DrainTags map[string]string
	// AllowLoopback admits loopback addresses: for trying things out on one host.
	AllowLoopback bool
}

// Rejected is a member that was selected but cannot be used.
type Rejected struct {
	Member string // as the member calls itself: quote it before printing
	Reason string
}

// Fate is what became of a member that is no server.
type Fate string

// The fates.
const (
	Alive  Fate = "alive" // but it does not serve, or cannot be used
	Left   Fate = "left"  // or is leaving
	Failed Fate = "failed"
)

// Result is what the members ask for.
type Result struct {
	Service  Service
	Others   map[string]Fate // every other member, selected or not
	Rejected []Rejected      // sorted by member
}

// Evaluate works out the result for the members, which may come in any order.
func Evaluate(spec Spec, members []api.Member) Result {
	byName := func(a, b api.Member) int { return strings.Compare(a.Name, b.Name) }
	if !slices.IsSortedFunc(members, byName) {
		members = slices.Clone(members)
		slices.SortFunc(members, byName)
	}
	res := Result{Service: Service{Name: spec.Name}, Others: map[string]Fate{}}
	type candidate struct {
		Server
		priority uint16
	}
	var found []candidate
	taken := map[netip.AddrPort]string{}
	for _, m := range members {
		switch m.Status {
		case statusLeaving, statusLeft:
			res.Others[m.Name] = Left
			continue
		case statusAlive:
			res.Others[m.Name] = Alive
		default:
			res.Others[m.Name] = Failed
			continue
		}
		pub, selected, err := selects(spec, m)
		if !selected {
			continue
		}
		var s Server
		if err == nil {
			s, err = endpoint(spec, m, pub)
		}
		if err == nil {
			at := netip.AddrPortFrom(s.Addr, s.Port)
			if other, ok := taken[at]; ok {
				err = fmt.Errorf("%s is already %s's", at, other)
			} else {
				taken[at] = s.Name
			}
		}
		if err != nil {
			res.Rejected = append(res.Rejected, Rejected{Member: m.Name, Reason: err.Error()})
			continue
		}
		delete(res.Others, m.Name)
		found = append(found, candidate{s, pub.Priority})
	}

	first := uint16(0xffff)
	for _, c := range found {
		if !c.Drain {
			first = min(first, c.priority)
		}
	}
	for _, c := range found {
		c.Backup = !c.Drain && c.priority > first
		res.Service.Servers = append(res.Service.Servers, c.Server)
	}
	return res
}

// Node returns the member of that name as far as it can be used in files, whatever its status; the zero value if there is
// none, or if its name cannot.
func Node(members []api.Member, name string) pool.Node {
	for _, m := range members {
		if m.Name != name || checkName(name) != nil {
			continue
		}
		addr, _ := netip.AddrFromSlice(m.Addr) // the zero value is one that is not known
		return pool.Node{Name: name, Addr: addr.Unmap(), Tags: safeTags(m.Tags)}
	}
	return pool.Node{}
}

// selects tells whether the member serves, and returns what it publishes. The error is set for a member that
// means to serve but says so in a way that cannot be read.
func selects(spec Spec, m api.Member) (service.Service, bool, error) {
	for _, match := range spec.Tags {
		value, ok := m.Tags[match.Key]
		if !ok || (match.Pattern == nil && value != match.Exact) || (match.Pattern != nil && !match.Pattern.MatchString(value)) {
			return service.Service{}, false, nil
		}
	}
	name := spec.Published
	if name == "" {
		name = spec.Name
	}
	published, err := service.FromTags(m.Tags)
	for _, s := range published {
		if s.Name == name {
			return s, true, nil
		}
	}
	pub := service.Service{Weight: service.DefaultWeight}
	if spec.Published == "" {
		return pub, true, nil
	}
	_, bySvc := m.Tags[service.TagPrefix+name]
	if err != nil && (bySvc || m.Tags["role"] == name) {
		return pub, true, fmt.Errorf("%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return pub, false, nil
}

// endpoint works out how to reach the member.
func endpoint(spec Spec, m api.Member, pub service.Service) (Server, error) {
	s := Server{Name: m.Name, Port: pub.Port, Weight: min(pub.Weight, MaxWeight), Drain: pub.Drain || pub.Weight == 0}
	if err := checkName(m.Name); err != nil {
		return s, err
	}

	addr, ok := netip.AddrFromSlice(m.Addr)
	if text, tagged := m.Tags[spec.AddressTag]; tagged && spec.AddressTag != "" {
		var err error
		if addr, err = netip.ParseAddr(text); err != nil {
			return s, fmt.Errorf("tag %s=%q is not an IP address", spec.AddressTag, text)
		}
	} else if !ok {
		return s, fmt.Errorf("its address has %d bytes", len(m.Addr))
	}
	s.Addr = addr.Unmap()
	if err := checkAddr(s.Addr, spec.AllowLoopback); err != nil {
		return s, err
	}

	if text, tagged := m.Tags[spec.PortTag]; tagged && spec.PortTag != "" {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil || port == 0 {
			return s, fmt.Errorf("tag %s=%q is not a port from 1 to 65535", spec.PortTag, text)
		}
		s.Port = uint16(port)
	}
	if s.Port == 0 {
		s.Port = spec.Port
	}
	if s.Port == 0 {
		return s, fmt.Errorf("it publishes no port for %s, and the configuration gives none", spec.Name)
	}

	if text, tagged := m.Tags[spec.WeightTag]; tagged && spec.WeightTag != "" {
		weight, err := strconv.ParseUint(text, 10, 16)
		if err != nil || weight > MaxWeight {
			return s, fmt.Errorf("tag %s=%q is not a weight from 0 to %d", spec.WeightTag, text, MaxWeight)
		}
		s.Weight, s.Drain = uint16(weight), pub.Drain || weight == 0
	}
	for key, value := range spec.DrainTags {
		if got, ok := m.Tags[key]; ok && got == value {
			s.Drain = true
		}
	}
	s.Weight = max(s.Weight, 1) // a weight of 0 is said by Drain
	s.Tags = safeTags(m.Tags)
	return s, nil
}

// Explain says why a member is no server of the service, or that it is one, as a sentence without its full stop.
func Explain(spec Spec, members []api.Member, name string) string {
	for _, r := range Evaluate(spec, members).Rejected {
		if r.Member == name {
			return "it cannot be used: " + r.Reason
		}
	}
	for _, m := range members {
		if m.Name != name {
			continue
		}
		if m.Status != statusAlive {
			return "the member is " + m.Status
		}
		for _, match := range spec.Tags {
			switch value, ok := m.Tags[match.Key]; {
			case !ok:
				return fmt.Sprintf("select wants tag %s, which it has not", match.Key)
			case match.Pattern != nil && !match.Pattern.MatchString(value):
				return fmt.Sprintf("select wants tag %s to match %s, and it is %q", match.Key, match.Pattern, value)
			case match.Pattern == nil && value != match.Exact:
				return fmt.Sprintf("select wants tag %s=%s, and it is %q", match.Key, match.Exact, value)
			}
		}
		if _, selected, _ := selects(spec, m); !selected {
			return fmt.Sprintf("its tags do not publish service %s: role=%[1]s with port=N, or svc:%[1]s=N", cmp.Or(spec.Published, spec.Name))
		}
		return "the member is alive and serves it, but drains"
	}
	return "the agent knows no member of this name"
}
