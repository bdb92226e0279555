//go:build unix

package reconcile_test

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/lbsync/internal/haproxy/cli"
	"github.com/seed-645ce708/gossip/lbsync/internal/lbtest"
)

// noWaits leaves out what is only waited for by configuration.
const noWaits = `
  wait {
    add   = "0s"
    leave = "0s"
    fail  = "0s"
  }
`

// benchConfig is a configuration but for the service's waits.
const benchConfig = `
state_dir = "state"
source "gossip" { settle = "0s" }
service "web" {
  endpoint { allow_loopback = true }
  %s
  guard {
    max_removal  = "100%%"
    failed_grace = "0s"
    flap { suppress = 1000 }
  }
  drain { timeout = "0s" }
}
target "haproxy" "edge" {
  config = "haproxy.cfg"
  file {
    dest  = "web.cfg"
    adopt = true
  }
  runtime { socket = "admin.sock" }
  reload { master = "master.sock" }
  backend "web" {
    service = "web"
    options = "check inter 60s"
  }
}
`

// fleetOf is a source with so many members, each at an address of its own, and a running HAProxy that has them.
func fleetOf(b *testing.B, n int, waits string) (*fakeSource, *lbtest.Balancer, []api.Member) {
	b.Helper()
	balancer := lbtest.HAProxy(b)
	src := newSource()
	startLoop(b, src, balancer.Dir, fmt.Sprintf(benchConfig, waits))
	members := make([]api.Member, n)
	for i := range members {
		members[i] = member(fmt.Sprintf("web-%04d", i), fmt.Sprintf("127.%d.%d.1:8080", 1+i/200, i%200), "alive")
	}
	src.members(slices.Clone(members)...)
	lbtest.Eventually(b, func() error {
		if got := len(servers(b, balancer.Admin)); got != n {
			return fmt.Errorf("%d servers of %d", got, n)
		}
		return nil
	})
	return src, balancer, members
}

func servers(tb testing.TB, socket string) map[string]cli.ServerState {
	tb.Helper()
	out := map[string]cli.ServerState{}
	reply, err := cli.New(socket, 10*time.Second).Query(context.Background(), cli.ShowState("web"))
	if err != nil {
		return out // it is being reloaded
	}
	states, err := cli.ParseServersState(reply[0])
	if err != nil {
		tb.Fatal(err)
	}
	for _, s := range states {
		out[s.Name] = s
	}
	return out
}

// BenchmarkEventToHAProxy measures how long it takes from the moment the view of 100 members changes until HAProxy has
// the server that joined, or gives nothing more to the one that left. The file is written first, each time.
func BenchmarkEventToHAProxy(b *testing.B) {
	src, balancer, members := fleetOf(b, 100, noWaits)
	var joined, left []time.Duration
	extra := member("extra", "127.9.9.9:8080", "alive")
	until := func(done func(cli.ServerState, bool) bool) time.Duration {
		start := time.Now()
		for {
			s, ok := servers(b, balancer.Admin)["extra"]
			if done(s, ok) {
				return time.Since(start)
			}
			if time.Since(start) > 30*time.Second {
				b.Fatalf("not within 30s: %+v", s)
			}
			time.Sleep(500 * time.Microsecond)
		}
	}
	for b.Loop() {
		extra.Status = "alive"
		src.members(append(slices.Clone(members), extra)...)
		joined = append(joined, until(func(s cli.ServerState, ok bool) bool { return ok && !s.InMaint() && s.Weight > 0 }))
		extra.Status = "left"
		src.members(append(slices.Clone(members), extra)...)
		left = append(left, until(func(s cli.ServerState, ok bool) bool { return !ok || s.InMaint() || s.Weight == 0 }))
		until(func(_ cli.ServerState, ok bool) bool { return !ok })
	}
	b.ReportMetric(0, "ns/op")
	report(b, joined, "in")
	report(b, left, "out")
}

func report(b *testing.B, all []time.Duration, what string) {
	slices.Sort(all)
	ms := func(share float64) float64 {
		return float64(all[min(len(all)-1, int(share*float64(len(all))))].Microseconds()) / 1000
	}
	b.ReportMetric(ms(0.50), "ms-"+what+"-p50")
	b.ReportMetric(ms(0.99), "ms-"+what+"-p99")
}

// BenchmarkChurn has 1,000 members of which 100 change their weight in each second, with the default waits, and says how much
// of a core that costs us, without HAProxy.
func BenchmarkChurn(b *testing.B) {
	src, balancer, members := fleetOf(b, 1000, "")
	const perSecond, seconds = 100, 10
	for b.Loop() {
		before, start := cpu(b), time.Now()
		for i := range perSecond * seconds {
			m := &members[i*37%len(members)]
			m.Tags = map[string]string{"svc:web": fmt.Sprintf("8080,w=%d", 1+i%200)}
			src.members(slices.Clone(members)...)
			time.Sleep(time.Until(start.Add(time.Duration(i+1) * time.Second / perSecond)))
		}
		b.ReportMetric((cpu(b)-before).Seconds()/time.Since(start).Seconds(), "cores")
		last := members[(perSecond*seconds-1)*37%len(members)].Name
		want := 1 + (perSecond*seconds-1)%200
		changed := time.Now()
		lbtest.Eventually(b, func() error {
			if got := servers(b, balancer.Admin)[last].Weight; got != want {
				return fmt.Errorf("%s has weight %d, want %d", last, got, want)
			}
			return nil
		})
		b.ReportMetric(float64(time.Since(changed).Milliseconds()), "ms-behind")
	}
	b.ReportMetric(0, "ns/op")
}

// cpu returns the processor time that this process and the programs it waited for have used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var sum time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err != nil {
			b.Fatal(err)
		}
		sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return sum
}
