package state_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/state"
	"github.com/seed-645ce708/gossip/agent/internal/view"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// world is a cluster of States with a network between them that loses, repeats and reorders messages, and a
// memberlist that tells everyone about everyone, late but in order.
type world struct {
	t       *testing.T
	rng     *rand.Rand
	now     time.Time
	lossy   bool
	serf    bool // with Serf's rules where ours differ
	nodes   map[string]*peer
	names   []string
	pending []delivery
	history []string
	events  int
}

// peer is one node through its lives.
type peer struct {
	name      string
	s         *state.State // nil while it is down
	clocks    state.Clocks
	delivered map[string]bool // user events in this life
	restored  bool            // this life began with the clocks of an earlier one
	life      int
}

type delivery struct {
	to    string
	life  int
	order string // deliveries of the same order key keep their order; "" for none
	in    state.Input
}

func newWorld(t *testing.T, seed uint64, n int) *world {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 99)), now: epoch, lossy: true, serf: seed%3 == 0, nodes: map[string]*peer{}}
	for i := range n {
		name := fmt.Sprintf("n%d", i)
		w.names = append(w.names, name)
		w.nodes[name] = &peer{name: name}
	}
	return w
}

func (w *world) note(format string, args ...any) {
	w.history = append(w.history, fmt.Sprintf(format, args...))
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("%s\nhistory:\n%s", fmt.Sprintf(format, args...), strings.Join(w.history[max(0, len(w.history)-60):], "\n"))
}

func (w *world) up() []string {
	return slices.DeleteFunc(slices.Clone(w.names), func(name string) bool { return w.nodes[name].s == nil })
}

func (w *world) pick(names []string) *peer { return w.nodes[names[w.rng.IntN(len(names))]] }

// step feeds one input and checks what must always hold.
func (w *world) step(p *peer, in state.Input) {
	if p.s == nil {
		return
	}
	effects, err := p.s.Step(w.now, in)
	if err != nil {
		return // a refusal, such as joining while leaving
	}
	c := p.s.Clocks()
	if c.Member < p.clocks.Member || c.Event < p.clocks.Event || c.Query < p.clocks.Query {
		w.fail("%s: clocks went back from %+v to %+v by %+v", p.name, p.clocks, c, in)
	}
	p.clocks = c
	for _, e := range effects {
		switch e := e.(type) {
		case state.Broadcast:
			for _, to := range w.up() {
				if to != p.name {
					w.send(to, e.Msg)
				}
			}
		case state.Send:
			w.send(e.Node, e.Msg)
		case state.Emit:
			if u, ok := e.Event.(*event.User); ok {
				key := fmt.Sprintf("%d %s %s", u.LTime, u.Name, u.Payload)
				if p.delivered[key] {
					w.fail("%s: event %s delivered twice", p.name, key)
				}
				p.delivered[key] = true
			}
		}
	}
	w.check(p)
}

// check compares the counts and the order of the members with the members themselves.
func (w *world) check(p *peer) {
	var c state.Counts
	members := p.s.Members()
	for i, m := range members {
		switch m.Status {
		case view.StatusAlive:
			c.Alive++
		case view.StatusLeaving:
			c.Leaving++
		case view.StatusLeft:
			c.Left++
		case view.StatusFailed:
			c.Failed++
		}
		if i > 0 && members[i-1].Name >= m.Name {
			w.fail("%s: members out of order", p.name)
		}
	}
	if c != p.s.Counts() {
		w.fail("%s: counts %+v, members make %+v", p.name, p.s.Counts(), c)
	}
}

func (w *world) send(to string, raw []byte) {
	p := w.nodes[to]
	if p == nil || p.s == nil {
		return
	}
	m, err := wire.Decode(raw)
	if err != nil {
		w.fail("sent what cannot be decoded: %v", err)
	}
	copies := 1
	if w.lossy {
		copies = []int{0, 1, 1, 1, 2}[w.rng.IntN(5)]
	}
	for range copies {
		w.pending = append(w.pending, delivery{to: to, life: p.life, in: state.Receive{Msg: m, Raw: raw}})
	}
}

// observe makes memberlist tell an observer about a node.
func (w *world) observe(observer, subject string, in state.Input) {
	w.pending = append(w.pending, delivery{to: observer, life: w.nodes[observer].life, order: observer + " " + subject, in: in})
}

// deliver hands over a random pending input, but never ahead of an earlier one of the same order.
func (w *world) deliver() {
	if len(w.pending) == 0 {
		return
	}
	i := w.rng.IntN(len(w.pending))
	if order := w.pending[i].order; order != "" {
		i = slices.IndexFunc(w.pending, func(d delivery) bool { return d.order == order })
	}
	d := w.pending[i]
	w.pending = slices.Delete(w.pending, i, i+1)
	if p := w.nodes[d.to]; p.life == d.life && p.s != nil {
		w.step(p, d.in)
	}
}

func (w *world) settle() {
	for len(w.pending) > 0 {
		w.deliver()
	}
}

// pushPull exchanges full states by their bytes.
func (w *world) pushPull(a, b *peer) {
	first, second := wire.Encode(a.s.LocalState()), wire.Encode(b.s.LocalState())
	for _, x := range []struct {
		to  *peer
		raw []byte
	}{{b, first}, {a, second}} {
		pp, err := wire.DecodePushPull(x.raw)
		if err != nil {
			w.fail("push/pull: %v", err)
		}
		w.step(x.to, state.RemoteState{State: pp})
	}
}

