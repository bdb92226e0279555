package state

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/lamport"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// maxQueryTime is the longest time that a query may be answered, whatever it asks for: memory is kept for it.
const maxQueryTime = 24 * time.Hour

// queryKey names a query in the cluster, nearly: two agents may choose the same id at the same Lamport time,
// once in two thousand million.
type queryKey struct {
	time lamport.Time
	id   uint32
}

// queryRing remembers the queries of the last len(slots) Lamport times, to deliver each once (reference 2.7).
type queryRing struct {
	slots []querySlot // slot t mod len holds time t
	min   lamport.Time
}

type querySlot struct {
	time lamport.Time
	ids  []uint32
}

func newQueryRing(size int) queryRing { return queryRing{slots: make([]querySlot, max(size, 1))} }

// add reports whether the query is new.
func (r *queryRing) add(k queryKey) bool {
	slot := &r.slots[uint64(k.time)%uint64(len(r.slots))]
	switch {
	case slot.time > k.time:
		return false
	case slot.time < k.time:
		slot.time, slot.ids = k.time, slot.ids[:0]
	case slices.Contains(slot.ids, k.id), len(slot.ids) >= maxPerTime:
		return false
	}
	slot.ids = append(slot.ids, k.id)
	return true
}

// DefaultQueryTimeout is the timeout of queries that name none: it grows with the number of digits of the
// cluster's size (reference 2.7).
func (s *State) DefaultQueryTimeout() time.Duration {
	digits := 1
	for n := s.members.counts.Live(); n >= 10; n /= 10 {
		digits++
	}
	return s.cfg.GossipInterval * time.Duration(s.cfg.QueryTimeoutMult*digits)
}

// ask asks a query of our own.
func (s *State) ask(in Query) error {
	if !in.Internal && strings.HasPrefix(in.Name, wire.InternalPrefix) && (in.Name != wire.Ping || in.Payload != nil) {
		return ErrReservedName
	}
	q, err := s.startQuery(in)
	if err != nil {
		return err
	}
	// Now that nothing can go wrong any more: tell who waits, answer ourselves, tell the others.
	s.emit(QueryStarted{LTime: q.key.time, ID: q.key.id, Deadline: q.deadline, Expect: s.expect(in)})
	s.spread(q)
	return nil
}

// startQuery makes the message and waits for answers.
func (s *State) startQuery(in Query) (*ownQuery, error) {
	if s.cfg.Protocol < protocolQueries {
		return nil, ErrNoQueries
	}
	timeout := min(in.Timeout, maxQueryTime)
	if timeout <= 0 {
		timeout = s.DefaultQueryTimeout()
	}
	local := s.Local()
	m := &wire.Query{
		LTime:       s.clocks.query.Time(),
		ID:          s.rand.Uint32() &^ (1 << 31),
		Addr:        local.Addr,
		Port:        local.Port,
		SourceNode:  s.name,
		RelayFactor: in.RelayFactor,
		Timeout:     timeout,
		Name:        in.Name,
		Payload:     in.Payload,
	}
	if in.WantAck {
		m.Flags |= wire.FlagAck
	}
	if len(in.FilterNodes) > 0 {
		m.Filters = append(m.Filters, wire.EncodeNodeFilter(in.FilterNodes))
	}
	for _, tag := range slices.Sorted(maps.Keys(in.FilterTags)) {
		m.Filters = append(m.Filters, wire.EncodeTagFilter(tag, in.FilterTags[tag]))
	}
	raw := wire.Encode(m)
	if len(raw) > s.cfg.QuerySizeLimit {
		return nil, fmt.Errorf("query exceeds limit of %d bytes", s.cfg.QuerySizeLimit)
	}
	q := &ownQuery{
		key:       queryKey{m.LTime, m.ID},
		msg:       m,
		raw:       raw,
		deadline:  s.now.Add(timeout),
		capacity:  2*s.members.counts.Live() + 16,
		acks:      make(map[string]bool),
		responses: make(map[string]bool),
	}
	if stuck, ok := s.running[m.LTime]; ok {
		s.endQuery(stuck) // only when the clock has come to its end and stands still
	}
	s.running[m.LTime] = q
	return q, nil
}

// spread handles a query of our own as if it had been received, and sends it to the others.
func (s *State) spread(q *ownQuery) {
	s.query(q.msg)
	s.emit(Broadcast{Queue: QueueQuery, Msg: q.raw})
}

// query handles a query, and reports whether it is news to pass on, which it is even if it is not for us.
func (s *State) query(m *wire.Query) bool {
	clock := &s.clocks.query
	if !s.witness(clock, m.LTime) || m.LTime < s.queries.min {
		return false
	}
	if tooOld(m.LTime, clock.Time(), len(s.queries.slots)) {
		s.logf(Warn, "received old query %s from time %d (current: %d)", m.Name, m.LTime, clock.Time())
		return false
	}
	key := queryKey{m.LTime, m.ID}
	if !s.queries.add(key) {
		return false
	}
	s.count("serf.queries", "")
	s.count("serf.queries", m.Name)
	if s.isForUs(m) {
		s.deliver(key, m)
	}
	return !m.NoBroadcast() && !crashesSerf(m)
}

// crashesSerf tells queries that stop a stock agent older than 0.11 with a panic (reference 1.6, 2.10). No agent asks
// them; whoever does means harm, and is not helped.
func crashesSerf(m *wire.Query) bool {
	if slices.ContainsFunc(m.Filters, func(f []byte) bool { return len(f) == 0 }) {
		return true
	}
	switch m.Name {
	case wire.InstallKey, wire.UseKey, wire.RemoveKey, wire.ListKeys:
		return len(m.Payload) == 0
	}
	return false
}

// deliver acknowledges a query that is for us, and hands it to whoever answers.
func (s *State) deliver(key queryKey, m *wire.Query) {
	q := &openQuery{
		key:    key,
		to:     netip.AddrPortFrom(m.Addr.Unmap(), m.Port),
		node:   m.SourceNode,
		own:    s.isRunning(key),
		relays: int(m.RelayFactor),
		until:  s.now.Add(min(max(m.Timeout, 0), maxQueryTime)),
	}
	if m.WantsAck() {
		s.reply(q, &wire.QueryResponse{LTime: key.time, ID: key.id, From: s.name, Flags: wire.FlagAck})
	}
	if m.Name == wire.Ping {
		return // the acknowledgement is the answer
	}
	switch m.Name {
	case wire.Conflict:
		s.testify(q, string(m.Payload))
	case wire.InstallKey, wire.UseKey, wire.RemoveKey, wire.ListKeys:
		s.logf(Info, "Received %s query", strings.TrimPrefix(m.Name, wire.InternalPrefix))
		s.keepOpen(q)
		s.emit(InternalQuery{LTime: key.time, ID: key.id, Name: m.Name, Payload: m.Payload, From: m.SourceNode})
	default:
		if rest, internal := strings.CutPrefix(m.Name, wire.InternalPrefix); internal {
			s.logf(Warn, "Unhandled internal query '%s'", rest)
			return
		}
		s.keepOpen(q)
		s.emitEvent(&event.Query{
			LTime: key.time, ID: key.id, Name: m.Name, Payload: m.Payload, From: m.SourceNode, Deadline: q.until,
		})
	}
}
