package decide

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/seed-645ce708/gossip/agent/guard"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/debounce"
	"github.com/seed-645ce708/gossip/lbsync/internal/desired"
	"github.com/seed-645ce708/gossip/lbsync/internal/instance"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
)

// service is one service's present.
type service struct {
	cfg       config.Service
	rules     instance.Rules
	instances map[string]*tracked
	set       pool.Service // made of instances
	gen       uint64       // of set
	known     bool
	unsure    string
	gate      debounce.Gate
	window    guard.Window
	heldSince map[string]time.Time
}

// tracked is an instance and the generation with which it came into its state.
type tracked struct {
	instance.Instance
	gen uint64
}

func newService(cfg config.Service, in Initial) *service {
	g := cfg.Guard
	s := &service{cfg: cfg, known: in.Known, unsure: in.Unsure, gen: 1, instances: map[string]*tracked{},
		rules:  instance.Rules{FailedGrace: g.FailedGrace, DrainTimeout: cfg.Drain.Timeout, Flap: instance.Flap(g.Flap)},
		window: guard.Window{Length: g.Window, Ratio: g.MaxRemoval}, heldSince: map[string]time.Time{}}
	s.window.Resume(in.Last.Window)
	for _, i := range in.Last.Instances {
		s.instances[i.Server.Name] = &tracked{i, s.gen}
	}
	if g.AllowEmpty {
		s.unsure = ""
	}
	s.set = s.build("")
	return s
}

func (s *service) step(at time.Time, view View, now bool) (Status, time.Time) {
	want := desired.Evaluate(s.cfg.Spec, view.Members)
	over, facts := view.Overrides[s.cfg.Name], view.Facts[s.cfg.Name]
	st := Status{Service: s.set, Gen: s.gen, Before: s.set, Known: s.known, Refused: want.Rejected}
	if !s.known && len(want.Service.Servers) == 0 && view.Distrust == "" && s.unsure != "" {
		st.Waiting = "no member serves it, and " + s.unsure
		return st, time.Time{}
	}
	s.hear(at, want, over, view.Distrust == "")
	verdict := s.judge(at, view, over)
	if verdict.Wait {
		st.Waiting = verdict.Reason
		return st, view.Until
	}
	st.Held = verdict.Held
	if verdict.releasable() {
		st.HeldSet = SetHash(st.Held)
	}

	next := s.plan(at, verdict, want, facts)
	st.report(next)
	due, gathers := s.gate.Due(at, debounce.Waits(s.cfg.Wait), next.kinds())
	if !gathers {
		s.gate.Reset()
	}
	if gathers && s.known && !now && at.Before(due) {
		next.await(at)
		next = next.free() // only what no balancer notices
		st.Added, st.Updated, st.Removed = nil, nil, nil
		st.Pending, st.Due = true, due
	} else if gathers || !s.known {
		if st.Caused = s.gate.First(); st.Caused.IsZero() {
			st.Caused = at
		}
		s.gate.Reset()
		s.window.Spend(at, verdict.size, verdict.Failed)
		st.AckSpent = verdict.acked
	}
	s.commit(at, next, &st, verdict.Reason)
	return st, s.wake(at, view, st)
}

// hear tells every instance what its member asks for.
func (s *service) hear(at time.Time, want desired.Result, over Overrides, trusted bool) {
	for _, srv := range want.Service.Servers {
		i := s.instances[srv.Name]
		if i == nil {
			i = &tracked{Instance: instance.Instance{Server: srv, Since: at}}
			s.instances[srv.Name] = i
		}
		ask := instance.Wants
		if srv.Drain || over.Drain[srv.Name] {
			ask = instance.Drains
		}
		i.Hear(at, ask, s.rules)
	}
	for name, i := range s.instances {
		if _, ok := want.Service.Server(name); ok {
			continue
		}
		ask := instance.Vanished
		switch want.Others[name] {
		case desired.Alive:
			ask = instance.Withdrew
		case desired.Left:
			ask = instance.Left
		case desired.Failed:
			ask = instance.Failed
		}
		if ask == instance.Vanished && i.Ask == instance.Left {
			ask = instance.Left // it was reaped
		}
		i.Hear(at, ask, s.rules)
		i.Trust(at, trusted)
	}
}

// verdict is the guards' decision, with what led to it.
type verdict struct {
	guard.Decision
	size  int // of the set before
	acked bool
}

