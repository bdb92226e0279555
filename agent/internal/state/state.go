package state

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/lamport"
	"github.com/seed-645ce708/gossip/agent/internal/view"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// Refusals of local requests, in Serf's words, which reach users through RPC. Those about sizes are made where
// they arise, since they tell the limit.
var (
	ErrNotAlive     = errors.New("Serf can't Join after Leave or Shutdown")
	ErrLeaving      = errors.New("Leave already in progress")
	ErrLeft         = errors.New("already left")
	ErrShutdown     = errors.New("Leave called after Shutdown")
	ErrNoQueries    = errors.New("Feature not supported")
	ErrReservedName = errors.New("Queries cannot contain the '_serf_' prefix")
	ErrAnswered     = errors.New("response already sent")
	ErrDeadline     = errors.New("response is past the deadline")
)

// Phase is where the local agent is in its own life.
type Phase uint8

// The phases, in order.
const (
	PhaseAlive Phase = iota
	PhaseLeaving
	PhaseLeft
	PhaseShutdown
)

// Clocks are the current values of the three Lamport clocks: the next local action of each kind is stamped
// with them.
type Clocks struct{ Member, Event, Query lamport.Time }

// Counts are numbers of members by status.
type Counts struct{ Alive, Leaving, Left, Failed int }

// Total is the number of members in any status.
func (c Counts) Total() int { return c.Alive + c.Leaving + c.Left + c.Failed }

// Live is the number of members that memberlist sees alive.
func (c Counts) Live() int { return c.Alive + c.Leaving }

// State is one agent's knowledge of the cluster. See the package comment for how to use it.
type State struct {
	cfg  Config
	rand *rand.Rand
}

// New returns the state of an agent that knows only itself. The local node is alive from the start; of its
// fields only Name must be known by now, the NodeJoin that memberlist reports for it fills in the rest.
func New(cfg Config, local Node) *State {
	return &State{cfg: cfg, rand: cfg.Rand}
}

// Step changes the state by one input at the given time, and returns what must be done, in order.
func (s *State) Step(now time.Time, in Input) ([]Effect, error) {
	return nil, nil
}

// Next returns when a Tick will have something to do.
func (s *State) Next(now time.Time) time.Time { return now.Add(s.cfg.ReapInterval) }

// Members returns all members of every status, sorted by name. The slice and the members are immutable; they
// are the same as last time if nothing changed.
func (s *State) Members() []*view.Member { return nil }

// Changed reports whether members changed since Members was last called.
func (s *State) Changed() bool { return false }

// Counts returns numbers of members by status.
func (s *State) Counts() Counts { return Counts{} }

// Clocks returns the Lamport clocks.
func (s *State) Clocks() Clocks { return Clocks{} }

// Phase returns where the local agent is in its life.
func (s *State) Phase() Phase { return PhaseAlive }

// Local returns the local member.
func (s *State) Local() *view.Member { return nil }

// LocalState returns our half of a push/pull.
func (s *State) LocalState() *wire.PushPull { return nil }

// DefaultQueryTimeout is the timeout of queries that name none: it grows with the number of digits of the
// cluster's size (reference 2.7).
func (s *State) DefaultQueryTimeout() time.Duration { return 0 }

// ResponseRoom returns how many bytes of payload fit an answer to the query.
func (s *State) ResponseRoom(ltime lamport.Time, id uint32) int { return 0 }
