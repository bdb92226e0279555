package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/sim/scenario"
	"github.com/seed-645ce708/gossip/agent/internal/view"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// Stage lets a World play the stories of package scenario. All its agents are real state machines.
type Stage struct {
	*World
	left   []bool
	recent [50]delivery // as a ring
	next   int
}

// delivery is a packet that arrived.
type delivery struct {
	at     instant
	to     int32
	packet packet
}

var _ scenario.Cluster = (*Stage)(nil)

// NewStage returns a stage for so many agents. cfg.Nodes and cfg.Machines do not matter.
func NewStage(cfg Config, agents int) *Stage {
	cfg.Nodes, cfg.Machines = agents, -1
	s := &Stage{World: New(cfg), left: make([]bool, agents)}
	s.onArrive = func(at int32, p *packet) {
		d := &s.recent[s.next%len(s.recent)]
		msgs := append(d.packet.msgs[:0], p.msgs...)
		*d = delivery{s.now, at, *p}
		d.packet.msgs = msgs
		s.next++
	}
	return s
}

// Recent lists the packets that arrived last, one a line.
func (s *Stage) Recent() string {
	var b strings.Builder
	for i := range s.recent {
		if d := &s.recent[(s.next+i)%len(s.recent)]; d.at > 0 {
			fmt.Fprintf(&b, "%v %s to %s: %s\n", time.Duration(d.at), s.nodes[d.packet.from].name, s.nodes[d.to].name, s.tell(&d.packet))
		}
	}
	return b.String()
}

func (s *Stage) tell(p *packet) string {
	var parts []string
	switch p.purpose {
	case ping:
		parts = append(parts, "ping")
	case ack:
		parts = append(parts, "ack")
	case indirect:
		parts = append(parts, "ping "+s.nodes[p.target].name)
	case nack:
		parts = append(parts, "nack")
	case carry:
	}
	for _, m := range p.msgs {
		switch m.kind {
		case aliveMessage:
			parts = append(parts, fmt.Sprintf("alive %s/%d", s.nodes[m.subject].name, m.inc))
		case suspectMessage:
			parts = append(parts, fmt.Sprintf("suspect %s/%d by %s", s.nodes[m.subject].name, m.inc, s.nodes[m.from].name))
		case deadMessage:
			parts = append(parts, fmt.Sprintf("dead %s/%d by %s", s.nodes[m.subject].name, m.inc, s.nodes[m.from].name))
		case userMessage:
			parts = append(parts, fmt.Sprintf("%s %+v", m.decoded.Type(), m.decoded))
		}
	}
	return strings.Join(parts, ", ")
}

// Start implements scenario.Cluster.
func (s *Stage) Start(id int, seeds []int) {
	s.left[id] = false
	s.World.Start(id)
	if len(seeds) > 0 {
		s.JoinUntil(id, seeds, time.Second)
	}
}

// Leave lets an agent leave, as soon as it is not frozen.
func (s *Stage) Leave(id int) {
	s.left[id] = true
	s.nodes[id].call(0, func() { s.World.Leave(id) })
}

// Event lets an agent send a user event, as soon as it is not frozen.
func (s *Stage) Event(id int, name string) error {
	if !s.Up(id) {
		return fmt.Errorf("agent %d does not run", id+1)
	}
	s.nodes[id].call(0, func() { _ = s.UserEvent(id, name, nil) }) // a name alone is never too large
	return nil
}

// Running implements scenario.Cluster.
func (s *Stage) Running(id int) bool { return s.Up(id) && !s.left[id] }

// Name returns an agent's name.
func (s *Stage) Name(id int) string { return s.nodes[id].name }

// See implements scenario.Cluster. A world keeps no revisions.
func (s *Stage) See(id int) scenario.Sight {
	n := &s.nodes[id]
	sight := scenario.Sight{Life: int(n.lives)}
	sight.MemberTime, sight.EventTime = n.serf.clocks()
	if m, ok := n.serf.(*machine); ok {
		sight.Members = m.s.Members()
	}
	return sight
}

// Observe implements scenario.Cluster.
func (s *Stage) Observe(log *scenario.Log) {
	s.onEvent = func(at int32, e *wire.UserEvent) { log.Delivered(int(at), e.Name) }
	s.onMember = func(at, subject int32, status view.Status) {
		log.Changed(int(at), int(subject), status, s.Up(int(subject)))
	}
}
