package sim

import (
	"math"
	"slices"
	"time"
)

// condition is what memberlist holds of a member.
type condition uint8

const (
	unknown condition = iota
	alive
	suspect
	dead
	left
)

func (c condition) gone() bool { return c == dead || c == left }

// node is one agent and its host. Tables are indexed by the numbers of members.
type node struct {
	w    *World
	id   int32
	name string

	// Of the host and its place in the network; these outlive the agent.
	group int32
	loss  float64
	lives uint32

	// Of the agent.
	up          bool
	frozen      bool
	leaving     bool   // memberlist was told to leave
	onLeft      func() // when that is out
	life        uint32
	held        []entry
	heldPackets int

	inc        uint32
	health     int
	conditions []condition
	incs       []uint32
	list       []int32 // of members in the order of probes
	probeNext  int
	changed    map[int32]instant // when a member became suspect or dead
	suspicions map[int32]*suspicion
	probing    probing
	probeGrid  instant
	gossipGrid instant
	gossiping  bool // a gossip tick is on the agenda
	tickAt     instant

	own    queue
	queues [3]queue
	serf   serf
	news   int // how many members have come and gone

	courier   courier
	payloadAt instant // when an answer to a probe last carried a coordinate
}

// suspicion is memberlist's timer that runs faster the more members confirm it.
type suspicion struct {
	start    instant
	due      instant
	min, max time.Duration
	k        int
	from     []int32 // who suspects; the first does not count as a confirmation
}

// start begins a new life that knows only itself.
func (n *node) start() {
	n.reset()
	n.tell(n.w.alive(n.id, n.inc), nil)
	n.schedule()
}

// reset is start without anything on the agenda.
func (n *node) reset() {
	w := n.w
	n.lives++
	n.life = n.lives
	n.up, n.frozen, n.leaving = true, false, false
	n.held, n.heldPackets = nil, 0
	n.inc, n.health = 1, 0
	if n.conditions == nil {
		n.conditions, n.incs = make([]condition, len(w.nodes)), make([]uint32, len(w.nodes))
	}
	clear(n.conditions)
	clear(n.incs)
	n.list = append(n.list[:0], n.id)
	n.probeNext, n.probing = 0, probing{}
	n.changed, n.suspicions = map[int32]instant{}, map[int32]*suspicion{}
	n.own, n.queues = queue{}, [3]queue{}
	n.gossiping, n.tickAt = false, 0
	n.courier, n.payloadAt = newCourier(), 0
	n.serf = w.newSerf(n)
	n.conditions[n.id], n.incs[n.id] = alive, n.inc
	n.serf.join(n.id)
}

// schedule starts the periodic work. memberlist's tickers run from the start of the agent, its first push/pull
// comes after a random time and an interval.
func (n *node) schedule() {
	t := &n.w.cfg.Timing
	n.probeGrid, n.gossipGrid = n.w.now, n.w.now
	n.after(t.ProbeInterval, probeTick, 0)
	n.after(n.random(t.PushPullInterval)+n.pushPullInterval(), pushPullTick, 0)
	n.wake()
}

// random returns a time below d.
func (n *node) random(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(n.w.rand.Int64N(int64(d)))
}

// stop ends the agent at once.
func (n *node) stop() {
	n.up, n.frozen = false, false
	n.held, n.heldPackets = nil, 0
	n.changed, n.suspicions, n.own, n.queues = nil, nil, queue{}, [3]queue{}
}

// tell queues a message of memberlist's.
func (n *node) tell(m *message, done func()) {
	n.own.addNamed(m, done)
	n.gossipSoon()
}

// pick chooses up to k members that ok accepts, at random.
func (n *node) pick(k int, ok func(int32) bool) []int32 {
	r := n.w.rand
	picked := n.w.picked[:0]
	if len(n.list) < 3*k {
		n.w.batch = append(n.w.batch[:0], n.list...)
		r.Shuffle(len(n.w.batch), func(i, j int) { n.w.batch[i], n.w.batch[j] = n.w.batch[j], n.w.batch[i] })
		for _, id := range n.w.batch {
			if len(picked) < k && ok(id) {
				picked = append(picked, id)
			}
		}
	} else {
		for i := 0; i < 3*len(n.list) && len(picked) < k; i++ {
			id := n.list[r.IntN(len(n.list))]
			if ok(id) && !slices.Contains(picked, id) {
				picked = append(picked, id)
			}
		}
	}
	n.w.picked = picked
	return picked
}

// other accepts live members besides this one.
func (n *node) other(id int32) bool { return id != n.id && n.conditions[id] == alive }

// gossipSoon makes sure that the next gossip tick happens. Ticks with nothing to say are left out.
func (n *node) gossipSoon() {
	if n.gossiping {
		return
	}
	n.gossiping = true
	t := n.w.cfg.Timing.GossipInterval
	n.after(untilNext(n.w.now, n.gossipGrid, t), gossipTick, 0)
}

// untilNext is how long it is to the next tick of a ticker that started at grid.
func untilNext(now, grid instant, interval time.Duration) time.Duration {
	return interval - now.minus(grid)%interval
}

// gossip is memberlist's tick of the same name.
func (n *node) gossip() {
	w, t := n.w, &n.w.cfg.Timing
	n.gossiping = false
	for _, to := range n.pick(t.GossipNodes, func(id int32) bool {
		switch n.conditions[id] {
		case alive, suspect:
			return id != n.id
		case dead:
			return w.now.minus(n.changed[id]) <= t.GossipToTheDead
		default:
			return false
		}
	}) {
		w.scratch = n.broadcasts(w.scratch[:0], maxPacket-compoundHead)
		if len(w.scratch) == 0 {
			return
		}
		n.sendMessages(to, w.scratch)
	}
	if n.own.count+n.queues[0].count+n.queues[1].count+n.queues[2].count > 0 {
		n.gossipSoon()
	}
}

