// Package override is what operators want for some time, against what would otherwise be done: to hold a service or a
// target, to drain a member, to let a held removal go. It is pure. Every override ends by itself.
package override

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/decide"
)

// Kind is a kind of override.
type Kind string

// The kinds.
const (
	Ack   Kind = "ack"   // the held removals of Service that Set names may be made
	Hold  Kind = "hold"  // nothing is removed from Service, or nothing is done to Target
	Drain Kind = "drain" // Member of Service drains
)

// MaxCount bounds how many there may be at once.
const MaxCount = 1000

// MaxFor is how long one may last.
const MaxFor = 30 * 24 * time.Hour

// Override is one order of an operator.
type Override struct {
	Kind    Kind      `json:"kind"`
	Service string    `json:"service,omitempty"`
	Member  string    `json:"member,omitempty"`
	Target  string    `json:"target,omitempty"` // KIND/NAME
	Set     string    `json:"set,omitempty"`
	Ahead   bool      `json:"ahead,omitempty"` // Member need not be known yet
	Until   time.Time `json:"until"`
}

func (o Override) String() string {
	words := []string{string(o.Kind)}
	for _, w := range []string{o.Service, o.Target, o.Member, o.Set} {
		if w != "" {
			words = append(words, w)
		}
	}
	return strings.Join(words, " ") + " until " + o.Until.UTC().Format(time.RFC3339)
}

func (o Override) same(p Override) bool {
	return o.Kind == p.Kind && o.Service == p.Service && o.Member == p.Member && o.Target == p.Target
}

// List is all that are in force. Its methods return new lists.
type List []Override

// Live returns those that have not ended.
func (l List) Live(at time.Time) List {
	return slices.DeleteFunc(append(List{}, l...), func(o Override) bool { return !at.Before(o.Until) })
}

// Add adds one, in place of another of the same kind for the same thing.
func (l List) Add(o Override) (List, error) {
	out := append(slices.DeleteFunc(slices.Clone(l), o.same), o)
	if len(out) > MaxCount {
		return l, fmt.Errorf("there are %d overrides already; resume some", MaxCount)
	}
	return out, nil
}

// Resume ends those for the service, for one member of it, or for the target, and returns how many that were. Empty
// arguments are not compared, but one of them must not be empty.
func (l List) Resume(service, member, target string) (List, int) {
	out := slices.DeleteFunc(slices.Clone(l), func(o Override) bool {
		return (service != "" || target != "") && o.Service == service && o.Target == target && (member == "" || o.Member == member)
	})
	return out, len(l) - len(out)
}

// Spent ends the acks of a service: what they allowed was done.
func (l List) Spent(service string) List {
	return slices.DeleteFunc(slices.Clone(l), func(o Override) bool { return o.Kind == Ack && o.Service == service })
}

// Services returns what the live ones mean for each service, and when the next of them ends; zero if there is none.
func (l List) Services(at time.Time) (map[string]decide.Overrides, time.Time) {
	out := map[string]decide.Overrides{}
	var next time.Time
	for _, o := range l.Live(at) {
		if next.IsZero() || o.Until.Before(next) {
			next = o.Until
		}
		if o.Service == "" {
			continue
		}
		s := out[o.Service]
		switch o.Kind {
		case Ack:
			s.Ack = o.Set
		case Hold:
			s.Hold = "an operator holds it until " + o.Until.UTC().Format(time.RFC3339)
		case Drain:
			if s.Drain == nil {
				s.Drain = map[string]bool{}
			}
			s.Drain[o.Member] = true
		}
		out[o.Service] = s
	}
	return out, next
}

// Held tells until when the target is held; zero if it is not.
func (l List) Held(target string, at time.Time) time.Time {
	for _, o := range l.Live(at) {
		if o.Kind == Hold && o.Target == target {
			return o.Until
		}
	}
	return time.Time{}
}
