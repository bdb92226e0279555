package sim

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/view"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// Spread is how long news took to reach agents, from when it was made.
type Spread struct {
	First, Half, Most, All time.Duration // the first of them, 50 %, 99 % and 100 %
	Reached, Of            int
}

// Complete reports whether everyone was reached. If not, Spread's times are of those who were.
func (s Spread) Complete() bool { return s.Reached == s.Of }

// String gives the times in milliseconds, as a row of numbers would.
func (s Spread) String() string {
	text := fmt.Sprintf("50 %% %d ms, 99 %% %d ms, 100 %% %d ms", s.Half.Milliseconds(), s.Most.Milliseconds(), s.All.Milliseconds())
	if !s.Complete() {
		text += fmt.Sprintf(" (only %d of %d)", s.Reached, s.Of)
	}
	return text
}

func spread(times []time.Duration, of int) Spread {
	s := Spread{Reached: len(times), Of: of}
	if len(times) == 0 {
		return s
	}
	slices.Sort(times)
	at := func(share float64) time.Duration { return times[min(int(share*float64(len(times))), len(times)-1)] }
	s.First, s.Half, s.Most, s.All = times[0], at(0.5), at(0.99), times[len(times)-1]
	return s
}

// median returns, for each of the times, that of the middle run.
func median(all []Spread) Spread {
	pick := func(f func(Spread) time.Duration) time.Duration {
		times := make([]time.Duration, len(all))
		for i, s := range all {
			times[i] = f(s)
		}
		slices.Sort(times)
		return times[len(times)/2]
	}
	worst := slices.MinFunc(all, func(a, b Spread) int { return cmp.Compare(a.Reached-a.Of, b.Reached-b.Of) })
	return Spread{
		First: pick(func(s Spread) time.Duration { return s.First }), Half: pick(func(s Spread) time.Duration { return s.Half }),
		Most: pick(func(s Spread) time.Duration { return s.Most }), All: pick(func(s Spread) time.Duration { return s.All }),
		Reached: worst.Reached, Of: worst.Of,
	}
}

// Traffic is what an agent sends, on average.
type Traffic struct {
	BytesPerSecond   float64 // with IP, UDP and TCP headers
	PacketsPerSecond float64
	StreamShare      float64 // of the bytes, in push/pulls
}

// Report is what Measure found. Spreads are medians of several runs.
type Report struct {
	Nodes    int
	Machines int // of them, real state machines

	// Cold is how long it takes agents that start at once, and all join the first, to know everyone: until half, 99 % and
	// all of them do. It is not measured above coldLimit agents.
	Cold  Spread
	Idle  Traffic
	Event Spread // a user event, until it is delivered
	// EventBytes is what an agent sends on account of one user event, with its share of gossip that follows.
	EventBytes float64
	Join       Spread // one agent joins, until the others see it
	Leave      Spread // one leaves in peace, until the others see it as left
	Crash      Spread // one is killed, until the others see it as failed
	// False is how often an agent takes another for failed that is not, in a minute of 5 % loss in which one agent
	// stands still for 3 s.
	False int

	Virtual time.Duration // simulated
	Steps   uint64        // of the simulation
}

// Measure simulates a cluster of so many agents, who know each other, and measures one thing after the other. Of
// the agents at most machines are real state machines; below 0 all are. progress, if not nil, is told what comes next.
func Measure(nodes, machines int, seed uint64, timing Timing, network Network, progress func(string)) Report {
	if progress == nil {
		progress = func(string) {}
	}
	const rounds = 5
	w := New(Config{Nodes: nodes + rounds, Seed: seed, Timing: timing, Network: network, Machines: machines})
	r := Report{Nodes: nodes, Machines: machines}
	if machines < 0 || machines > nodes {
		r.Machines = nodes
	}
	progress("start")
	w.StartAll(rounds)
	w.Run(2 * time.Second)

	progress("idle")
	r.Idle = w.traffic(nodes, max(30*time.Second, pushPullScale(timing.PushPullInterval, nodes)/4))

	progress("user events")
	var spreads []Spread
	before, began := w.counters, w.Now()
	for i := range rounds {
		spreads = append(spreads, w.measureEvent(i*nodes/rounds, fmt.Sprint("event ", i)))
	}
	r.Event = median(spreads)
	idle := r.Idle.BytesPerSecond * (1 - r.Idle.StreamShare) * (w.Now() - began).Seconds()
	r.EventBytes = (float64(w.counters.PacketBytes-before.PacketBytes)/float64(nodes) - idle) / rounds

	progress("joins")
	spreads = nil
	for i := range rounds {
		spreads = append(spreads, w.measureJoin(nodes+i, i*nodes/rounds))
	}
	r.Join = median(spreads)

	progress("leaves")
	spreads = nil
	// Not those who have just joined: in a large cluster they are busy for minutes passing on whom they met.
	for i := range min(rounds, nodes/4) {
		spreads = append(spreads, w.measureGone(nodes/2+i, view.StatusLeft, w.Leave, 30*time.Second))
	}
	r.Leave = median(spreads)
	w.Run(2*timing.Broadcast + timing.Propagate)

	progress("crashes")
	spreads = nil
	for i := range min(rounds, nodes/4) {
		spreads = append(spreads, w.measureGone(1+i, view.StatusFailed, w.Kill, 5*time.Minute))
	}
	r.Crash = median(spreads)

	progress("rough weather")
	r.False = w.measureFalse(nodes - 1)
	r.Steps, r.Virtual = w.steps, w.Now()
	if nodes <= coldLimit {
		progress("cold start")
		r.Cold = measureCold(nodes, seed, timing, network)
	}
	return r
}

