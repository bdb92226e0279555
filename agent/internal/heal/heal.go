// Package heal decides whom an agent contacts, and when, to find members it has lost: seeds that are no members,
// members that were forgotten after a long partition, and the acquaintances of an earlier life.
//
// It is pure: it reads no clock and does no I/O. The agent asks a Planner what to do next, does it, and tells what
// came of it. A Planner is not safe for concurrent use.
//
// # How often
//
// Every member of a cluster misses the same peers, so each of them makes only its share of the attempts: a peer
// with the gap g is contacted by some member every g on average, by a single one of n members every n*g. A seed's
// gap is Config.Interval for ever. The gap of a lost member is a 64th of the time that it has been away, at least
// ten seconds and at most six hours. Who refused us, for the wrong cluster or key, is asked at most hourly. No member
// makes more than one attempt in ten seconds, or in Config.Interval if that is shorter.
//
// An agent that is alone asks more, since nobody does it in its place: one second after it became alone, then
// after pauses that double up to half a minute, up to eight peers at a time and all of them in turn.
package heal

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	// maxTurn is the pause between two turns of an agent among others. Each makes one attempt at most.
	maxTurn = 10 * time.Second
	// The pauses of an agent that is alone.
	firstAlone, maxAlone = time.Second, 30 * time.Second
	// aloneBatch is how many peers it contacts each time.
	aloneBatch = 8

	patience   = 64 // the share of its absence after which a lost member is looked for again
	maxGap     = 6 * time.Hour
	refusedGap = time.Hour

	// MaxAge is how long a lost member is looked for.
	MaxAge = 30 * 24 * time.Hour
	// maxLost and maxSeeds bound what is remembered. Of lost members the one that is away longest gives way; of
	// seeds the first ones stay, since those come from the settings.
	maxLost  = 1024
	maxSeeds = 256
)

// Config sets up a Planner.
type Config struct {
	// Interval is the gap of seeds; above zero.
	Interval time.Duration
	// Rand spreads attempts; nil means a randomly seeded source.
	Rand *rand.Rand
}

// Target is a peer to contact.
type Target struct {
	// Name is that of a lost member, and "" for a seed.
	Name string
	// Addr is ip:port of a lost member; a seed's address is as its owner wrote it.
	Addr string
}

// Seed tells whether the target is a seed.
func (t Target) Seed() bool { return t.Name == "" }

// Outcome is what came of contacting a target.
type Outcome uint8

// The outcomes.
const (
	Failed  Outcome = iota // no answer
	Reached                // we have exchanged state
	Present                // of a seed: all that it stands for are members
	Refused                // it is of another cluster, or has another key
)

type peer struct {
	Target
	seen    time.Time // of a lost member: when it was last known alive
	until   time.Time // of a lost member: when to give up
	refused bool
	tried   uint64 // the number of the turn of the last attempt; 0 if there was none
}

// Planner remembers whom to look for.
type Planner struct {
	interval time.Duration
	turn     time.Duration
	rand     *rand.Rand
	seeds    []*peer // in the order in which they came
	lost     map[string]*peer
	turns    uint64
	alone    int // turns made alone, in a row
}

// New returns a planner that misses nobody.
func New(cfg Config) *Planner {
	if cfg.Rand == nil {
		cfg.Rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) //nolint:gosec // spreads load, protects nothing
	}
	return &Planner{interval: cfg.Interval, turn: min(maxTurn, cfg.Interval), rand: cfg.Rand, lost: make(map[string]*peer)}
}

// AddSeed adds an address that is to be a member's for ever. Adding it again changes nothing.
func (p *Planner) AddSeed(addr string) {
	if len(p.seeds) < maxSeeds && p.seed(addr) == nil {
		p.seeds = append(p.seeds, &peer{Target: Target{Addr: addr}})
	}
}

func (p *Planner) seed(addr string) *peer {
	i := slices.IndexFunc(p.seeds, func(s *peer) bool { return s.Addr == addr })
	if i < 0 {
		return nil
	}
	return p.seeds[i]
}

