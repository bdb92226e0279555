package simnet

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/sim"
	"github.com/seed-645ce708/gossip/agent/internal/sim/scenario"
)

// TestModelAgrees holds package sim's model to the real engine: an idle agent sends as many packets and bytes in the
// one as in the other, and an event takes as long.
func TestModelAgrees(t *testing.T) {
	t.Parallel()
	const agents = 30
	model := sim.Measure(agents, -1, 1, sim.SerfLAN(), sim.LAN(), nil)
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 1, agents, "serf-lan")
		defer s.stopAll()
		story, err := scenario.Parse("start 30 stagger=50ms\nexpect converge within 2m\nrun 1m")
		if err != nil {
			t.Fatal(err)
		}
		if err := story.Run(s); err != nil {
			t.Fatal(err)
		}
		before := s.net.Counters()
		const span = 2 * time.Minute
		time.Sleep(span)
		after := s.net.Counters()
		per := agents * span.Seconds()
		compare := func(what string, model, real, tolerance float64) {
			t.Helper()
			t.Logf("%s: model %.2f, engine %.2f", what, model, real)
			if math.Abs(model-real) > tolerance*real {
				t.Errorf("%s: model %.2f, engine %.2f", what, model, real)
			}
		}
		const headers = 28
		packets := float64(after.Packets-before.Packets) / per
		bytes := float64(after.PacketBytes-before.PacketBytes)/per + headers*packets
		compare("packets a second", model.Idle.PacketsPerSecond, packets, 0.05)
		compare("bytes a second in packets", model.Idle.BytesPerSecond*(1-model.Idle.StreamShare), bytes, 0.1)
		streams := float64(after.StreamBytes-before.StreamBytes) / per
		compare("bytes a second in streams", model.Idle.BytesPerSecond*model.Idle.StreamShare, streams, 0.35)

		start := time.Now()
		if err := s.Event(3, "x"); err != nil {
			t.Fatal(err)
		}
		for id := 0; id < agents; {
			if s.log.Had(id, "x") {
				id++
				continue
			}
			time.Sleep(time.Millisecond)
		}
		compare("milliseconds for an event", float64(model.Event.All.Milliseconds()), float64(time.Since(start).Milliseconds()), 1)
	})
}
