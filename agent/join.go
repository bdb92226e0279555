package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/state"
)

// ErrRetryJoin ends an agent that used up retry_max_attempts.
var ErrRetryJoin = errors.New("maximum retry join attempts made, exiting")

// Join contacts members at addrs (host, host:port or nodename/host:port) and returns how many were reached. It is
// an error only if none was. With replay, user events that they remember are delivered here. An empty list is no
// error.
func (a *Agent) Join(ctx context.Context, addrs []string, replay bool) (int, error) {
	a.log.Info("joining", "addrs", addrs, "replay", replay)
	if err := a.checkAlive(); err != nil {
		return 0, err
	}
	n, err := a.gossip.Join(ctx, addrs, !replay)
	if n > 0 {
		a.log.Info("joined", "nodes", n)
		if a.gossip.NumAlive() > 1 {
			a.met.Store(true)
		} else {
			a.log.Warn("the join reached nobody but this agent itself; give another member's address, and its port if that is not ours",
				"addrs", addrs, "our_port", a.gossip.BindPort())
		}
		a.synced.Store(true)
		if err := a.core.Do(ctx, state.Joined{}, 0); err != nil {
			return n, err
		}
	}
	if err != nil {
		a.log.Warn("error joining", "err", err)
	}
	return n, err
}

// checkAlive returns state.ErrNotAlive once a leave has begun.
func (a *Agent) checkAlive() error {
	phase := state.PhaseShutdown
	a.core.Inspect(func(s *state.State) { phase = s.Phase() })
	if phase != state.PhaseAlive {
		return state.ErrNotAlive
	}
	return nil
}

// startJoin makes the joins of the configuration: those that must succeed at once, and those that are tried
// until they do.
func (a *Agent) startJoin(ctx context.Context) (joined int, err error) {
	if len(a.cfg.StartJoin) > 0 {
		if joined, err = a.Join(ctx, a.cfg.StartJoin, a.cfg.ReplayOnJoin); err != nil {
			return 0, err
		}
		a.healer.addSeeds(a.cfg.StartJoin)
	}
	if len(a.cfg.RetryJoin) > 0 {
		a.spawn(a.retryJoin)
	}
	return joined, nil
}

func (a *Agent) retryJoin() {
	for attempt := 1; ; attempt++ {
		n, err := a.Join(a.life, a.cfg.RetryJoin, a.cfg.ReplayOnJoin)
		if err == nil {
			a.log.Info("join completed", "initial_agents", n)
			a.healer.addSeeds(a.cfg.RetryJoin)
			return
		}
		if a.life.Err() != nil {
			return
		}
		if limit := a.cfg.RetryMaxAttempts; limit > 0 && attempt > limit {
			a.log.Error(ErrRetryJoin.Error(), "attempts", attempt)
			a.quit(fmt.Errorf("%w: %d attempts at %s: %w; check the addresses of -retry-join, or raise -retry-max",
				ErrRetryJoin, attempt, strings.Join(a.cfg.RetryJoin, ", "), err))
			return
		}
		a.log.Warn("join failed, retrying", "err", err, "in", a.cfg.RetryInterval)
		select {
		case <-time.After(a.cfg.RetryInterval):
		case <-a.life.Done():
			return
		}
	}
}

// reconnect is the core's way to look for a failed member again.
func (a *Agent) reconnect(name string, addr netip.AddrPort) {
	a.log.Info("attempting reconnect", "member", name, "addr", addr)
	if err := a.gossip.Rejoin(a.life, name, netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()).String()); err != nil && a.life.Err() == nil {
		a.log.Debug("reconnect failed", "member", name, "err", err)
	}
}