// Lost adds a member that is known no more although it never left. It was last alive at seen, and is looked for
// until the given time, or seen and MaxAge if that is zero.
func (p *Planner) Lost(name, addr string, seen, until time.Time) {
	if until.IsZero() {
		until = seen.Add(MaxAge)
	}
	p.lost[name] = &peer{Target: Target{Name: name, Addr: addr}, seen: seen, until: until}
	if len(p.lost) <= maxLost {
		return
	}
	var oldest *peer
	for _, l := range p.lost {
		if oldest == nil || cmp.Or(l.seen.Compare(oldest.seen), cmp.Compare(l.Name, oldest.Name)) < 0 {
			oldest = l
		}
	}
	delete(p.lost, oldest.Name)
}

// Forget ends the search for a member: it is back, or was removed for good.
func (p *Planner) Forget(name string) { delete(p.lost, name) }

// Wait returns how long to wait before the next Turn, with so many members alive, ourselves included.
func (p *Planner) Wait(alive int) time.Duration {
	pause := p.turn
	if alive <= 1 {
		pause = min(firstAlone<<min(p.alone, 10), maxAlone)
	}
	return pause/2 + time.Duration(p.rand.Int64N(int64(pause)))
}

// Turn returns whom to contact now: nobody, most of the time, if others are alive to do it. alive is the number of
// members alive, ourselves included. missing tells whether a target is to be looked for at all: a lost member that
// is no member of any status, a seed that may stand for somebody who is not alive.
func (p *Planner) Turn(now time.Time, alive int, missing func(Target) bool) []Target {
	p.turns++
	peers := p.missing(now, missing)
	if alive <= 1 {
		p.alone++
		return p.batch(peers)
	}
	p.alone = 0
	sum := 0.0
	for _, one := range peers {
		sum += p.rate(now, one)
	}
	if p.rand.Float64()*float64(alive) >= sum {
		return nil
	}
	x := p.rand.Float64() * sum
	for _, one := range peers {
		if x -= p.rate(now, one); x < 0 {
			one.tried = p.turns
			return []Target{one.Target}
		}
	}
	return nil
}

// missing lists whom to look for, in an order that depends on nothing but their names.
func (p *Planner) missing(now time.Time, missing func(Target) bool) []*peer {
	var peers []*peer
	for _, s := range p.seeds {
		if missing(s.Target) {
			peers = append(peers, s)
		}
	}
	seeds := len(peers)
	for name, l := range p.lost {
		if now.After(l.until) {
			delete(p.lost, name)
		} else if missing(l.Target) {
			peers = append(peers, l)
		}
	}
	slices.SortFunc(peers[seeds:], func(a, b *peer) int { return cmp.Compare(a.Name, b.Name) })
	return peers
}

// batch takes those who have waited longest, and those who refused us last.
func (p *Planner) batch(peers []*peer) []Target {
	p.rand.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
	slices.SortStableFunc(peers, func(a, b *peer) int { return cmp.Compare(a.tried, b.tried) })
	var targets []Target
	for _, one := range peers {
		if len(targets) == aloneBatch {
			break
		}
		if one.refused && p.rand.Float64() >= float64(maxAlone)/float64(refusedGap) {
			continue
		}
		one.tried = p.turns
		targets = append(targets, one.Target)
	}
	return targets
}

// rate is how often, for each turn, the whole cluster contacts the peer.
func (p *Planner) rate(now time.Time, one *peer) float64 {
	gap := p.interval
	if !one.Seed() {
		gap = min(max(now.Sub(one.seen)/patience, p.turn), maxGap)
	}
	if one.refused {
		gap = max(gap, refusedGap)
	}
	return float64(p.turn) / float64(gap)
}

// Done tells what came of contacting a target, and reports whether that is a refusal where there was none before.
func (p *Planner) Done(t Target, o Outcome) (refused bool) {
	one := p.lost[t.Name]
	if t.Seed() {
		one = p.seed(t.Addr)
	}
	if one == nil {
		return o == Refused
	}
	refused = o == Refused && !one.refused
	one.refused = o == Refused
	return refused
}
