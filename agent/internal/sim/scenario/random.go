package scenario

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// Random returns a story of so many agents and faults that ends well: a while after the last fault all must agree.
// It is the same for the same seed. Agent 1 stays. Nobody leaves during a partition: who is cut off takes such a member
// for alive for up to minutes, and when it is back after the others have forgotten, memberlist believes it.
func Random(seed uint64, agents, faults int) string {
	r := rand.New(rand.NewPCG(seed, 0x7363656e6172696f)) //nolint:gosec // repeatable by design
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("start %d stagger=%v", agents, time.Duration(r.IntN(100))*time.Millisecond)
	line("expect converge within 2m")
	down := map[int]bool{}
	gone := map[int]bool{}
	cut := false
	pick := func(want bool) (int, bool) {
		for range 20 {
			if id := 2 + r.IntN(agents-1); down[id] == want && !gone[id] {
				return id, true
			}
		}
		return 0, false
	}
	events := 0
	for range faults {
		switch r.IntN(9) {
		case 0:
			if id, ok := pick(false); ok && len(down) < agents/3 {
				down[id] = true
				line("kill %d", id)
			}
		case 1:
			if id, ok := pick(false); ok && len(down) < agents/3 && !cut {
				down[id], gone[id] = true, true
				line("leave %d\nrun 10s", id)
			}
		case 2:
			if id, ok := pick(true); ok {
				delete(down, id)
				line("restart %d", id)
			}
		case 3:
			first := 2 + r.IntN(agents-2)
			cut = true
			line("partition 1-%d %d-%d", first-1, first, agents)
		case 4:
			cut = false
			line("heal")
		case 5:
			line("loss %d%%", r.IntN(21))
		case 6:
			if id, ok := pick(false); ok {
				line("freeze %d %v", id, time.Duration(1+r.IntN(20))*time.Second)
			}
		case 7:
			line("duplicate %d%%", r.IntN(21))
		case 8:
			if id, ok := pick(false); ok {
				events++
				line("event %d event-%d", id, events)
			}
		}
		line("run %v", time.Duration(r.IntN(20000))*time.Millisecond)
	}
	line("heal\nloss 0%%\nduplicate 0%%")
	line("expect converge within 15m")
	line("event 1 last")
	line("expect last within 1m")
	line("run 3m # for suspicions that were under way")
	line("steady\nrun 1m\nexpect steady\nexpect converge within 0s")
	return b.String()
}
