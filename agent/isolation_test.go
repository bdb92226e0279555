package agent

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/simnet"
)

// TestWhoIsCutOff: of twenty agents a part is cut off from the rest, in virtual time. Those who are the smaller part say
// that they are isolated, nobody else does, and nobody does any more once the network is back.
func TestWhoIsCutOff(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		part, lost int // so many are on one side, or lost with their hosts
		isolated   int // how many say it
		within     time.Duration
		evidence   string // part of it
	}{
		{part: 1, isolated: 1, within: 20 * time.Second, evidence: "no sign of life from any of 19 other members"},
		{part: 6, isolated: 6, within: 2 * time.Minute, evidence: ""},
		{part: 10, isolated: 0, within: 2 * time.Minute},
		{lost: 8, isolated: 0, within: 2 * time.Minute},
	} {
		t.Run(fmt.Sprintf("%d apart, %d lost", tt.part, tt.lost), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const n = 20
				b := &bubble{t: t, net: simnet.New(simnet.Options{Seed: 1, Delay: time.Millisecond, Jitter: time.Millisecond}), agents: map[string]*Agent{}}
				defer b.end()
				name := func(i int) string { return fmt.Sprintf("n%02d", i) }
				addr := func(i int) netip.AddrPort {
					return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 7946)
				}
				for i := range n {
					b.start(name(i), addr(i), func(cfg *Config) {
						if i > 0 {
							cfg.StartJoin = []string{addr(0).String()}
						}
					})
				}
				b.sees(n, everyone, 5*time.Minute)
				time.Sleep(time.Minute)
				isolated := func() (in, out int, evidence string) {
					for i := range n - tt.lost {
						c := b.agents[name(i)].Confidence()
						switch {
						case !c.Isolated:
						case i < tt.part:
							in++
							evidence = c.Evidence
						default:
							out++
						}
					}
					return in, out, evidence
				}
				check := func(when string, want int) {
					t.Helper()
					if in, out, evidence := isolated(); in != want || out != 0 || want > 0 && !strings.Contains(evidence, tt.evidence) {
						t.Errorf("%s: %d of those apart and %d others say that they are isolated, want %d and none; evidence %q", when, in, out, want, evidence)
					}
				}
				check("before", 0)
				b.net.Partition(func(a netip.AddrPort) int {
					switch i := int(a.Addr().As4()[3]) - 1; {
					case i < tt.part:
						return 1
					case i >= n-tt.lost:
						return 2 + i // each for itself, which is as good as dead
					default:
						return 0
					}
				})
				start := time.Now()
				for time.Since(start) < tt.within {
					time.Sleep(time.Second)
					if in, out, _ := isolated(); out > 0 {
						t.Fatalf("after %v %d of the larger part say that they are isolated", time.Since(start), out)
					} else if in == tt.isolated && in > 0 {
						break
					}
				}
				check(fmt.Sprintf("after %v", time.Since(start)), tt.isolated)
				b.net.Partition(func(netip.AddrPort) int { return 0 })
				b.sees(n, everyone, 10*time.Minute)
				time.Sleep(15 * time.Second)
				check("healed", 0)
			})
		})
	}
}
