package state

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/lamport"
	"github.com/seed-645ce708/gossip/agent/internal/view"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// Counts are numbers of members by status.
type Counts struct{ Alive, Leaving, Left, Failed int }

// Total is the number of members in any status.
func (c Counts) Total() int { return c.Alive + c.Leaving + c.Left + c.Failed }

// Live is the number of members that memberlist sees alive.
func (c Counts) Live() int { return c.Alive + c.Leaving }

func (c *Counts) add(status view.Status, n int) {
	switch status {
	case view.StatusAlive:
		c.Alive += n
	case view.StatusLeaving:
		c.Leaving += n
	case view.StatusLeft:
		c.Left += n
	case view.StatusFailed:
		c.Failed += n
	}
}

// member is what only the State knows of a member, beside what it publishes.
type member struct {
	pub        *view.Member // replaced, never modified
	meta       []byte       // from which pub.Tags came
	statusTime lamport.Time // of the newest intent
	leaveTime  time.Time    // when memberlist saw it go
	// When it became leaving; means nothing in another status.
	leavingSince time.Time
	// It left, and announced later that it is here; means nothing in another status.
	rejoined bool
}

// table is all members, by name and in order. The ordered slice is copied before it changes if it was
// published, so that a change costs one slice of pointers at most.
type table struct {
	byName    map[string]*member
	sorted    []*view.Member
	published bool // readers hold sorted
	changed   bool // since the last publication
	counts    Counts
}

func newTable() table { return table{byName: make(map[string]*member)} }

func (t *table) find(name string) (int, bool) {
	return slices.BinarySearchFunc(t.sorted, name, func(m *view.Member, name string) int {
		return strings.Compare(m.Name, name)
	})
}

func (t *table) own() {
	t.changed = true
	if t.published {
		// Room for more, since members come in crowds.
		t.sorted = append(make([]*view.Member, 0, len(t.sorted)+len(t.sorted)/8+8), t.sorted...)
		t.published = false
	}
}

func (t *table) insert(m *member) {
	t.own()
	i, _ := t.find(m.pub.Name)
	t.sorted = slices.Insert(t.sorted, i, m.pub)
	t.byName[m.pub.Name] = m
	t.counts.add(m.pub.Status, 1)
}

func (t *table) replace(m *member, pub *view.Member) {
	t.own()
	i, _ := t.find(pub.Name)
	t.sorted[i] = pub
	t.counts.add(m.pub.Status, -1)
	t.counts.add(pub.Status, 1)
	m.pub = pub
}

func (t *table) setStatus(m *member, status view.Status) {
	pub := *m.pub
	pub.Status = status
	t.replace(m, &pub)
}

func (t *table) remove(m *member) {
	t.own()
	i, _ := t.find(m.pub.Name)
	t.sorted = slices.Delete(t.sorted, i, i+1)
	delete(t.byName, m.pub.Name)
	t.counts.add(m.pub.Status, -1)
}

// Members returns all members of every status, sorted by name. The slice and the members are immutable; they
// are the same as last time if nothing changed.
func (s *State) Members() []*view.Member {
	s.members.changed = false
	return s.members.publish()
}

func (t *table) publish() []*view.Member {
	t.published = true
	return slices.Clip(t.sorted)
}

// Changed reports whether members changed since Members was last called.
func (s *State) Changed() bool { return s.members.changed }

// Counts returns numbers of members by status.
func (s *State) Counts() Counts { return s.members.counts }

// Local returns the local member.
func (s *State) Local() *view.Member { return s.members.byName[s.name].pub }

// othersAlive reports whether there is anyone to tell something.
func (s *State) othersAlive() bool {
	n := s.members.counts.Alive
	if s.Local().Status == view.StatusAlive {
		n--
	}
	return n > 0
}

