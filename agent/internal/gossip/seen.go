package gossip

import (
	"hash/maphash"
	"sync"
)

// seenSize is how many messages each of two generations holds: some seconds of the most that a cluster carries.
const seenSize = 8192

// seen remembers the messages that were passed on, of which each member gets several copies: they need not be decoded
// and handed to the core again, which would drop them by rules of its own. To forget one early is harmless. Safe for
// concurrent use.
type seen struct {
	seed maphash.Seed

	mu         sync.Mutex
	young, old map[uint64]struct{}
}

func newSeen() *seen { return &seen{seed: maphash.MakeSeed(), young: map[uint64]struct{}{}} }

func (s *seen) add(msg []byte) {
	h := maphash.Bytes(s.seed, msg)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.young) >= seenSize {
		s.young, s.old = map[uint64]struct{}{}, s.young
	}
	s.young[h] = struct{}{}
}

func (s *seen) has(msg []byte) bool {
	h := maphash.Bytes(s.seed, msg)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, found := s.young[h]
	if !found {
		_, found = s.old[h]
	}
	return found
}
