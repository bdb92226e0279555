package view

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Snapshot is all that one agent knew at one revision. It is immutable.
type Snapshot struct {
	// Rev numbers this agent's snapshots from 1; it grows with each published change and means nothing to
	// any other agent.
	Rev uint64
	// Local is the name of the member that is this agent.
	Local string
	// Members of every status, sorted by name.
	Members []*Member
}

// Member finds a member by its exact name.
func (s *Snapshot) Member(name string) (*Member, bool) {
	i, ok := slices.BinarySearchFunc(s.Members, name, func(m *Member, name string) int {
		return strings.Compare(m.Name, name)
	})
	if !ok {
		return nil, false
	}
	return s.Members[i], true
}

// Count returns how many members have the status.
func (s *Snapshot) Count(status Status) int {
	n := 0
	for _, m := range s.Members {
		if m.Status == status {
			n++
		}
	}
	return n
}

// Store hands the newest snapshot from one writer to any number of readers. Readers never lock and never
// slow the writer; a slow reader skips revisions but never misses that there is a newer one.
type Store struct {
	cur atomic.Pointer[published]
	mu  sync.Mutex // serialises Publish
}

type published struct {
	snap       *Snapshot
	superseded chan struct{}
}

// NewStore returns a store that holds an empty snapshot of revision 0.
func NewStore(local string) *Store {
	st := &Store{}
	st.cur.Store(&published{snap: &Snapshot{Local: local}, superseded: make(chan struct{})})
	return st
}

// Load returns the newest snapshot, never nil.
func (st *Store) Load() *Snapshot { return st.cur.Load().snap }

// Watch returns the newest snapshot and a channel that is closed once a newer one is there.
func (st *Store) Watch() (*Snapshot, <-chan struct{}) {
	p := st.cur.Load()
	return p.snap, p.superseded
}

// Publish makes members, sorted by name and not to be modified from here on, the newest snapshot.
func (st *Store) Publish(members []*Member) *Snapshot {
	st.mu.Lock()
	defer st.mu.Unlock()
	old := st.cur.Load()
	snap := &Snapshot{Rev: old.snap.Rev + 1, Local: old.snap.Local, Members: members}
	st.cur.Store(&published{snap: snap, superseded: make(chan struct{})})
	close(old.superseded)
	return snap
}