// coldLimit is up to how many agents a cold start is measured: each sends news of each to everyone.
const coldLimit = 1000

func measureCold(nodes int, seed uint64, timing Timing, network Network) Spread {
	w := New(Config{Nodes: nodes, Seed: seed, Timing: timing, Network: network, Machines: 0})
	known := make([]int, nodes)
	var times []time.Duration
	w.onMember = func(at, _ int32, s view.Status) {
		if s == view.StatusAlive {
			if known[at]++; known[at] == nodes {
				times = append(times, w.Now())
			}
		}
	}
	for id := range nodes {
		w.later(time.Duration(id)*time.Millisecond/10, func() {
			w.Start(id)
			if id > 0 {
				w.JoinUntil(id, []int{0}, time.Second)
			}
		})
	}
	w.RunUntil(func() bool { return len(times) == nodes }, 10*time.Minute)
	return spread(times, nodes)
}

func (w *World) traffic(nodes int, d time.Duration) Traffic {
	before := w.counters
	w.Run(d)
	packets := float64(w.counters.Packets - before.Packets)
	bytes, streams := float64(w.counters.PacketBytes-before.PacketBytes), float64(w.counters.StreamBytes-before.StreamBytes)
	per := float64(nodes) * d.Seconds()
	return Traffic{BytesPerSecond: (bytes + streams) / per, PacketsPerSecond: packets / per, StreamShare: streams / (bytes + streams)}
}

func (w *World) running() int {
	count := 0
	for i := range w.nodes {
		if w.nodes[i].up {
			count++
		}
	}
	return count
}

// quiet is a pause between two measurements.
const quiet = 3 * time.Second

func (w *World) measureEvent(from int, name string) Spread {
	start, of := w.Now(), w.running()
	var times []time.Duration
	w.onEvent = func(_ int32, e *wire.UserEvent) {
		if e.Name == name {
			times = append(times, w.Now()-start)
		}
	}
	if err := w.UserEvent(from, name, []byte("payload of no great size")); err != nil {
		return Spread{Of: of}
	}
	w.RunUntil(func() bool { return len(times) >= of }, time.Minute)
	w.onEvent = nil
	w.Run(quiet)
	return spread(times, of)
}

func (w *World) measureJoin(id, seed int) Spread {
	start, of := w.Now(), w.running()
	times := w.watch(id, view.StatusAlive)
	w.Start(id)
	w.JoinUntil(id, []int{seed}, time.Second)
	w.RunUntil(func() bool { return len(*times) >= of }, 5*time.Minute)
	w.onMember = nil
	w.Run(quiet)
	return since(start, *times, of)
}

// measureGone ends an agent and waits until all others give it the status.
func (w *World) measureGone(id int, status view.Status, end func(int), limit time.Duration) Spread {
	start, of := w.Now(), w.running()-1
	times := w.watch(id, status)
	end(id)
	w.RunUntil(func() bool { return len(*times) >= of }, limit)
	w.onMember = nil
	w.Run(quiet)
	return since(start, *times, of)
}

// watch notes when agents other than a member first give it a status.
func (w *World) watch(id int, status view.Status) *[]time.Duration {
	times := &[]time.Duration{}
	seen := map[int32]bool{}
	w.onMember = func(at, subject int32, s view.Status) {
		if int(subject) == id && at != subject && s == status && !seen[at] {
			seen[at] = true
			*times = append(*times, w.Now())
		}
	}
	return times
}

func since(start time.Duration, times []time.Duration, of int) Spread {
	for i := range times {
		times[i] -= start
	}
	return spread(times, of)
}

// measureFalse counts how often an agent takes another for failed that is not, in bad weather.
func (w *World) measureFalse(stalled int) int {
	wrong := 0
	w.onMember = func(_, subject int32, s view.Status) {
		if s == view.StatusFailed && w.nodes[subject].up {
			wrong++
		}
	}
	loss := w.cfg.Network.Loss
	w.Loss(0.05)
	w.Run(10 * time.Second)
	w.Freeze(stalled, 3*time.Second)
	w.Run(50 * time.Second)
	w.Loss(loss)
	w.onMember = nil
	return wrong
}
