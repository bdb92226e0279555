package sim

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"testing"
	"time"
)

// digest sums up all that a world sends: who, to whom, when and how much.
func digest(w *World) func() string {
	h := fnv.New64a()
	w.onSend = func(from, to int32, p *packet, bytes int) {
		var b [32]byte
		binary.LittleEndian.PutUint64(b[0:], uint64(w.now))
		binary.LittleEndian.PutUint32(b[8:], uint32(from))
		binary.LittleEndian.PutUint32(b[12:], uint32(to))
		binary.LittleEndian.PutUint32(b[16:], uint32(bytes))
		b[20] = byte(p.purpose)
		_, _ = h.Write(b[:]) // never fails
	}
	return func() string { return fmt.Sprintf("%x %+v", h.Sum64(), w.counters) }
}

// trouble lets a cluster live through a bit of everything.
func trouble(w *World, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	n := len(w.nodes)
	w.Start(0)
	for i := 1; i < n; i++ {
		w.Start(i)
		w.JoinUntil(i, []int{r.IntN(i), 0}, time.Second)
		w.Run(time.Duration(r.IntN(100)) * time.Millisecond)
	}
	w.Run(10 * time.Second)
	w.Loss(0.05)
	w.Duplicate(0.05)
	for round := range 6 {
		if err := w.UserEvent(r.IntN(n/2), fmt.Sprint("event ", round), []byte{1}); err != nil {
			panic(err)
		}
		w.Freeze(n/2+r.IntN(n/2), 3*time.Second)
		switch round {
		case 1:
			w.Kill(n - 1)
		case 2:
			w.Leave(n - 2)
		case 3:
			w.Partition(func(id int) int { return id % 2 })
		case 4:
			w.Heal()
		case 5:
			w.Start(n - 1)
			w.JoinUntil(n-1, []int{1, 2}, time.Second)
		}
		w.Run(20 * time.Second)
	}
	w.Loss(0)
	w.Run(2 * time.Minute)
}

func TestSeedsRepeat(t *testing.T) {
	t.Parallel()
	run := func(seed uint64) string {
		w := New(Config{Nodes: 40, Seed: seed, Timing: SerfLAN(), Network: LAN(), Machines: -1})
		d := digest(w)
		trouble(w, seed)
		return d()
	}
	if a, b := run(1), run(1); a != b {
		t.Errorf("one seed, two runs:\n%s\n%s", a, b)
	}
	if a, b := run(1), run(2); a == b {
		t.Error("two seeds give one run")
	}
}

func TestCompactModelsDecideAsStateMachinesDo(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		run := func(machines int) string {
			w := New(Config{Nodes: 40, Seed: seed, Timing: SerfLAN(), Network: LAN(), Machines: machines})
			d := digest(w)
			trouble(w, seed)
			return d()
		}
		want := run(-1)
		for _, machines := range []int{0, 13} {
			if got := run(machines); got != want {
				t.Errorf("seed %d, %d of 40 real:\n got %s\nwant %s", seed, machines, got, want)
			}
		}
	}
}
