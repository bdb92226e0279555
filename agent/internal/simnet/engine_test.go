package simnet

import (
	"context"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/seed-645ce708/gossip/agent/internal/coordinate"
	"github.com/seed-645ce708/gossip/agent/internal/core"
	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/gossip"
	"github.com/seed-645ce708/gossip/agent/internal/sim/scenario"
	"github.com/seed-645ce708/gossip/agent/internal/state"
	"github.com/seed-645ce708/gossip/agent/internal/view"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// engine is an agent without its surroundings: gossip, core, state and view.
type engine struct {
	core   *core.Core
	gossip *gossip.Gossip
	view   *view.Store
	life   int
	end    context.CancelFunc
	over   context.Context
	tasks  sync.WaitGroup
	left   bool
}

// stage plays stories with engines, in a bubble.
type stage struct {
	t       *testing.T
	net     *Network
	profile string
	start   time.Time
	engines []*engine
	lives   []int
	log     *scenario.Log
	mu      sync.Mutex
}

func newStage(t *testing.T, seed uint64, agents int, profile string) *stage {
	return &stage{
		t: t, profile: profile, start: time.Now(), engines: make([]*engine, agents), lives: make([]int, agents),
		net: New(Options{Seed: seed, Delay: 300 * time.Microsecond, Jitter: 400 * time.Microsecond}),
	}
}

func addr(id int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(id >> 8), byte(id)}), 7946)
}

func (s *stage) at(id int) *engine {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.engines[id]
}

type pinger struct{ *coordinate.Cache }

func (p pinger) PingComplete(node string, rtt time.Duration, payload []byte) {
	_ = p.Cache.PingComplete(node, rtt, payload) // what peers say of themselves is not the test's business
}