// releasable tells whether an ack would let anything go: nothing while an operator holds, and never the last server.
func (v verdict) releasable() bool {
	byOperator := func(h guard.Held) bool { return h.Rule == guard.RuleOperator }
	return len(v.Held) > 0 && len(v.Apply) > 1 && !slices.ContainsFunc(v.Held, byOperator)
}

// judge asks the guards who may have traffic.
func (s *service) judge(at time.Time, view View, over Overrides) verdict {
	r := guard.Request{Known: s.known, Distrust: view.Distrust, Left: map[string]bool{},
		Policy: guard.Policy{Min: s.cfg.Guard.MinServers, AllowEmpty: s.cfg.Guard.AllowEmpty}}
	for name, i := range s.instances {
		if i.Traffic() {
			r.Current = append(r.Current, name)
		}
		if i.Wanted(at, s.rules) {
			r.Wanted = append(r.Wanted, name)
		}
		if i.Ask.Announced() {
			r.Left[name] = true
		}
	}
	v := verdict{size: len(r.Current)}
	r.Budget = s.window.Budget(at, v.size)
	v.Decision = guard.Decide(r)
	if over.Hold != "" {
		return v.hold(over.Hold)
	}
	s.age(at, v.Held)
	var release []string // held ones that may go after all, but never the last
	if over.Ack != "" && len(v.Held) > 0 && SetHash(v.Held) == over.Ack {
		v.acked = true
		for _, h := range v.Held {
			release = append(release, h.Name)
		}
	} else if limit := s.cfg.Guard.ApplyAfter; limit > 0 {
		for _, h := range v.Held {
			if !at.Before(s.heldSince[h.Name].Add(limit)) {
				release = append(release, h.Name)
			}
		}
	}
	if len(release) == 0 {
		return v
	}
	for _, name := range release {
		r.Left[name] = true
	}
	r.Min, r.AllowEmpty = 1, s.cfg.Guard.AllowEmpty && !slices.ContainsFunc(release, func(name string) bool { return !s.instances[name].Ask.Announced() })
	v.Decision = guard.Decide(r)
	return v
}

// age remembers since when each removal is held.
func (s *service) age(at time.Time, held []guard.Held) {
	since := make(map[string]time.Time, len(held))
	for _, h := range held {
		first, ok := s.heldSince[h.Name]
		if !ok {
			first = at
		}
		since[h.Name] = first
	}
	s.heldSince = since
}

// hold turns every removal into a held one.
func (v verdict) hold(why string) verdict {
	for _, name := range v.Removed {
		v.Held = append(v.Held, guard.Held{Name: name, Reason: why, Rule: guard.RuleOperator})
		v.Apply = append(v.Apply, name)
	}
	slices.SortFunc(v.Held, func(a, b guard.Held) int { return strings.Compare(a.Name, b.Name) })
	slices.Sort(v.Apply)
	if len(v.Held) > 0 {
		v.Reason = why
	}
	v.Removed, v.Failed = nil, 0
	return v
}

// move is what happens to an instance. A move without a kind is one that no balancer notices.
type move struct {
	*tracked
	to     pool.State
	server desired.Server
	kind   debounce.Kind
	notice bool
	why    string // of a removal
	// sessions are those that the balancers count; -1 if they do not.
	sessions int
}

type moves []move

// plan works out what happens to each instance.
func (s *service) plan(at time.Time, v verdict, want desired.Result, facts Facts) moves {
	keep := make(map[string]bool, len(v.Apply))
	for _, name := range v.Apply {
		keep[name] = true
	}
	var out moves
	for _, name := range slices.Sorted(maps.Keys(s.instances)) {
		i := s.instances[name]
		fact := facts.of(name, i.gen)
		m := move{tracked: i, server: i.Server, to: i.Next(at, keep[name], fact, s.rules), sessions: fact.Sessions}
		if srv, ok := want.Service.Server(name); ok && i.Ask == instance.Wants {
			srv.Drain = false
			m.server = srv
		}
		traffic := m.to == pool.Probation || m.to == pool.Active || m.to == pool.Suspect
		switch {
		case traffic && !i.Traffic(), traffic && !m.server.Equal(i.Server):
			m.notice, m.kind = true, debounce.Add
		case !traffic && i.Traffic() && i.Ask.Announced(), i.State == pool.Draining && m.to != pool.Draining:
			m.notice, m.kind = true, debounce.Leave
		case !traffic && i.Traffic():
			m.notice, m.kind = true, debounce.Fail
		}
		if !traffic && i.Traffic() {
			m.why = why(i.Ask)
		}
		if m.to != i.State || m.notice {
			out = append(out, m)
		} else if !traffic && !i.Traffic() && i.State != pool.Draining && !m.server.Equal(i.Server) {
			i.Server = m.server // nobody has it
		}
	}
	return out
}

