package state

import (
	"fmt"
	"net/netip"

	"github.com/seed-645ce708/gossip/agent/internal/view"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// vote is the cluster's word on whether our name is ours (reference 2.9).
type vote struct{ responses, matching int }

// nameConflict: two nodes claim one name. If it is our name, the others decide, and who loses must go.
func (s *State) nameConflict(existing, other Node) {
	if existing.Name != s.name {
		s.logf(Warn, "Name conflict for '%s' both %s:%d and %s:%d are claiming",
			existing.Name, existing.Addr.Unmap(), existing.Port, other.Addr.Unmap(), other.Port)
		return
	}
	s.logf(Error, "Node name conflicts with another node at %s:%d. Names must be unique! (Resolution enabled: %v)",
		other.Addr.Unmap(), other.Port, s.cfg.ResolveConflicts)
	// memberlist reports the conflict again and again; one vote at a time is enough.
	if !s.cfg.ResolveConflicts || s.vote != nil || s.probing || s.phase != PhaseAlive {
		return
	}
	if s.cfg.ProbeConflicts {
		s.probing = true
		s.emit(Probe{Addr: netip.AddrPortFrom(other.Addr.Unmap(), other.Port)})
		return
	}
	s.callVote()
}

// probed: whoever claims our name is alive, or does not answer. In the latter case it is most likely what the
// others still know of an earlier life of ours, at another address; they will find out that it is gone, and take
// us for its successor. To vote now would make us lose.
func (s *State) probed(in Probed) {
	s.probing = false
	if s.vote != nil || s.phase != PhaseAlive {
		return
	}
	if !in.Alive {
		s.logf(Warn, "nobody of our name answers at %s: no vote; we are taken for its successor once it counts as failed", in.Addr)
		return
	}
	s.callVote()
}

// callVote asks the cluster who owns our name.
func (s *State) callVote() {
	q, err := s.startQuery(Query{Name: wire.Conflict, Payload: []byte(s.name)})
	if err != nil {
		s.logf(Error, "Failed to start name conflict resolution query: %v", err)
		return
	}
	s.vote = &vote{}
	q.vote = s.vote
	s.spread(q)
}

// testify answers who has a name, in our view. On our own name we keep silent.
func (s *State) testify(q *openQuery, name string) {
	if name == s.name {
		return
	}
	var record *wire.Member
	if m, known := s.members.byName[name]; known {
		p := m.pub
		record = &wire.Member{
			Name: p.Name, Addr: p.Addr, Port: p.Port, Tags: p.Tags, Status: int64(p.Status),
			ProtocolMin: p.ProtocolMin, ProtocolMax: p.ProtocolMax, ProtocolCur: p.ProtocolCur,
			DelegateMin: p.DelegateMin, DelegateMax: p.DelegateMax, DelegateCur: p.DelegateCur,
		}
	}
	m, err := s.response(q.key, wire.Encode(record))
	if err != nil {
		s.logf(Error, "%v", err)
		return
	}
	s.reply(q, m)
}

// ballot counts one answer. A member that does not know the name votes against us.
func (s *State) ballot(v *vote, payload []byte) {
	m, err := wire.DecodeConflict(payload)
	if err != nil {
		s.logf(Error, "Failed to decode conflict query response: %v", err)
		return
	}
	if m != nil && view.Status(m.Status) == view.StatusFailed && s.cfg.ProbeConflicts {
		return // it sees nobody of this name alive: an abstention
	}
	v.responses++
	local := s.Local()
	if m != nil && m.Addr.Unmap() == local.Addr.Unmap() && m.Port == local.Port {
		v.matching++
	}
}

// decide ends the vote. Without any answer there is no majority against us: we may well be the ones cut off,
// and stay.
func (s *State) decide(v *vote) {
	s.vote = nil
	if v.responses == 0 || v.matching >= v.responses/2+1 {
		s.logf(Info, "majority in name conflict resolution [%d / %d]", v.matching, v.responses)
		return
	}
	text := fmt.Sprintf("minority in name conflict resolution, quiting [%d / %d]", v.matching, v.responses)
	s.logf(Warn, "%s", text)
	s.emit(Quit{Reason: text})
}
