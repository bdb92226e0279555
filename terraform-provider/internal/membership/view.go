// Package membership is what the provider makes of an agent's member list: a sorted view, selections from
// it, a digest that changes only when something meaningful does, the guard that refuses a view which cannot
// be trusted, and the wait until a selection is as wanted. It does no I/O; package session fetches the views.
package membership

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
)

// The statuses a member can have, as the agent spells them.
const (
	Alive   = "alive"
	Leaving = "leaving"
	Left    = "left"
	Failed  = "failed"
)

// Statuses lists every status, in the order of a member's life.
func Statuses() []string { return []string{Alive, Leaving, Left, Failed} }

// Member is one member as one agent sees it.
type Member struct {
	Name     string
	Endpoint netip.AddrPort // where it gossips; an IPv4 address is in its short form
	Status   string
	Tags     map[string]string // never nil; read-only
	Protocol int64             // Serf protocol version it speaks
	Damped   bool              // it is alive, but comes and goes, and is to be kept out of answers
}

// View is all that one agent knows at one moment.
type View struct {
	Observer string   // the node name of that agent
	Members  []Member // of every status, sorted by name
	// Doubt says why the agent itself doubts the view, as a clause; "" if it does not, or does not say.
	Doubt string
	// Quiet is how long ago the agent heard from another member; 0 if it does not say, or never did.
	Quiet time.Duration
}

// NewView makes a view of an agent's answer, whose order is random.
func NewView(observer string, members []api.Member) View {
	v := View{Observer: observer, Members: make([]Member, 0, len(members))}
	for _, m := range members {
		addr, _ := netip.AddrFromSlice(m.Addr) // an address of no valid length shows as the zero address
		tags := m.Tags
		if tags == nil {
			tags = map[string]string{}
		}
		v.Members = append(v.Members, Member{
			Name:     m.Name,
			Endpoint: netip.AddrPortFrom(addr.Unmap(), m.Port),
			Status:   m.Status,
			Tags:     tags,
			Protocol: int64(m.DelegateCur),
			Damped:   m.Damped,
		})
	}
	slices.SortFunc(v.Members, func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
	return v
}

// Member finds a member by its exact name.
func (v View) Member(name string) (Member, bool) {
	i, ok := slices.BinarySearchFunc(v.Members, name, func(m Member, name string) int {
		return cmp.Compare(m.Name, name)
	})
	if !ok {
		return Member{}, false
	}
	return v.Members[i], true
}

// Counts returns how many members have each status. Every status has an entry, if only zero.
func (v View) Counts() map[string]int64 {
	counts := make(map[string]int64, len(Statuses()))
	for _, s := range Statuses() {
		counts[s] = 0
	}
	for _, m := range v.Members {
		if _, known := counts[m.Status]; known {
			counts[m.Status]++
		}
	}
	return counts
}

// Alone reports whether the observer knows no other member that is alive or leaving.
func (v View) Alone() bool {
	return !slices.ContainsFunc(v.Members, func(m Member) bool {
		return m.Name != v.Observer && (m.Status == Alive || m.Status == Leaving)
	})
}

// Isolated reports whether the observer has lost everyone: it is alone, and others failed rather than left.
// It is then more likely that the observer is cut off than that all the others died.
func (v View) Isolated() bool {
	return v.Alone() && slices.ContainsFunc(v.Members, func(m Member) bool {
		return m.Name != v.Observer && m.Status == Failed
	})
}

// summaryLimit bounds how many members Summary names.
const summaryLimit = 20

// Summary names members with their status, for people: "a (alive), b (failed)".
func Summary(members []Member) string {
	if len(members) == 0 {
		return "none"
	}
	shown := members[:min(len(members), summaryLimit)]
	parts := make([]string, 0, len(shown)+1)
	for _, m := range shown {
		parts = append(parts, fmt.Sprintf("%s (%s)", m.Name, m.Status))
	}
	if more := len(members) - len(shown); more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, ", ")
}