func why(ask instance.Ask) string {
	switch ask {
	case instance.Left:
		return WhyLeft
	case instance.Drains:
		return WhyDrain
	case instance.Failed:
		return WhyFailed
	case instance.Withdrew:
		return WhyWithdrew
	case instance.Wants:
		return WhyFlaps
	default:
		return WhyGone
	}
}

// free returns the moves that no balancer notices.
func (m moves) free() moves {
	return slices.DeleteFunc(m, func(m move) bool { return m.notice })
}

// await marks those that are about to be added for the first time.
func (m moves) await(at time.Time) {
	for _, m := range m {
		if m.notice && (m.State == instance.Out || m.State == pool.Suppressed) {
			m.Enter(at, pool.Pending)
		}
	}
}

// kinds describes the moves for the debounce, by kind.
func (m moves) kinds() [3]string {
	var out [3]strings.Builder
	for _, m := range m {
		if m.notice {
			fmt.Fprintf(&out[m.kind], "%s %s %s %d %t;", m.server.Name, m.to, m.server.HostPort(), m.server.Weight, m.server.Backup)
		}
	}
	return [3]string{out[0].String(), out[1].String(), out[2].String()}
}

// report says what the moves mean for the traffic.
func (st *Status) report(next moves) {
	for _, m := range next {
		switch {
		case !m.notice:
		case m.why != "":
			st.Removed = append(st.Removed, Removed{m.server.Name, m.why})
		case m.kind == debounce.Add && m.Traffic():
			st.Updated = append(st.Updated, m.server.Name)
		case m.kind == debounce.Add:
			st.Added = append(st.Added, m.server.Name)
		}
	}
}

// commit makes the moves.
func (s *service) commit(at time.Time, next moves, st *Status, holdReason string) {
	for _, m := range next {
		if m.notice {
			st.Changed = true
		}
		if m.State == pool.Draining && m.to == pool.Removing && !m.Ask.Dead() && m.sessions > 0 {
			st.Cut++
		}
		m.Server = m.server
		m.Enter(at, m.to)
		m.gen = s.gen + 1
	}
	st.Moved = len(next) > 0 || !s.known
	st.Changed = st.Changed || !s.known
	for name, i := range s.instances {
		if i.Forgettable(at, s.rules) {
			delete(s.instances, name)
		}
		if i.State == pool.Suppressed {
			st.Suppress++
		}
	}
	s.known = true
	if st.Moved || s.set.HoldReason != holdReason {
		s.gen++
		s.set = s.build(holdReason)
	}
	st.Service, st.Gen, st.Known = s.set, s.gen, true
}

// build makes the set of the instances.
func (s *service) build(holdReason string) pool.Service {
	set := pool.Service{Name: s.cfg.Name, Force: s.cfg.Drain.Force, HoldReason: holdReason}
	for _, i := range s.list() {
		if i.State.In() {
			srv := i.Server
			set.Servers = append(set.Servers, pool.Server{Name: srv.Name, Addr: srv.Addr, Port: srv.Port, Weight: srv.Weight,
				Backup: srv.Backup, State: i.State, Tags: srv.Tags})
		}
	}
	pool.AssignIDs(set.Servers)
	return set
}

func (s *service) list() []instance.Instance {
	out := make([]instance.Instance, 0, len(s.instances))
	for _, i := range s.instances {
		out = append(out, i.Instance)
	}
	slices.SortFunc(out, func(a, b instance.Instance) int { return strings.Compare(a.Server.Name, b.Server.Name) })
	return out
}

// wake returns when time alone changes something; zero means never.
func (s *service) wake(at time.Time, view View, st Status) time.Time {
	next := st.Due
	for _, i := range s.instances {
		next = earlier(next, i.Deadline(at, s.rules))
	}
	if len(st.Held) > 0 {
		next = earlier(next, view.Until)
		if ends := s.window.Ends(); ends.After(at) {
			next = earlier(next, ends)
		}
		for _, first := range s.heldSince {
			if limit := s.cfg.Guard.ApplyAfter; limit > 0 {
				if end := first.Add(limit); end.After(at) {
					next = earlier(next, end)
				}
			}
		}
	}
	return next
}

// SetHash names a set of held removals, whatever the reasons, so that an operator can allow exactly these.
func SetHash(held []guard.Held) string {
	h := sha256.New()
	for _, one := range held {
		_, _ = fmt.Fprintln(h, one.Name) // a hash takes everything
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}
