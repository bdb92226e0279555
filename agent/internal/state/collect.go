package state

import (
	"cmp"
	"slices"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/lamport"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// ownQuery is a query that we asked, while we wait for answers.
type ownQuery struct {
	key             queryKey
	msg             *wire.Query
	raw             []byte
	deadline        time.Time
	capacity        int // of acks and of responses: more members than we knew of may answer, but not any number
	acks, responses map[string]bool
	vote            *vote // gets the responses instead of the agent; nil for all but the vote's own query
}

// isRunning reports whether we asked the query and still wait for answers.
func (s *State) isRunning(key queryKey) bool {
	q, ok := s.running[key.time]
	return ok && q.key == key
}

// queryResponse hands an acknowledgement or answer to who waits for it, once for each member (reference 2.7).
func (s *State) queryResponse(m *wire.QueryResponse) {
	q, ok := s.running[m.LTime]
	if !ok {
		s.logf(Warn, "reply for non-running query (LTime: %d, ID: %d) From: %s", m.LTime, m.ID, m.From)
		return
	}
	if q.key.id != m.ID {
		s.logf(Warn, "query reply ID mismatch (Local: %d, Response: %d)", q.key.id, m.ID)
		return
	}
	if !s.now.Before(q.deadline) {
		return
	}
	seen, counter, duplicates := q.responses, "serf.query_responses", "serf.query_duplicate_responses"
	if m.IsAck() {
		seen, counter, duplicates = q.acks, "serf.query_acks", "serf.query_duplicate_acks"
	}
	if seen[m.From] {
		s.count(duplicates, "")
		return
	}
	if len(seen) >= q.capacity {
		s.logf(Warn, "Failed to deliver query response, dropping")
		return
	}
	seen[m.From] = true
	s.count(counter, "")
	switch {
	case q.vote != nil:
		if !m.IsAck() {
			s.ballot(q.vote, m.Payload)
		}
	case m.IsAck():
		s.emit(QueryAck{LTime: m.LTime, ID: m.ID, From: m.From})
	default:
		s.emit(QueryResponse{LTime: m.LTime, ID: m.ID, From: m.From, Payload: m.Payload})
	}
}

// endQueries ends those whose time is over, in order.
func (s *State) endQueries() {
	var over []*ownQuery
	for _, q := range s.running {
		if !s.now.Before(q.deadline) {
			over = append(over, q)
		}
	}
	slices.SortFunc(over, func(a, b *ownQuery) int { return cmp.Compare(a.key.time, b.key.time) })
	for _, q := range over {
		s.endQuery(q)
	}
}

func (s *State) endQuery(q *ownQuery) {
	delete(s.running, q.key.time)
	if q.vote != nil {
		s.decide(q.vote)
		return
	}
	s.emit(QueryDone{LTime: q.key.time, ID: q.key.id})
}

func (s *State) cancelQuery(t lamport.Time, id uint32) {
	if q, ok := s.running[t]; ok && q.key.id == id && q.vote == nil {
		s.endQuery(q)
	}
}
