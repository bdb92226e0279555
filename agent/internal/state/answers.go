package state

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/lamport"
	"github.com/seed-645ce708/gossip/agent/internal/view"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// maxOpen bounds the received queries that may still be answered, which anyone can ask. Beyond it, the
// oldest can no longer be answered.
const maxOpen = 4096

// openQuery is a received query that we may answer.
type openQuery struct {
	key      queryKey
	to       netip.AddrPort // invalid if the query gave no address
	node     string
	own      bool // asked by ourselves
	relays   int
	until    time.Time
	answered bool
}

// keepOpen keeps the query until it is over.
func (s *State) keepOpen(q *openQuery) {
	if len(s.open) >= maxOpen {
		delete(s.open, s.openOrder[0])
		s.openOrder = s.openOrder[1:]
		s.count("serf.queries.dropped", "")
	}
	s.open[q.key] = q
	s.openOrder = append(s.openOrder, q.key)
}

// dropOverdue forgets queries that can no longer be answered.
func (s *State) dropOverdue() {
	s.openOrder = slices.DeleteFunc(s.openOrder, func(key queryKey) bool {
		over := s.now.After(s.open[key].until)
		if over {
			delete(s.open, key)
		}
		return over
	})
}

// respond answers a received query (reference 2.7). A query that is not known any more is past its deadline.
func (s *State) respond(key queryKey, payload []byte) error {
	m, err := s.response(key, payload)
	if err != nil {
		return err
	}
	q, known := s.open[key]
	switch {
	case known && q.answered:
		return refuseResponse(ErrAnswered)
	case !known || s.now.After(q.until):
		return refuseResponse(ErrDeadline)
	}
	q.answered = true
	s.reply(q, m)
	return nil
}

// response makes the message that answers a query, unless it is too large.
func (s *State) response(key queryKey, payload []byte) (*wire.QueryResponse, error) {
	m := &wire.QueryResponse{LTime: key.time, ID: key.id, From: s.name, Payload: payload}
	if len(wire.Encode(m)) > s.cfg.QueryResponseSizeLimit {
		return nil, refuseResponse(fmt.Errorf("response exceeds limit of %d bytes", s.cfg.QueryResponseSizeLimit))
	}
	return m, nil
}

// refuseResponse adds Serf's odd prefix, which all of these errors carry whether keys are meant or not.
func refuseResponse(err error) error { return fmt.Errorf("failed to respond to key query: %w", err) }

// ResponseRoom returns how many bytes of payload fit an answer to the query.
func (s *State) ResponseRoom(ltime lamport.Time, id uint32) int {
	const rawHead = 2 // what the length of a long payload takes beyond that of an empty one
	empty := len(wire.Encode(&wire.QueryResponse{LTime: ltime, ID: id, From: s.name, Payload: []byte{}}))
	return max(s.cfg.QueryResponseSizeLimit-empty-rawHead, 0)
}

// reply sends an acknowledgement or an answer straight to the agent that asks, and by relays if it wants them.
func (s *State) reply(q *openQuery, m *wire.QueryResponse) {
	if q.own {
		if s.isRunning(q.key) {
			s.queryResponse(m)
		}
		return
	}
	if !q.to.IsValid() {
		s.logf(Warn, "query from %s gave no valid address to answer to", q.node)
		return
	}
	raw := wire.Encode(m)
	s.emit(Send{To: q.to, Node: q.node, Msg: raw})
	// A cluster too small for that many relays goes without, as in Serf.
	if q.relays == 0 || s.members.counts.Total() < q.relays+1 {
		return
	}
	relay := wire.Encode(&wire.Relay{DestAddr: q.to, DestName: q.node, Inner: raw})
	if len(relay) > s.cfg.QueryResponseSizeLimit {
		s.logf(Warn, "relayed response exceeds limit of %d bytes; sent directly only", s.cfg.QueryResponseSizeLimit)
		return
	}
	for _, peer := range s.chooseRelays(q.relays, q.node) {
		s.emit(Send{To: peer.AddrPort(), Node: peer.Name, Msg: relay})
	}
}

// chooseRelays picks up to n random members that can relay to the given one.
func (s *State) chooseRelays(n int, to string) []*view.Member {
	picked := make([]*view.Member, 0, n)
	seen := 0
	for _, m := range s.members.sorted {
		if m.Status != view.StatusAlive || m.ProtocolMax < relayMemberlist || m.Name == s.name || m.Name == to {
			continue
		}
		seen++
		if len(picked) < n {
			picked = append(picked, m)
		} else if i := s.rand.IntN(seen); i < n {
			picked[i] = m
		}
	}
	return picked
}
