package mdns

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

// answer is what a fake network says some time after a question.
type answer struct {
	after time.Duration
	addr  string
}

// network fakes the answers to one question after the other; a nil round is a question that cannot be asked.
type network struct {
	mu     sync.Mutex
	rounds [][]answer
	asked  []time.Duration // since start
	joins  []string        // "time: addresses"
	start  time.Time
}

func (n *network) query(ctx context.Context, found chan<- netip.AddrPort) error {
	n.mu.Lock()
	n.asked = append(n.asked, time.Since(n.start))
	var round []answer
	if len(n.asked) <= len(n.rounds) {
		round = n.rounds[len(n.asked)-1]
	} else {
		round = []answer{}
	}
	n.mu.Unlock()
	if round == nil {
		return errors.New("network is unreachable")
	}
	end := time.After(queryWindow)
	for _, a := range round {
		select {
		case <-time.After(a.after):
		case <-ctx.Done():
			return nil
		}
		found <- netip.MustParseAddrPort(a.addr)
	}
	select {
	case <-end:
	case <-ctx.Done():
	}
	return nil
}

// run lets a Discovery whose own address is 10.0.0.1:7946 run on the network for a while.
func (n *network) run(t *testing.T, d time.Duration, joinTakes time.Duration) (log string) {
	t.Helper()
	n.start = time.Now()
	var out strings.Builder
	disc := &Discovery{
		cfg: Config{
			Addr: netip.MustParseAddrPort("10.0.0.1:7946"),
			Join: func(ctx context.Context, addrs []string) {
				n.joins = append(n.joins, time.Since(n.start).String()+": "+strings.Join(addrs, " "))
				select {
				case <-time.After(joinTakes):
				case <-ctx.Done():
				}
			},
			Log: hclog.New(&hclog.LoggerOptions{Output: &out}),
		},
		query: n.query,
		tried: map[netip.AddrPort]bool{},
	}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	disc.Run(ctx)
	return out.String()
}

// TestGather: what comes is joined once nothing new has come for a moment; each address once, our own never.
func TestGather(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	tests := []struct {
		name      string
		rounds    [][]answer
		joinTakes time.Duration
		want      []string
	}{
		{"nobody", [][]answer{{}}, 0, nil},
		{"ourselves", [][]answer{{{0, "10.0.0.1:7946"}}}, 0, nil},
		{"one batch", [][]answer{{{5 * ms, "10.0.0.2:1"}, {90 * ms, "10.0.0.3:1"}, {99 * ms, "[2001:db8::1]:1"}}}, 0,
			[]string{"294ms: 10.0.0.2:1 10.0.0.3:1 [2001:db8::1]:1"}},
		{"two batches", [][]answer{{{0, "10.0.0.2:1"}, {101 * ms, "10.0.0.3:1"}}}, 0,
			[]string{"100ms: 10.0.0.2:1", "201ms: 10.0.0.3:1"}},
		{"the window ends first", [][]answer{{{950 * ms, "10.0.0.2:1"}}}, 0, []string{"1s: 10.0.0.2:1"}},
		{"twice in a round", [][]answer{{{0, "10.0.0.2:1"}, {0, "10.0.0.2:1"}}}, 0, []string{"100ms: 10.0.0.2:1"}},
		{"known ones do not delay", [][]answer{{{0, "10.0.0.2:1"}, {80 * ms, "10.0.0.2:1"}}}, 0, []string{"100ms: 10.0.0.2:1"}},
		{"the port counts", [][]answer{{{0, "10.0.0.1:1"}}}, 0, []string{"100ms: 10.0.0.1:1"}},
		{"later rounds", [][]answer{{{0, "10.0.0.2:1"}}, {{0, "10.0.0.2:1"}, {0, "10.0.0.3:1"}}}, 0,
			[]string{"100ms: 10.0.0.2:1", "1m0.1s: 10.0.0.3:1"}},
		{"a slow join", [][]answer{{{0, "10.0.0.2:1"}, {200 * ms, "10.0.0.3:1"}}}, 5 * time.Second,
			[]string{"100ms: 10.0.0.2:1", "5.1s: 10.0.0.3:1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := &network{rounds: tt.rounds}
				n.run(t, 90*time.Second, tt.joinTakes)
				if !slices.Equal(n.joins, tt.want) {
					t.Errorf("got %q, want %q", n.joins, tt.want)
				}
				if want := []time.Duration{0, time.Minute}; !slices.Equal(n.asked, want) {
					t.Errorf("asked at %v, want %v", n.asked, want)
				}
			})
		})
	}
}

// TestFailure: without a network the question is repeated, ever more slowly, and one line is logged.
func TestFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := &network{rounds: [][]answer{nil, nil, nil, {{0, "10.0.0.2:1"}}, nil}}
		log := n.run(t, 122*time.Second, 0)
		want := []time.Duration{0, 1 * time.Second, 3 * time.Second, 7 * time.Second, 60 * time.Second, 61 * time.Second, 120 * time.Second}
		if !slices.Equal(n.asked, want) {
			t.Errorf("asked at %v, want %v", n.asked, want)
		}
		if c := strings.Count(log, "unreachable"); c != 2 {
			t.Errorf("%d lines for two times without a network:\n%s", c, log)
		}
		if want := []string{"7.1s: 10.0.0.2:1"}; !slices.Equal(n.joins, want) {
			t.Errorf("got %q, want %q", n.joins, want)
		}
	})
}

// TestStopDuringRound: the end of the agent does not wait for the question.
func TestStopDuringRound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := &network{rounds: [][]answer{{{0, "10.0.0.2:1"}}}}
		began := time.Now()
		n.run(t, 50*time.Millisecond, 0)
		if took := time.Since(began); took != 50*time.Millisecond || len(n.joins) != 0 {
			t.Errorf("took %v, joined %q", took, n.joins)
		}
	})
}

func TestTriedIsBounded(t *testing.T) {
	t.Parallel()
	d := &Discovery{cfg: Config{Log: hclog.NewNullLogger()}, tried: map[netip.AddrPort]bool{}}
	for i := range 2 * maxTried {
		d.isNew(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1))
	}
	if len(d.tried) != maxTried {
		t.Errorf("%d addresses are remembered", len(d.tried))
	}
}

func TestStartErrors(t *testing.T) {
	t.Parallel()
	for _, cfg := range []Config{
		{Cluster: "c", Node: "n", DisableIPv4: true, DisableIPv6: true},
		{Cluster: strings.Repeat("c", 60), Node: "n"},
		{Cluster: "a..b", Node: "n"},
	} {
		cfg.Log = hclog.NewNullLogger()
		if _, err := Start(cfg); err == nil {
			t.Errorf("%+v: started", cfg)
		}
	}
}