// describe makes the member that a node is, with the given status. Tags are shared with the old member if
// the meta is the same.
func (s *State) describe(n Node, status view.Status, old *member) *view.Member {
	pub := &view.Member{
		Name: n.Name, Addr: n.Addr, Port: n.Port, Status: status,
		ProtocolMin: n.ProtocolMin, ProtocolMax: n.ProtocolMax, ProtocolCur: n.ProtocolCur,
		DelegateMin: n.DelegateMin, DelegateMax: n.DelegateMax, DelegateCur: n.DelegateCur,
	}
	if old != nil && bytes.Equal(old.meta, n.Meta) {
		pub.Tags = old.pub.Tags
		return pub
	}
	tags, err := wire.DecodeTags(n.Meta)
	if err != nil {
		s.logf(Error, "Failed to decode tags: %v", err)
	}
	pub.Tags = tags
	return pub
}

// addMember creates an alive member.
func (s *State) addMember(n Node) *member {
	m := &member{pub: s.describe(n, view.StatusAlive, nil), meta: n.Meta}
	s.members.insert(m)
	return m
}

func (s *State) refresh(m *member, n Node, status view.Status) {
	pub := s.describe(n, status, m)
	m.meta = n.Meta
	s.members.replace(m, pub)
}

// nodeJoin: memberlist sees the node alive.
func (s *State) nodeJoin(n Node) {
	if s.hearsay(n.Name) {
		s.wait(n)
		return
	}
	delete(s.visitors, n.Name)
	s.welcome(n)
}

// welcome makes the node an alive member (reference 2.3).
func (s *State) welcome(n Node) {
	delete(s.graves, n.Name)
	m, known := s.members.byName[n.Name]
	if known {
		if m.pub.Status == view.StatusFailed && s.now.Sub(m.leaveTime) < s.cfg.FlapTimeout {
			s.count("serf.member.flap", "")
		}
		m.leaveTime = time.Time{}
		s.refresh(m, n, view.StatusAlive)
	} else {
		m = s.addMember(n)
		s.applyIntent(m)
	}
	// Whatever made the member leave is over: it is pruned only if it goes again.
	if m.pub.Status == view.StatusAlive {
		delete(s.prunes, n.Name)
	}
	s.count("serf.member.join", "")
	s.logf(Info, "EventMemberJoin: %s %s", n.Name, n.Addr.Unmap())
	s.emitMember(event.TypeMemberJoin, m)
}

// nodeUpdate: the node's address or meta changed (reference 2.3).
func (s *State) nodeUpdate(n Node) {
	if v, waits := s.visitors[n.Name]; waits {
		v.node = n
		return
	}
	m, known := s.members.byName[n.Name]
	if !known {
		return
	}
	s.refresh(m, n, m.pub.Status)
	s.count("serf.member.update", "")
	s.logf(Info, "EventMemberUpdate: %s", n.Name)
	s.emitMember(event.TypeMemberUpdate, m)
}

// nodeLeave: memberlist sees the node dead or gone, which is a failure unless it said that it would leave
// (reference 2.3).
func (s *State) nodeLeave(n Node) {
	if _, waits := s.visitors[n.Name]; waits {
		delete(s.visitors, n.Name) // it was only said to be alive
		return
	}
	m, known := s.members.byName[n.Name]
	if !known {
		return
	}
	switch m.pub.Status {
	case view.StatusLeaving:
		m.leaveTime, m.rejoined = s.now, false
		s.members.setStatus(m, view.StatusLeft)
		s.count("serf.member.left", "")
		s.logf(Info, "EventMemberLeave: %s %s", n.Name, m.pub.Addr.Unmap())
		s.emitMember(event.TypeMemberLeave, m)
	case view.StatusAlive:
		m.leaveTime = s.now
		s.members.setStatus(m, view.StatusFailed)
		s.count("serf.member.failed", "")
		s.logf(Info, "EventMemberFailed: %s %s", n.Name, m.pub.Addr.Unmap())
		s.emitMember(event.TypeMemberFailed, m)
	default:
		s.logf(Warn, "Bad state when leave: %s", n.Name)
		return
	}
	s.prunePending()
}

func (s *State) emitMember(kind event.Type, m *member) {
	s.emitEvent(&event.Member{Kind: kind, Members: []*view.Member{m.pub}})
}
