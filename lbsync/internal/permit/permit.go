// Package permit lets balancers of a fleet take turns at reloading: of a group at most so many at a time. They agree by
// gossip queries, with no server and no leader.
//
// It is Ricart and Agrawala's algorithm for K at once. Who wants a turn takes a ticket, from a Lamport clock that is above every
// ticket it has heard of, and asks all others. Each answers how many of its targets reload right now or want to with an
// earlier ticket. Fewer than K of them in all, and the turn is there; otherwise it asks again a little later, with the same
// ticket, so that it moves up. Who answers a ticket takes its own next ticket above it, and who reloads answers so
// until it is over: so K+1 can never reload together, as long as questions and answers arrive.
//
// They may not. Somebody who answered before and is silent now counts as one that reloads, three times, and each time is given
// twice as long to answer; then it is forgotten, for it may have ended. While silence, or an agent that cannot be asked, is all
// that stands in the way, the group's patience runs; when it is over the group is open (the target reloads all the same, the default) or closed (it goes on
// waiting), as configured. Somebody nobody has ever heard from cannot be waited for: there the group is always open.
package permit

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/config"
)

const (
	within   = 500 * time.Millisecond // for answers, doubled for each silence
	minAgain = 500 * time.Millisecond // between questions, doubled up to
	maxAgain = 2 * time.Second
	stale    = 15 * time.Second // a want that is not renewed is one no more
	misses   = 3                // silences after which somebody is forgotten
	maxClock = 1 << 62          // above it a clock is made up
	retry    = 2 * time.Second  // between attempts to serve
)

// Messenger reaches every other gossip-lbsync; source.Peers is one.
type Messenger interface {
	Ask(ctx context.Context, question []byte, within time.Duration) ([][]byte, error)
	Serve(ctx context.Context, answer func(question []byte) []byte) error
}

// question and answer are what is sent. The keys are short: a query may take about 1 KiB in all.
type question struct {
	Group  string `json:"g"`
	ID     string `json:"i"` // of the asking process
	Name   string `json:"n"` // of the target, to tell equal tickets apart
	Ticket uint64 `json:"t"`
}

type answer struct {
	ID    string `json:"i"`
	Ahead int    `json:"a"` // how many come before the one that asks
	Clock uint64 `json:"c"`
}

// Permits takes turns for the targets of one process. Its methods may be called from any goroutine.
type Permits struct {
	peers Messenger
	log   *slog.Logger
	id    string

	mu     sync.Mutex
	groups map[string]*group
}

// group is one process's knowledge of a group.
type group struct {
	clock  uint64
	claims map[string]*claim // by target
	heard  map[string]int    // silences since the last answer, by process
}

// claim is a target that reloads or wants to.
type claim struct {
	ticket  uint64
	busy    bool
	renewed time.Time
	tries   int
	silent  time.Time // since when only silence is in the way; zero if something else is
}

// New returns Permits for the groups that answers others while Run runs. The logger is optional.
func New(peers Messenger, groups []string, log *slog.Logger) *Permits {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	p := &Permits{peers: peers, log: log, id: strconv.FormatUint(rand.Uint64(), 36), groups: map[string]*group{}}
	for _, name := range groups {
		p.groups[name] = &group{claims: map[string]*claim{}, heard: map[string]int{}}
	}
	return p
}

// Run answers others until ctx ends.
func (p *Permits) Run(ctx context.Context) {
	for {
		err := p.peers.Serve(ctx, p.answer)
		if ctx.Err() != nil {
			return
		}
		p.log.Debug("other balancers cannot be answered", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(retry):
		}
	}
}

// WaitError is why there is no turn yet.
type WaitError struct {
	Why   string
	Again time.Time // when to ask again, with Acquire
}

func (w *WaitError) Error() string { return w.Why }

// Acquire asks for a turn in one of the groups. The error is a *WaitError if there is none yet: the caller must ask again within stale or its place is
// lost. It takes as long as answers may. release must be called when the reload is over.
func (p *Permits) Acquire(ctx context.Context, cfg config.Group, target string) (release func(), err error) {
	q := p.claim(cfg.Name, target)
	data, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	replies, askErr := p.peers.Ask(ctx, data, p.within(cfg.Name))
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return p.decide(cfg, q, replies, askErr)
}

