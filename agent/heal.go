package agent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-metrics"

	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/gossip"
	"github.com/seed-645ce708/gossip/agent/internal/heal"
	"github.com/seed-645ce708/gossip/agent/internal/state"
	"github.com/seed-645ce708/gossip/agent/internal/view"
)

// healer does what package heal plans.
type healer struct {
	mu   sync.Mutex
	plan *heal.Planner // nil if healing is off
}

// resolveTimeout bounds the look-up of a seed's name.
const resolveTimeout = 10 * time.Second

// with runs f on the planner, if there is one.
func (h *healer) with(f func(*heal.Planner)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.plan != nil {
		f(h.plan)
	}
}

// addSeeds adds addresses that are to be members' from now on.
func (h *healer) addSeeds(addrs []string) {
	h.with(func(p *heal.Planner) {
		for _, addr := range addrs {
			p.AddSeed(addr)
		}
	})
}

// observe follows who is forgotten, and how: one that failed may be cut off, and is looked for; one that left is
// gone. One that joins is lost no more.
func (h *healer) observe(e event.Event, reconnectTimeout time.Duration) {
	members, ok := e.(*event.Member)
	if !ok {
		return
	}
	h.with(func(p *heal.Planner) {
		for _, m := range members.Members {
			switch {
			case members.Kind == event.TypeMemberReap && m.Status == view.StatusFailed:
				p.Lost(m.Name, m.AddrPort().String(), time.Now().Add(-reconnectTimeout), time.Time{})
			case members.Kind == event.TypeMemberReap, members.Kind == event.TypeMemberJoin:
				p.Forget(m.Name)
			}
		}
	})
}

// remember takes the acquaintances of an earlier life as lost, until they are members again. Those who had left are
// looked for as long as others would remember that.
func (a *Agent) remember() {
	a.healer.with(func(p *heal.Planner) {
		now := time.Now()
		for _, node := range a.previous {
			p.Lost(node.Name, node.Addr, now, time.Time{})
		}
		for _, g := range a.gone {
			until := time.Time{}
			if g.Left {
				until = g.Time.Add(a.cfg.TombstoneTimeout)
			}
			p.Lost(g.Name, g.Addr, minTime(g.Time, now), until) // a clock may have been wrong
		}
	})
}