// Start implements scenario.Cluster.
func (s *stage) Start(id int, seeds []int) {
	s.t.Helper()
	name := s.Name(id)
	ep, err := s.net.Listen(addr(id))
	if err != nil {
		s.t.Fatal(err)
	}
	meta, err := wire.EncodeTags(map[string]string{"role": "web"}, 5)
	if err != nil {
		s.t.Fatal(err)
	}
	e := &engine{view: view.NewStore(name)}
	e.over, e.end = context.WithCancel(s.t.Context())
	cfg := state.DefaultConfig()
	cfg.ReconnectInterval = 5 * time.Second
	cfg.Probation = 2 * time.Minute
	e.core = core.New(core.Config{
		State:    state.New(cfg, state.Node{Name: name}),
		View:     e.view,
		Emit:     func(ev event.Event) { s.emit(id, ev) },
		Internal: func(state.InternalQuery) []byte { return nil },
		Reconnect: func(name string, to netip.AddrPort) {
			_ = e.gossip.Rejoin(e.over, name, to.String()) // it is tried again
		},
		Reaped: func(string) {},
		Quit:   func(reason string) { s.t.Errorf("%s quits: %s", name, reason) },
		Probe:  func(netip.AddrPort) {},
		Metric: func(state.Metric) {},
		Log:    hclog.NewNullLogger(),
	})
	e.gossip, err = gossip.Start(gossip.Config{
		Name: name, BindAddr: addr(id).Addr().String(), BindPort: int(addr(id).Port()), Profile: s.profile, Protocol: 5,
		Meta: meta, Ping: pinger{coordinate.NewCache(name, rand.New(rand.NewPCG(1, uint64(id))))},
		Inbox: e.core, Log: hclog.NewNullLogger(), Std: log.New(io.Discard, "", 0), Transport: ep,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	s.lives[id]++
	e.life = s.lives[id]
	s.engines[id] = e
	s.mu.Unlock()
	e.core.Start(e.gossip)
	e.tasks.Go(func() {
		for try := 0; len(seeds) > 0; try++ {
			if n, err := e.gossip.Join(e.over, []string{addr(seeds[try%len(seeds)]).String()}, false); err == nil && n > 0 {
				_ = e.core.Do(e.over, state.Joined{}, 0) // fails only if we are leaving already
				return
			}
			select {
			case <-time.After(time.Second):
			case <-e.over.Done():
				return
			}
		}
	})
}

func (s *stage) emit(at int, ev event.Event) {
	switch ev := ev.(type) {
	case *event.User:
		s.log.Delivered(at, ev.Name)
	case *event.Member:
		for _, m := range ev.Members {
			var id int
			if _, err := fmt.Sscanf(m.Name, "n%d", &id); err != nil {
				s.t.Error(err)
				continue
			}
			status := m.Status
			if ev.Kind == event.TypeMemberReap {
				status = view.StatusNone
			}
			if ev.Kind != event.TypeMemberUpdate {
				s.log.Changed(at, id, status, s.at(id) != nil)
			}
		}
	}
}

// Kill ends an agent at once and waits for all its goroutines.
func (s *stage) Kill(id int) {
	s.mu.Lock()
	e := s.engines[id]
	s.engines[id] = nil
	s.mu.Unlock()
	if e != nil {
		s.stop(e)
	}
}

func (s *stage) stop(e *engine) {
	e.end()
	if err := e.gossip.Stop(); err != nil {
		s.t.Error(err)
	}
	e.core.Stop()
	e.tasks.Wait()
}

// Leave lets an agent leave as package agent does.
func (s *stage) Leave(id int) {
	s.mu.Lock()
	e := s.engines[id]
	e.left = true
	s.mu.Unlock()
	go func() {
		_ = e.core.Do(e.over, state.LeaveBegin{}, 5*time.Second) // a leave goes on without an answer
		_ = e.gossip.Leave(5 * time.Second)
		time.Sleep(time.Second)
		_ = e.core.Do(e.over, state.LeaveDone{}, 0)
		s.mu.Lock()
		mine := s.engines[id] == e
		if mine {
			s.engines[id] = nil
		}
		s.mu.Unlock()
		if mine {
			s.stop(e)
		}
	}()
}

func (s *stage) Freeze(id int, d time.Duration) { s.net.Freeze(addr(id), d) }

func (s *stage) Partition(group func(int) int) {
	groups := map[netip.AddrPort]int{}
	for id := range s.engines {
		groups[addr(id)] = group(id)
	}
	s.net.Partition(func(a netip.AddrPort) int { return groups[a] })
}

func (s *stage) Loss(share float64)           { s.net.Loss(share) }
func (s *stage) LossAt(id int, share float64) { s.net.LossAt(addr(id), share) }
func (s *stage) Duplicate(share float64)      { s.net.Duplicate(share) }

func (s *stage) Event(id int, name string) error {
	return s.at(id).core.Do(s.t.Context(), state.UserEvent{Name: name}, 0)
}

func (s *stage) Run(d time.Duration)       { time.Sleep(d) }
func (s *stage) Now() time.Duration        { return time.Since(s.start) }
func (s *stage) Name(id int) string        { return fmt.Sprintf("n%05d", id) }
func (s *stage) Observe(log *scenario.Log) { s.log = log }

func (s *stage) Running(id int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.engines[id] != nil && !s.engines[id].left
}

// See implements scenario.Cluster.
func (s *stage) See(id int) scenario.Sight {
	e := s.at(id)
	if e == nil {
		return scenario.Sight{}
	}
	snap := e.view.Load()
	sight := scenario.Sight{Life: e.life, Rev: snap.Rev, Members: snap.Members}
	e.core.Inspect(func(st *state.State) {
		sight.MemberTime, sight.EventTime = uint64(st.Clocks().Member), uint64(st.Clocks().Event)
	})
	return sight
}

// stopAll ends all agents. memberlist leaves probes under way behind, which end by themselves within a while; what does
// not, the end of the bubble reports.
func (s *stage) stopAll() {
	for id := range s.engines {
		s.Kill(id)
	}
	time.Sleep(time.Minute)
}
