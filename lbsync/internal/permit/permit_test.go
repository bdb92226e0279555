package permit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/permit"
)

// network delivers questions and answers between processes, each after a while of its own.
type network struct {
	mu    sync.Mutex
	nodes map[*node]func([]byte) []byte
	loss  float64 // of answers
}

// node is one process's way to the others.
type node struct {
	net  *network
	fail error // of Ask
}

func (n *node) Serve(ctx context.Context, answer func([]byte) []byte) error {
	n.net.mu.Lock()
	n.net.nodes[n] = answer
	n.net.mu.Unlock()
	<-ctx.Done()
	n.net.mu.Lock()
	delete(n.net.nodes, n)
	n.net.mu.Unlock()
	return ctx.Err()
}

func (n *node) Ask(ctx context.Context, question []byte, within time.Duration) ([][]byte, error) {
	if n.fail != nil {
		return nil, n.fail
	}
	n.net.mu.Lock()
	var all []func([]byte) []byte
	for _, answer := range n.net.nodes {
		all = append(all, answer)
	}
	loss := n.net.loss
	n.net.mu.Unlock()
	replies := make(chan []byte, len(all))
	for _, answer := range all {
		go func() {
			time.Sleep(rand.N(within / 3))
			reply := answer(question)
			time.Sleep(rand.N(within / 3))
			if reply != nil && rand.Float64() >= loss {
				replies <- reply
			}
		}()
	}
	time.Sleep(within)
	var got [][]byte
	for len(replies) > 0 {
		got = append(got, <-replies)
	}
	return got, ctx.Err()
}

// TestTurns: of many that want to reload at once never more than allowed do, and all of them get their turn.
func TestTurns(t *testing.T) {
	t.Parallel()
	for _, atOnce := range []int{1, 3} {
		t.Run(fmt.Sprint(atOnce), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				net := &network{nodes: map[*node]func([]byte) []byte{}}
				group := config.Group{Name: "edge", AtOnce: atOnce, Patience: time.Minute}
				ctx, cancel := context.WithCancel(t.Context())
				var running, turns atomic.Int64
				var serving, wanting sync.WaitGroup
				for i := range 8 {
					p := permit.New(&node{net: net}, []string{"edge"}, nil)
					serving.Go(func() { p.Run(ctx) })
					for _, target := range []string{"a", "b"} { // two targets in each process
						if i > 5 && target == "b" {
							continue
						}
						wanting.Go(func() {
							for range 3 {
								time.Sleep(rand.N(5 * time.Second))
								release := acquire(ctx, t, p, group, target)
								if n := running.Add(1); n > int64(atOnce) {
									t.Errorf("%d reload at once", n)
								}
								time.Sleep(rand.N(3 * time.Second))
								running.Add(-1)
								release()
								turns.Add(1)
							}
						})
					}
				}
				wanting.Wait()
				if turns.Load() != 3*14 {
					t.Errorf("%d turns", turns.Load())
				}
				cancel()
				serving.Wait()
				time.Sleep(time.Second) // what is under way
			})
		})
	}
}

// acquire asks until there is a turn.
func acquire(ctx context.Context, t *testing.T, p *permit.Permits, group config.Group, target string) func() {
	for {
		release, err := p.Acquire(ctx, group, target)
		if err == nil {
			return release
		}
		var wait *permit.WaitError
		if !errors.As(err, &wait) {
			t.Errorf("got %v", err)
			return func() {}
		}
		time.Sleep(time.Until(wait.Again))
	}
}

// TestSilence: an agent that cannot be asked ends the patience, and then it depends on the group.
func TestSilence(t *testing.T) {
	t.Parallel()
	for _, closed := range []bool{false, true} {
		t.Run(fmt.Sprint("closed ", closed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := permit.New(&node{fail: errors.New("connection refused")}, []string{"edge"}, nil)
				group := config.Group{Name: "edge", AtOnce: 1, Patience: time.Minute, Closed: closed}
				start := time.Now()
				for time.Since(start) < 10*time.Minute {
					release, err := p.Acquire(t.Context(), group, "haproxy/edge")
					if err == nil {
						release()
						break
					}
					var wait *permit.WaitError
					if !errors.As(err, &wait) || !strings.Contains(err.Error(), "connection refused") {
						t.Fatalf("got %v", err)
					}
					time.Sleep(time.Until(wait.Again))
				}
				if took := time.Since(start); closed != (took >= 10*time.Minute) || !closed && (took < time.Minute || took > 63*time.Second) {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// TestDeath: one that dies while it reloads is waited for a few rounds, and then forgotten.
func TestDeath(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		net := &network{nodes: map[*node]func([]byte) []byte{}}
		group := config.Group{Name: "edge", AtOnce: 1, Patience: time.Hour, Closed: true}
		dies, lives := permit.New(&node{net: net}, []string{"edge"}, nil), permit.New(&node{net: net}, []string{"edge"}, nil)
		first, kill := context.WithCancel(t.Context())
		second, end := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { dies.Run(first) })
		wg.Go(func() { lives.Run(second) })
		synctest.Wait()
		if _, err := dies.Acquire(first, group, "x"); err != nil {
			t.Fatal(err)
		}
		if _, err := lives.Acquire(second, group, "x"); err == nil {
			t.Fatal("two at once")
		}
		kill()
		synctest.Wait()
		rounds := 0
		for ; rounds < 20; rounds++ {
			if _, err := lives.Acquire(second, group, "x"); err == nil {
				break
			}
		}
		if rounds != 3 {
			t.Errorf("%d rounds", rounds)
		}
		end()
		wg.Wait()
	})
}

// FuzzAnswer: whatever others send, nothing breaks and no turn is lost for ever.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"g":"edge","i":"x","n":"y","t":18446744073709551615}`), []byte(`{"i":"x","a":-1,"c":7}`))
	f.Add([]byte(`{"g":"edge"}`), []byte(`[]`))
	f.Fuzz(func(t *testing.T, question, answer []byte) {
		var ask func([]byte) []byte
		m := &fixed{answers: [][]byte{answer}, serve: func(handler func([]byte) []byte) { ask = handler }}
		p := permit.New(m, []string{"edge"}, nil)
		p.Run(canceled())
		ask(question)
		m.answers = nil
		for range 5 {
			if release, err := p.Acquire(context.Background(), config.Group{Name: "edge", AtOnce: 1, Patience: 0}, "t"); err == nil {
				release()
				return
			}
		}
		t.Error("no turn although nobody answers and there is no patience")
	})
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

type fixed struct {
	answers [][]byte
	serve   func(func([]byte) []byte)
}

func (m *fixed) Ask(context.Context, []byte, time.Duration) ([][]byte, error) { return m.answers, nil }
func (m *fixed) Serve(_ context.Context, answer func([]byte) []byte) error {
	m.serve(answer)
	return nil
}