// claim takes a ticket, or renews the one that there is.
func (p *Permits) claim(name, target string) question {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.groups[name]
	c := g.claims[target]
	if c == nil || time.Since(c.renewed) > stale {
		g.clock++
		c = &claim{ticket: g.clock}
		g.claims[target] = c
	}
	c.renewed = time.Now()
	return question{name, p.id, target, c.ticket}
}

// within returns how long the answers of a group are waited for. Who did not answer in time may only be slow, as everybody is on
// hosts that are busy with what made them want to reload, and has more time before it is forgotten.
func (p *Permits) within(name string) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	silences := 0
	for _, n := range p.groups[name].heard {
		silences = max(silences, n)
	}
	return within << silences
}

func (p *Permits) decide(cfg config.Group, q question, replies [][]byte, askErr error) (func(), error) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.groups[q.Group]
	c := g.claims[q.Name]
	ahead := g.ahead(q, p.id, now)
	answered := map[string]bool{}
	for _, data := range replies {
		var a answer
		if json.Unmarshal(data, &a) != nil || a.ID == p.id || a.ID == "" || answered[a.ID] || a.Ahead < 0 || a.Clock > maxClock {
			continue
		}
		answered[a.ID] = true
		ahead += a.Ahead
		g.clock = max(g.clock, a.Clock)
	}
	silent := 0
	if askErr == nil {
		silent = g.listen(answered)
	}
	wait := func(why string) (func(), error) {
		pause := min(minAgain<<min(c.tries, 10), maxAgain)
		c.tries++
		return nil, &WaitError{why, now.Add(pause - rand.N(pause/4))}
	}
	if ahead >= cfg.AtOnce {
		c.silent = time.Time{}
		return wait(fmt.Sprintf("%d that reload or come first (at_once is %d)", ahead, cfg.AtOnce))
	}
	if askErr != nil || ahead+silent >= cfg.AtOnce {
		if c.silent.IsZero() {
			c.silent = now
		}
		why := fmt.Sprintf("%d that may reload do not answer", silent)
		if askErr != nil {
			why = "nobody can be asked: " + askErr.Error()
		}
		if cfg.Closed || now.Before(c.silent.Add(cfg.Patience)) {
			return wait(why)
		}
		p.log.Warn("reloading out of turn: patience is over", "target", q.Name, "group", q.Group, "reason", why)
	}
	c.busy = true
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if g.claims[q.Name] == c {
			delete(g.claims, q.Name)
		}
	}), nil
}

// listen counts those who answered before and do not now, and forgets those who have been silent for too long.
func (g *group) listen(answered map[string]bool) (silent int) {
	for id := range answered {
		g.heard[id] = 0
	}
	for id := range g.heard {
		if answered[id] {
			continue
		}
		if g.heard[id]++; g.heard[id] > misses {
			delete(g.heard, id)
			continue
		}
		silent++
	}
	return silent
}

// ahead counts the claims of this process that come before the one that asks.
func (g *group) ahead(q question, id string, now time.Time) (n int) {
	for name, c := range g.claims {
		switch {
		case q.ID == id && q.Name == name:
		case c.busy:
			n++
		case now.Sub(c.renewed) > stale:
			delete(g.claims, name)
		case cmp.Or(cmp.Compare(c.ticket, q.Ticket), cmp.Compare(id, q.ID), cmp.Compare(name, q.Name)) < 0:
			n++
		}
	}
	return n
}

// answer answers another process.
func (p *Permits) answer(data []byte) []byte {
	var q question
	if err := json.Unmarshal(data, &q); err != nil || q.ID == p.id || q.ID == "" || q.Ticket > maxClock {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.groups[q.Group]
	if g == nil {
		return nil // no target of ours is in it
	}
	g.clock = max(g.clock, q.Ticket)
	reply, err := json.Marshal(answer{p.id, g.ahead(q, p.id, time.Now()), g.clock})
	if err != nil {
		return nil
	}
	return reply
}
