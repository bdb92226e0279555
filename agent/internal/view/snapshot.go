package view

import (
	"maps"
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
	// Confidence is how far the agent trusted all this when the snapshot was published. A snapshot follows
	// whenever Synced, Isolated or Stale changes; for the rest, and for what time alone changes, ask the judge.
	Confidence Confidence
	// Marks are what the agent has to say of members beyond their record, by name. Read-only, may be nil.
	Marks map[string]Mark
}

// Suppressed tells that a member is alive and yet to be kept out of answers, since it comes and goes. Raw lists
// show it; whoever sends traffic to members leaves it out: that is the damped view.
func (s *Snapshot) Suppressed(name string) bool { return s.Marks[name].Suppressed }

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
	cur   atomic.Pointer[published]
	mu    sync.Mutex // serialises Publish and Rejudge
	judge Judge
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

// SetJudge makes j judge every snapshot from here on. It is called before the first Publish.
func (st *Store) SetJudge(j Judge) { st.judge = j }

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
	return st.publish(members, st.verdict(members))
}

// Rejudge publishes the same members again if the judge has changed its mind about them, or about us. It returns
// whether it did.
func (st *Store) Rejudge() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	snap := st.cur.Load().snap
	v := st.verdict(snap.Members)
	if v.Confidence.Synced == snap.Confidence.Synced && v.Confidence.Isolated == snap.Confidence.Isolated &&
		v.Confidence.Evidence == snap.Confidence.Evidence && v.Confidence.Stale == snap.Confidence.Stale && maps.Equal(v.Marks, snap.Marks) {
		return false
	}
	st.publish(snap.Members, v)
	return true
}

func (st *Store) verdict(members []*Member) Verdict {
	if st.judge == nil {
		return Verdict{}
	}
	return st.judge.Judge(members)
}

func (st *Store) publish(members []*Member, v Verdict) *Snapshot {
	old := st.cur.Load()
	snap := &Snapshot{
		Rev: old.snap.Rev + 1, Local: old.snap.Local, Members: members, Confidence: v.Confidence, Marks: v.Marks,
	}
	st.cur.Store(&published{snap: snap, superseded: make(chan struct{})})
	close(old.superseded)
	return snap
}
