package sim

import "time"

// probing is the probe under way; memberlist makes one at a time.
type probing struct {
	seq      uint32
	target   int32
	inc      uint32
	deadline instant
	active   bool
	missed   bool // the next tick has come
	reached  bool // by stream
	expected int  // nacks
	nacks    int
}

// probeTick is memberlist's ticker: a tick that finds a probe under way waits for its end.
func (n *node) probeTick() {
	if n.probing.active {
		n.probing.missed = true
		return
	}
	n.probe()
}

// probe checks the next member.
func (n *node) probe() {
	w, t := n.w, &n.w.cfg.Timing
	n.after(untilNext(w.now, n.probeGrid, t.ProbeInterval), probeTick, 0)
	target := n.nextTarget()
	if target == nobody {
		return
	}
	w.nextProbe++
	interval := t.ProbeInterval * time.Duration(n.health+1)
	n.probing = probing{active: true, seq: w.nextProbe, target: target, inc: n.incs[target], deadline: w.now.plus(interval)}
	p := w.newPacket()
	p.purpose, p.seq, p.target = ping, n.probing.seq, target
	size := w.sizePing(n.id, target)
	if n.conditions[target] == alive {
		n.sendWith(target, p, size)
	} else {
		accusation := w.accuse(suspectMessage, target, n.id, n.incs[target])
		p.msgs = append(p.msgs, accusation)
		w.send(n.id, target, p, size+accusation.size+compoundHead+2*compoundEach)
	}
	n.after(t.ProbeTimeout, probeTimeout, n.probing.seq)
}

// nextTarget walks the list, which is shuffled at its end.
func (n *node) nextTarget() int32 {
	for checked := 0; checked < len(n.list); {
		if n.probeNext >= len(n.list) {
			n.forgetDead()
			n.probeNext = 0
			checked++
			continue
		}
		id := n.list[n.probeNext]
		n.probeNext++
		if id != n.id && !n.conditions[id].gone() {
			return id
		}
		checked++
	}
	return nobody
}

// acked: an answer to a probe of ours, or to one that we made for another.
func (n *node) acked(p *packet) {
	w := n.w
	if r := p.relay; r != nil && p.seq == 0 {
		if !r.acked && w.now <= r.until {
			r.acked = true
			back := w.newPacket()
			back.purpose, back.seq = ack, r.seq
			n.sendWith(r.origin, back, sizeAck-coordinateSize)
		}
		return
	}
	if pr := &n.probing; pr.active && pr.seq == p.seq && w.now <= pr.deadline {
		n.aware(-1)
		n.probed()
	}
}

// probeFor probes a member for another agent.
func (n *node) probeFor(p *packet) {
	w, t := n.w, &n.w.cfg.Timing
	r := &relay{origin: p.from, seq: p.seq, until: w.now.plus(t.ProbeTimeout)}
	q := w.newPacket()
	q.purpose, q.target, q.relay = ping, p.target, r
	n.sendWith(p.target, q, w.sizePing(n.id, p.target))
	n.call(t.ProbeTimeout, func() {
		if !r.acked {
			back := w.newPacket()
			back.purpose, back.seq = nack, r.seq
			n.sendWith(r.origin, back, sizeNack)
		}
	})
}

// probeTimeout: no direct answer yet; others are asked to try, and a stream is tried.
func (n *node) probeTimeout(seq uint32) {
	w, pr := n.w, &n.probing
	if !pr.active || pr.seq != seq {
		return
	}
	target := pr.target
	for _, peer := range n.pick(w.cfg.Timing.IndirectChecks, func(id int32) bool { return id != target && n.other(id) }) {
		p := w.newPacket()
		p.purpose, p.seq, p.target = indirect, seq, target
		n.sendWith(peer, p, w.sizeIndirect(n.id, target))
		pr.expected++
	}
	left := max(pr.deadline.minus(w.now), 0)
	n.ring(target, left, func() {
		if n.probing.seq == seq {
			n.probing.reached = true
		}
	})
	n.after(left, probeEnd, seq)
}

// probeEnd: the time of a probe is over.
func (n *node) probeEnd(seq uint32) {
	pr := &n.probing
	if !pr.active || pr.seq != seq {
		return
	}
	if pr.reached {
		n.aware(-1)
	} else {
		n.aware(n.blame())
		n.heardSuspect(n.w.accuse(suspectMessage, pr.target, n.id, pr.inc))
	}
	n.probed()
}

// probed ends a probe. A tick that was missed meanwhile is made up for at once.
func (n *node) probed() {
	n.probing.active = false
	if n.probing.missed {
		n.probe()
	}
}

// blame is how much of a failed probe is put down to ourselves: as much as nacks are missing.
func (n *node) blame() int {
	pr := &n.probing
	if pr.expected == 0 {
		return 1
	}
	return max(pr.expected-pr.nacks, 0)
}