// refute makes known that we live.
func (n *node) refute(accused uint32) {
	n.inc++
	if accused >= n.inc {
		n.inc = accused + 1
	}
	n.incs[n.id] = n.inc
	n.aware(1)
	n.tell(n.w.alive(n.id, n.inc), nil)
}

func (n *node) aware(delta int) {
	n.health = min(max(n.health+delta, 0), n.w.cfg.Timing.AwarenessMax-1)
}

// heardAlive: a member lives.
func (n *node) heardAlive(m *message) {
	id := m.subject
	if id == n.id {
		// Of our own news only those of an earlier life are worth an answer.
		if !n.leaving && m.inc > n.inc {
			n.refute(m.inc)
		}
		return
	}
	was := n.conditions[id]
	if was == unknown {
		at := 0
		if len(n.list) > 0 {
			at = n.w.rand.IntN(len(n.list))
		}
		n.list = append(n.list, id)
		n.list[at], n.list[len(n.list)-1] = n.list[len(n.list)-1], n.list[at]
	} else if m.inc <= n.incs[id] {
		return
	}
	n.conditions[id], n.incs[id] = alive, m.inc
	if was != alive {
		delete(n.suspicions, id)
		delete(n.changed, id)
	}
	n.tell(m, nil)
	if was == unknown || was.gone() {
		n.news++
		n.courierSoon(0)
		n.serf.join(id)
	}
}

// heardSuspect: somebody had no answer from a member.
func (n *node) heardSuspect(m *message) {
	id := m.subject
	c := n.conditions[id]
	if c == unknown || m.inc < n.incs[id] {
		return
	}
	if s := n.suspicions[id]; s != nil {
		if s.confirm(m.from) {
			n.tell(m, nil)
			s.hurry(n, id)
		}
		return
	}
	if c != alive {
		return
	}
	if id == n.id {
		n.refute(m.inc)
		n.accused(m.from)
		return
	}
	n.tell(m, nil)
	n.conditions[id], n.incs[id] = suspect, m.inc
	n.changed[id] = n.w.now
	t := &n.w.cfg.Timing
	k := t.SuspicionMult - 2
	if len(n.list)-2 < k {
		k = 0
	}
	scale := math.Max(1, math.Log10(math.Max(1, float64(len(n.list)))))
	least := time.Duration(t.SuspicionMult) * time.Duration(scale*1000) * t.ProbeInterval / 1000
	s := &suspicion{start: n.w.now, min: least, max: least * time.Duration(t.SuspicionMaxMult), k: k, from: []int32{m.from}}
	timeout := s.max
	if k < 1 {
		timeout = s.min
	}
	n.suspicions[id] = s
	s.due = n.after(timeout, suspicionEnd, uint32(id))
}

// confirm reports whether the suspicion of another member is news.
func (s *suspicion) confirm(from int32) bool {
	if len(s.from)-1 >= s.k || slices.Contains(s.from, from) {
		return false
	}
	s.from = append(s.from, from)
	return true
}

// hurry moves the end of the suspicion to where the confirmations put it.
func (s *suspicion) hurry(n *node, id int32) {
	frac := math.Log(float64(len(s.from))) / math.Log(float64(s.k)+1)
	raw := s.max.Seconds() - frac*(s.max.Seconds()-s.min.Seconds())
	timeout := max(time.Duration(math.Floor(1000*raw))*time.Millisecond, s.min)
	s.due = n.after(max(timeout-n.w.now.minus(s.start), 0), suspicionEnd, uint32(id))
}

// suspicionEnd: nobody refuted in time. Entries that were overtaken by confirmations do not count.
func (n *node) suspicionEnd(id int32) {
	if s := n.suspicions[id]; s == nil || n.w.now < s.due || n.conditions[id] != suspect {
		return
	}
	n.heardDead(n.w.accuse(deadMessage, id, n.id, n.incs[id]))
}

// heardDead: a member is dead, or, if it says so itself, has left.
func (n *node) heardDead(m *message) {
	id := m.subject
	c := n.conditions[id]
	if c == unknown || m.inc < n.incs[id] {
		return
	}
	delete(n.suspicions, id)
	if c.gone() {
		return
	}
	if id == n.id && !n.leaving {
		n.refute(m.inc)
		return
	}
	n.tell(m, n.leaveSent(id))
	n.conditions[id], n.incs[id] = dead, m.inc
	if m.from == id {
		n.conditions[id] = left
	}
	n.changed[id] = n.w.now
	n.news++
	n.courierSoon(0)
	n.serf.leave(id)
}

// forgetDead is what memberlist does between two rounds of probes: forget who has been dead for long, and shuffle.
func (n *node) forgetDead() {
	now, keep := n.w.now, n.w.cfg.Timing.GossipToTheDead
	n.list = slices.DeleteFunc(n.list, func(id int32) bool {
		if !n.conditions[id].gone() || now.minus(n.changed[id]) <= keep {
			return false
		}
		n.conditions[id], n.incs[id] = unknown, 0
		delete(n.changed, id)
		return true
	})
	n.w.rand.Shuffle(len(n.list), func(i, j int) { n.list[i], n.list[j] = n.list[j], n.list[i] })
}
