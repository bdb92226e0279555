package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/seed-645ce708/gossip/examples/internal/harness"
)

// balancer is a running balancer and the cluster that it follows.
type balancer struct {
	*harness.Stage
	kind string
	addr string // where clients ask
	lb   *harness.Agent
}

// member starts a member, and its web server so much later.
func (b *balancer) member(ctx context.Context, name string, ready time.Duration) (*harness.Agent, *harness.Service, error) {
	web, err := harness.NewService(name, nil)
	if err != nil {
		return nil, nil, err
	}
	agent, err := b.StartAgent(ctx, harness.AgentConfig{Name: name, Args: []string{
		"-tag=role=web", fmt.Sprintf("-tag=port=%d", harness.Port(web.Addr)), "-join=" + b.lb.Gossip, "-dns-addr=",
	}})
	if err == nil && pause(ctx, ready) {
		err = web.Open()
	}
	return agent, web, err
}

// settled waits until the steady members answer, and nothing has been reloaded for a while.
func (b *balancer) settled(ctx context.Context) error {
	var answers []string
	if err := harness.Eventually(ctx, func() error {
		body, err := harness.Get(ctx, b.addr)
		if err != nil {
			return err
		}
		if !slices.Contains(answers, body) {
			answers = append(answers, body)
		}
		if len(answers) < steady {
			return fmt.Errorf("only %q answer", answers)
		}
		return nil
	}); err != nil {
		return err
	}
	quiet, last := time.Now(), -1
	return harness.Eventually(ctx, func() error {
		n, err := b.reloads()
		if err != nil {
			return err
		}
		if n != last {
			quiet, last = time.Now(), n
		}
		if time.Since(quiet) < 5*time.Second {
			return fmt.Errorf("reloaded %d times, and not long ago", n)
		}
		return nil
	})
}

// reloads asks the balancer how often it was reloaded.
func (b *balancer) reloads() (int, error) {
	if b.kind == "haproxy" {
		return harness.HAProxyReloads(b.Path("master.sock"))
	}
	return harness.NginxReloads(b.Path("nginx-error.log"))
}

// churn has a member join every second and, as soon as the first is old enough, one leave every second, and returns how
// many joined. It returns when all of them have left.
func (b *balancer) churn(ctx context.Context, length time.Duration) (int, error) {
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		failed error
		joins  int
	)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for end := time.Now().Add(length); time.Now().Before(end); joins++ {
		name := fmt.Sprintf("web-%d", joins)
		wg.Go(func() {
			if err := b.live(ctx, name); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = fmt.Errorf("%s: %w", name, err)
			}
		})
		select {
		case <-ctx.Done():
			wg.Wait()
			return joins, ctx.Err()
		case <-tick.C:
		}
	}
	wg.Wait()
	return joins, failed
}

// live is the life of a member: it joins, serves, leaves, and ends what its balancer may still send it.
func (b *balancer) live(ctx context.Context, name string) error {
	agent, web, err := b.member(ctx, name, startup)
	if err != nil {
		return err
	}
	pause(ctx, lifetime)
	if _, err := agent.Must(ctx, "leave"); err != nil {
		return err
	}
	pause(ctx, grace)
	return web.Stop(ctx)
}

// pause waits, and says whether ctx has not ended before.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
