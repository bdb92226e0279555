package scenario

import (
	"fmt"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/view"
)

// Cluster is what can be done to a cluster, and seen of it. Agents are numbered from 0.
type Cluster interface {
	// Start starts an agent, which joins through the seeds in turn until one is reached.
	Start(id int, seeds []int)
	Kill(id int)
	Leave(id int)
	Freeze(id int, d time.Duration)
	Partition(group func(id int) int)
	Loss(share float64)
	LossAt(id int, share float64)
	Duplicate(share float64)
	Event(id int, name string) error

	Run(d time.Duration)
	Now() time.Duration

	// Running reports whether an agent runs, frozen or not, and has not begun to leave.
	Running(id int) bool
	// Name is an agent's name.
	Name(id int) string
	// See returns what an agent knows.
	See(id int) Sight
	// Observe has the log told of what happens. It is called once, before anything else.
	Observe(log *Log)
}

// Sight is what an agent knows at a moment.
type Sight struct {
	Life    int // counts the starts of the agent
	Rev     uint64
	Members []*view.Member // sorted by name
	// The Lamport times of the member and event clocks.
	MemberTime, EventTime uint64
}

// FailureError tells where a story went wrong.
type FailureError struct {
	Line int
	Text string
	At   time.Duration
	Err  error
}

func (f *FailureError) Error() string {
	return fmt.Sprintf("line %d, after %v: %s: %v", f.Line, f.At, f.Text, f.Err)
}

// Unwrap returns what is wrong.
func (f *FailureError) Unwrap() error { return f.Err }

// run is a story under way.
type run struct {
	c      Cluster
	log    *Log
	agents int
	before []Sight // by agent
	hashes []uint64
}

// Run tells the story to a cluster with room for Agents. It returns a *FailureError, or nil.
func (s *Story) Run(c Cluster) error {
	r := &run{c: c, log: newLog(c), agents: s.Agents, before: make([]Sight, s.Agents), hashes: make([]uint64, s.Agents)}
	c.Observe(r.log)
	for _, st := range s.steps {
		err := st.do(r)
		if err == nil {
			err = r.invariants()
		}
		if err != nil {
			return &FailureError{Line: st.line, Text: st.text, At: c.Now(), Err: err}
		}
	}
	return nil
}

func (r *run) startAll(count int, stagger time.Duration) {
	for id := range count {
		var seeds []int
		for seed := max(id-3, 0); seed < id; seed++ {
			seeds = append(seeds, seed)
		}
		r.log.started(id)
		r.c.Start(id, seeds)
		r.c.Run(stagger)
	}
}

func (r *run) restart(id int) {
	var seeds []int
	for i := 1; i < r.agents && len(seeds) < 5; i++ {
		if seed := (id + i) % r.agents; r.c.Running(seed) {
			seeds = append(seeds, seed)
		}
	}
	r.log.started(id)
	r.c.Start(id, seeds)
}

func (r *run) event(id int, name string) error { return r.c.Event(id, name) }

// until lets time pass until check finds nothing wrong, and returns what it found last.
func (r *run) until(limit time.Duration, check func() error) error {
	const interval = 100 * time.Millisecond
	end := r.c.Now() + limit
	for {
		err := check()
		if err == nil || r.c.Now() >= end {
			return err
		}
		r.c.Run(min(interval, end-r.c.Now()))
	}
}

// converged: whoever runs is alive in the view of all who run, and nobody else is.
func (r *run) converged() error {
	names := make(map[string]bool, r.agents)
	for id := range r.agents {
		names[r.c.Name(id)] = r.c.Running(id)
	}
	for at := range r.agents {
		if !r.c.Running(at) {
			continue
		}
		alive := 0
		for _, m := range r.c.See(at).Members {
			switch running := names[m.Name]; {
			case running && m.Status == view.StatusAlive:
				alive++
			case running || m.Status == view.StatusAlive || m.Status == view.StatusLeaving:
				return fmt.Errorf("agent %d sees %s as %s, and running is %v", at+1, m.Name, m.Status, running)
			}
		}
		for id := range r.agents {
			if r.c.Running(id) {
				alive--
			}
		}
		if alive != 0 {
			return fmt.Errorf("agent %d does not know %d agents that are running", at+1, -alive)
		}
	}
	return nil
}

func (r *run) allSee(id int, status view.Status) error {
	for at := range r.agents {
		if at == id || !r.c.Running(at) {
			continue
		}
		snap := view.Snapshot{Members: r.c.See(at).Members}
		seen := view.StatusNone
		if m, ok := snap.Member(r.c.Name(id)); ok {
			seen = m.Status
		}
		if seen != status {
			return fmt.Errorf("agent %d sees it as %s", at+1, seen)
		}
	}
	return nil
}

func (r *run) allHad(name string) error {
	for at := range r.agents {
		if r.c.Running(at) && !r.log.Had(at, name) {
			return fmt.Errorf("agent %d has not had the event", at+1)
		}
	}
	return nil
}