func (w *world) start(p *peer) {
	others := w.up()
	cfg := state.DefaultConfig()
	cfg.Rand = rand.New(rand.NewPCG(w.rng.Uint64(), 1))
	if !w.serf {
		cfg.Probation = 30 * time.Second
	}
	p.s = state.New(cfg, node(p.name))
	p.life++
	old := p.clocks
	p.clocks, p.delivered, p.restored = state.Clocks{}, map[string]bool{}, false
	if old.Member > 0 && w.rng.IntN(2) == 0 {
		p.restored = true
		w.step(p, state.Restore{Member: old.Member - 1, Event: old.Event - 1, Query: old.Query - 1})
	}
	w.note("%s starts, restored %v", p.name, p.restored)
	w.step(p, state.NodeJoin{Node: node(p.name)})
	if len(others) == 0 {
		return
	}
	// memberlist merges the peer's nodes before it hands over the user state.
	seed := w.pick(others)
	for _, o := range others {
		w.step(p, state.NodeJoin{Node: node(o)})
		w.observe(o, p.name, state.NodeJoin{Node: node(p.name)})
	}
	w.pushPull(p, seed)
	w.step(p, state.Joined{})
}

func (w *world) stop(p *peer, gracefully bool) {
	w.note("%s stops, gracefully %v", p.name, gracefully)
	if gracefully {
		w.step(p, state.LeaveBegin{})
		for range 30 {
			w.deliver()
		}
	}
	p.s = nil
	for _, o := range w.up() {
		w.observe(o, p.name, state.NodeLeave{Node: node(p.name)})
	}
}

func (w *world) act() {
	up := w.up()
	var down []string
	for _, name := range w.names {
		if w.nodes[name].s == nil {
			down = append(down, name)
		}
	}
	switch n := w.rng.IntN(100); {
	case n < 70:
		w.deliver()
	case n < 80:
		w.events++
		p := w.pick(up)
		w.note("%s sends event %d", p.name, w.events)
		w.step(p, state.UserEvent{Name: fmt.Sprintf("e%d", w.rng.IntN(3)), Payload: fmt.Append(nil, w.events)})
	case n < 84:
		w.step(w.pick(up), state.Query{Name: "q", WantAck: true, RelayFactor: 1})
	case n < 88:
		a, b := w.pick(up), w.pick(up)
		if a != b {
			w.note("push/pull %s %s", a.name, b.name)
			w.pushPull(a, b)
		}
	case n < 91:
		p, name := w.pick(up), w.names[w.rng.IntN(len(w.names))]
		w.note("%s forces %s to leave", p.name, name)
		w.step(p, state.ForceLeave{Name: name})
	case n < 94 && len(down) > 0:
		w.start(w.pick(down))
	case n < 96 && len(up) > 2:
		w.stop(w.pick(up), w.rng.IntN(2) == 0)
	default:
		w.now = w.now.Add(time.Duration(w.rng.IntN(2000)) * time.Millisecond)
		w.step(w.pick(up), state.Tick{})
	}
}

// repair lets everyone exchange states with everyone, with a network that loses nothing.
func (w *world) repair() {
	w.lossy = false
	w.settle()
	up := w.up()
	for range 4 {
		w.now = w.now.Add(time.Minute)
		for _, name := range up {
			w.step(w.nodes[name], state.Tick{})
		}
		w.settle()
		for _, a := range up {
			for _, b := range up {
				if a != b {
					w.pushPull(w.nodes[a], w.nodes[b])
					w.settle()
				}
			}
		}
	}
}

func (w *world) agree() {
	up := w.up()
	for _, a := range up {
		for _, m := range w.nodes[a].s.Members() {
			isUp := w.nodes[m.Name].s != nil
			if isUp != (m.Status == view.StatusAlive) {
				w.fail("%s sees %s as %s, though it is up: %v", a, m.Name, m.Status, isUp)
			}
			for _, b := range up {
				for _, o := range w.nodes[b].s.Members() {
					if o.Name == m.Name && o.Status != m.Status {
						w.fail("%s is %s to %s, and %s to %s", m.Name, m.Status, a, o.Status, b)
					}
				}
			}
		}
		for _, name := range up {
			if !slices.ContainsFunc(w.nodes[a].s.Members(), func(m *view.Member) bool { return m.Name == name }) {
				w.fail("%s does not know %s", a, name)
			}
		}
	}
	// Events: whoever has no earlier life that made it ignore some has seen the same as the others.
	var first *peer
	for _, name := range up {
		p := w.nodes[name]
		switch {
		case p.restored:
		case first == nil:
			first = p
		case !maps.Equal(first.delivered, p.delivered):
			w.fail("%s and %s saw different events:\n%v\n%v", first.name, p.name, first.delivered, p.delivered)
		}
	}
}

// Whatever happens in whatever order, clocks never go back, no event is delivered twice, and in the end all
// that are up agree on everyone.
func TestConvergence(t *testing.T) {
	t.Parallel()
	seeds := 150
	if testing.Short() {
		seeds = 30
	}
	for seed := range seeds {
		w := newWorld(t, uint64(seed), 3+seed%5)
		w.note("seed %d", seed)
		for _, name := range w.names {
			w.start(w.nodes[name])
		}
		for range 400 {
			w.act()
		}
		w.repair()
		w.agree()
	}
}
