package state

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/lamport"
	"github.com/seed-645ce708/gossip/agent/internal/view"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// Refusals of local requests, in Serf's words, which reach users through RPC. Those about sizes are made where
// they arise, since they tell the limit.
var (
	ErrNotAlive     = errors.New("Serf can't Join after Leave or Shutdown")    //nolint:staticcheck // Serf's words
	ErrLeaving      = errors.New("Leave already in progress")                  //nolint:staticcheck // Serf's words
	ErrLeft         = errors.New("already left")                               // a caller that wanted to leave has what it wanted
	ErrShutdown     = errors.New("Leave called after Shutdown")                //nolint:staticcheck // Serf's words
	ErrNoQueries    = errors.New("Feature not supported")                      //nolint:staticcheck // Serf's words
	ErrReservedName = errors.New("Queries cannot contain the '_serf_' prefix") //nolint:staticcheck // Serf's words
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

// State is one agent's knowledge of the cluster. See the package comment for how to use it.
type State struct {
	cfg   Config
	rand  *rand.Rand
	name  string
	phase Phase
	tags  map[string]string // as configured, for filters

	clocks    clocks
	members   table
	intents   map[string]intent
	prunes    map[string]time.Time // members to forget once they are gone, but not before this time
	graves    map[string]grave     // of members that left and are forgotten
	visitors  map[string]*visitor  // who left and may be back
	events    eventRing
	queries   queryRing
	open      map[queryKey]*openQuery    // received, and waiting for our answer
	openOrder []queryKey                 // the keys of open, oldest first
	running   map[lamport.Time]*ownQuery // asked by us, and waiting for answers
	vote      *vote                      // on who owns our name; nil if there is none
	probing   bool                       // whether who claims our name is alive

	nextReap, nextReconnect time.Time // zero before the first Step

	// now and out belong to the Step that is being made.
	now time.Time
	out []Effect
}

// New returns the state of an agent that knows only itself. The local node is alive from the start; of its
// fields only Name must be known by now, the NodeJoin that memberlist reports for it fills in the rest.
func New(cfg Config, local Node) *State {
	s := &State{
		cfg:      cfg,
		rand:     cfg.Rand,
		name:     local.Name,
		tags:     cfg.Tags,
		clocks:   newClocks(),
		members:  newTable(),
		intents:  make(map[string]intent),
		prunes:   make(map[string]time.Time),
		graves:   make(map[string]grave),
		visitors: make(map[string]*visitor),
		events:   newEventRing(cfg.EventBuffer),
		queries:  newQueryRing(cfg.QueryBuffer),
		open:     make(map[queryKey]*openQuery),
		running:  make(map[lamport.Time]*ownQuery),
	}
	if s.rand == nil {
		s.rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) //nolint:gosec // picks peers, protects nothing
	}
	s.addMember(local)
	s.out = nil // a damaged meta is logged when memberlist reports the node
	return s
}

// Step changes the state by one input at the given time, and returns what must be done, in order. With an error
// there are no effects and nothing changed.
func (s *State) Step(now time.Time, in Input) ([]Effect, error) {
	s.now, s.out = now, nil
	if s.nextReap.IsZero() {
		s.nextReap = now.Add(s.cfg.ReapInterval)
		s.nextReconnect = now.Add(s.cfg.ReconnectInterval)
	}
	err := s.step(in)
	out := s.out
	s.out = nil
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *State) step(in Input) error {
	switch in := in.(type) {
	case NodeJoin:
		s.nodeJoin(in.Node)
	case NodeUpdate:
		s.nodeUpdate(in.Node)
	case NodeLeave:
		s.nodeLeave(in.Node)
	case NameConflict:
		s.nameConflict(in.Existing, in.Other)
	case Probed:
		s.probed(in)
	case Receive:
		s.receive(in.Msg, in.Raw)
	case RemoteState:
		s.mergeRemote(in.State, in.IgnoreOld)
	case Joined:
		return s.joined()
	case LeaveBegin:
		return s.leaveBegin()
	case LeaveDone:
		if s.phase == PhaseLeaving {
			s.phase = PhaseLeft
		}
	case Shutdown:
		if s.phase < PhaseLeft {
			s.logf(Warn, "Shutdown without a Leave")
		}
		s.phase = PhaseShutdown
	case ForceLeave:
		s.declareLeave(in.Name, in.Prune)
	case UserEvent:
		return s.sendUserEvent(in)
	case Query:
		return s.ask(in)
	case QueryCancel:
		s.cancelQuery(in.LTime, in.ID)
	case Respond:
		return s.respond(queryKey{in.LTime, in.ID}, in.Payload)
	case LocalTags:
		if _, err := wire.EncodeTags(in.Tags, s.cfg.Protocol); err != nil {
			return err
		}
		s.tags = in.Tags
	case Restore:
		s.restore(in)
	case Tick:
		s.tick()
	}
	return nil
}

// receive handles a message from a peer, and passes it on if it is news.
func (s *State) receive(m wire.Message, raw []byte) {
	switch m := m.(type) {
	case *wire.Leave:
		if s.leaveIntent(m.Node, m.LTime, m.Prune) {
			s.emit(Broadcast{Queue: QueueIntent, Msg: raw})
		}
	case *wire.Join:
		if s.joinIntent(m.Node, m.LTime) {
			s.emit(Broadcast{Queue: QueueIntent, Msg: raw})
		}
	case *wire.UserEvent:
		if s.userEvent(m) {
			s.emit(Broadcast{Queue: QueueEvent, Msg: raw})
		}
	case *wire.Query:
		if s.query(m) {
			s.emit(Broadcast{Queue: QueueQuery, Msg: raw})
		}
	case *wire.QueryResponse:
		s.queryResponse(m)
	case *wire.Relay:
		if len(m.Inner) > 0 {
			s.emit(Send{To: m.DestAddr, Node: m.DestName, Msg: m.Inner})
		}
	}
}

// tick does all that is due.
func (s *State) tick() {
	s.endQueries()
	s.prunePending()
	s.visit()
	if !s.now.Before(s.nextReap) {
		s.nextReap = s.now.Add(s.cfg.ReapInterval)
		s.reap()
		s.challenge()
	}
	if !s.now.Before(s.nextReconnect) {
		s.nextReconnect = s.now.Add(s.cfg.ReconnectInterval)
		s.reconnect()
	}
}

// Next returns when a Tick will have something to do; it may be in the past.
func (s *State) Next(now time.Time) time.Time {
	if s.nextReap.IsZero() {
		return now
	}
	next := s.nextReap
	if s.nextReconnect.Before(next) {
		next = s.nextReconnect
	}
	for _, q := range s.running {
		if q.deadline.Before(next) {
			next = q.deadline
		}
	}
	for name, due := range s.prunes {
		// One that is overdue and still leaving waits for memberlist, not for time.
		m, known := s.members.byName[name]
		waits := known && m.pub.Status == view.StatusLeaving && !due.After(now)
		if !waits && due.Before(next) {
			next = due
		}
	}
	return s.nextVisit(next)
}

// Phase returns where the local agent is in its life.
func (s *State) Phase() Phase { return s.phase }

func (s *State) emit(e Effect) { s.out = append(s.out, e) }

func (s *State) emitEvent(e event.Event) { s.emit(Emit{Event: e}) }

func (s *State) logf(level Level, format string, args ...any) {
	s.emit(Log{Level: level, Text: fmt.Sprintf(format, args...)})
}

func (s *State) count(name, detail string) {
	s.emit(Metric{Name: name, Detail: detail, Kind: Counter, Value: 1})
}