func minTime(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// heal contacts lost members as planned, until the agent stops. It begins once the snapshot's members were tried.
func (a *Agent) heal() {
	select {
	case <-a.rejoined:
	case <-a.life.Done():
		return
	}
	a.remember()
	for {
		var wait time.Duration
		a.healer.with(func(p *heal.Planner) { wait = p.Wait(a.view.Load().Count(view.StatusAlive)) })
		select {
		case <-time.After(wait):
		case <-a.life.Done():
			return
		}
		if a.checkAlive() != nil {
			continue
		}
		var targets []heal.Target
		known := a.known()
		a.healer.with(func(p *heal.Planner) { targets = p.Turn(time.Now(), known.alive, known.missing) })
		for _, t := range targets {
			outcome, err := a.contact(t, &known)
			a.settle(t, outcome, err)
		}
	}
}

// settle notes what came of contacting a target.
func (a *Agent) settle(t heal.Target, outcome heal.Outcome, err error) {
	if a.life.Err() != nil {
		return
	}
	var refused bool
	a.healer.with(func(p *heal.Planner) { refused = p.Done(t, outcome) })
	who := []any{"addr", t.Addr}
	if !t.Seed() {
		who = append(who, "member", t.Name)
	}
	switch {
	case outcome == heal.Reached:
		metrics.IncrCounter([]string{"gossip", "heal", "reached"}, 1)
		a.log.Info("reached a peer that was missing", who...)
	case refused:
		a.log.Warn("a peer that we look for refuses us; asking rarely from now on", append(who, "err", err)...)
	case outcome != heal.Present:
		metrics.IncrCounter([]string{"gossip", "heal", "failed"}, 1)
		a.log.Debug("a missing peer is still not there", append(who, "err", err)...)
	}
}

// contact exchanges state with a target: with a single one of the addresses that a seed's name has now, which is
// enough to learn of all others, and does not make every member call every other one.
func (a *Agent) contact(t heal.Target, known *acquaintances) (heal.Outcome, error) {
	addr := t.Addr
	if t.Seed() {
		addrs, err := a.resolveSeed(t.Addr)
		if err != nil {
			return heal.Failed, err
		}
		addrs = slices.DeleteFunc(addrs, known.isAlive)
		if len(addrs) == 0 {
			return heal.Present, nil
		}
		addr = addrs[rand.IntN(len(addrs))].String() //nolint:gosec // spreads load, protects nothing
	}
	err := a.exchange(t.Name, addr, known.alive > 1)
	switch {
	case errors.Is(err, gossip.ErrRefused):
		return heal.Refused, err
	case err != nil:
		return heal.Failed, err
	}
	return heal.Reached, nil
}

// exchange exchanges state with a peer. If that is the first one that we ever meet, it is a join: it is announced, and
// old user events stay away unless they are wanted.
func (a *Agent) exchange(name, addr string, met bool) error {
	if !met && !a.met.Load() && len(a.previous)+len(a.gone) == 0 {
		_, err := a.Join(a.life, []string{addr}, a.cfg.ReplayOnJoin)
		return err
	}
	err := a.gossip.Rejoin(a.life, name, addr)
	if err == nil {
		a.synced.Store(true)
	}
	return err
}

// resolveSeed returns what an address of the configuration, [NODE/]HOST[:PORT], stands for now.
func (a *Agent) resolveSeed(seed string) ([]netip.AddrPort, error) {
	host, port, err := splitSeed(seed, uint16(a.gossip.BindPort()))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(a.life, resolveTimeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("resolve seed %s: %w", seed, err)
	}
	addrs := make([]netip.AddrPort, len(ips))
	for i, ip := range ips {
		addrs[i] = netip.AddrPortFrom(ip.Unmap(), port)
	}
	return addrs, nil
}

// splitSeed takes an address of the configuration apart, as memberlist does (Serf reference 2.4). host may be an IP
// address.
func splitSeed(seed string, defaultPort uint16) (host string, port uint16, err error) {
	if _, rest, ok := strings.Cut(seed, "/"); ok {
		seed = rest
	}
	if ip, err := netip.ParseAddr(strings.Trim(seed, "[]")); err == nil {
		return ip.String(), defaultPort, nil
	}
	host, text, err := net.SplitHostPort(seed)
	if err != nil {
		return seed, defaultPort, nil //nolint:nilerr // a host without a port
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("seed %s: bad port: %w", seed, err)
	}
	return host, uint16(n), nil
}

// acquaintances are members, seen from whoever looks for others.
type acquaintances struct {
	alive int
	names map[string]bool         // of every status
	addrs map[netip.AddrPort]bool // of those alive
	port  uint16                  // of seeds that name none
}

func (a *Agent) known() acquaintances {
	members := a.view.Load().Members
	k := acquaintances{
		names: make(map[string]bool, len(members)),
		addrs: make(map[netip.AddrPort]bool, len(members)),
		port:  uint16(a.gossip.BindPort()),
	}
	for _, m := range members {
		k.names[m.Name] = true
		if m.Status == view.StatusAlive || m.Status == view.StatusLeaving {
			k.alive++
			k.addrs[m.AddrPort()] = true
		}
	}
	return k
}

func (k *acquaintances) isAlive(addr netip.AddrPort) bool { return k.addrs[addr] }

// missing tells whether a target is to be looked for. Members that have failed are not: that is what reconnecting is
// for. Of a seed with a name nobody knows before it is resolved.
func (k *acquaintances) missing(t heal.Target) bool {
	if !t.Seed() {
		return !k.names[t.Name]
	}
	host, port, err := splitSeed(t.Addr, k.port)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err != nil || !k.addrs[netip.AddrPortFrom(ip.Unmap(), port)]
}

// probeTries is how many probes a node of our name may miss that is alive; replaceTries how often we make ourselves
// known once we know that it is not.
const (
	probeTries   = 3
	replaceTries = 6
)

// probe finds out whether a node of our name answers at an address. If not, it is ourselves before we moved, and the
// others do not take us in before they know that it is gone: so we present ourselves again until they do.
func (a *Agent) probe(addr netip.AddrPort) {
	a.spawn(func() {
		alive := false
		for range probeTries {
			if alive = a.gossip.Ping(a.cfg.NodeName, addr); alive || a.life.Err() != nil {
				break
			}
		}
		a.core.Post(state.Probed{Addr: addr, Alive: alive})
		if !alive && a.replacing.CompareAndSwap(false, true) {
			a.present()
			a.replacing.Store(false)
		}
	})
}

// present exchanges state with random members for a while.
func (a *Agent) present() {
	for range replaceTries {
		select {
		case <-time.After(max(a.cfg.ReclaimTimeout, time.Second)):
		case <-a.life.Done():
			return
		}
		members := slices.DeleteFunc(slices.Clone(a.view.Load().Members), func(m *view.Member) bool {
			return m.Status != view.StatusAlive || m.Name == a.cfg.NodeName
		})
		if len(members) == 0 {
			continue
		}
		m := members[rand.IntN(len(members))] //nolint:gosec // spreads load, protects nothing
		if err := a.gossip.Rejoin(a.life, m.Name, m.AddrPort().String()); err != nil {
			a.log.Debug("cannot present ourselves", "member", m.Name, "err", err)
		}
	}
}
