package agent

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hashicorp/go-metrics"

	"github.com/seed-645ce708/gossip/agent/internal/snapshot"
	"github.com/seed-645ce708/gossip/agent/internal/state"
)

// openSnapshot takes over what an earlier life of this agent wrote down, and keeps the file up to date from then on.
func (a *Agent) openSnapshot() error {
	if a.cfg.SnapshotPath == "" {
		return nil
	}
	w, previous, err := snapshot.Open(snapshot.Config{
		Path:   a.cfg.SnapshotPath,
		Rejoin: a.cfg.RejoinAfterLeave,
		Clock:  a.core.MemberTime,
		Logger: a.logs.Logger("serf"),
		Observe: func(operation string, took time.Duration) {
			metrics.AddSample([]string{"serf", "snapshot", operation}, float32(took.Seconds()*1000))
		},
	})
	if err != nil {
		return fmt.Errorf("%w (-snapshot wants a file in a folder that exists and can be written to)", err)
	}
	a.snapshot = w
	a.onStop("snapshot", func(context.Context) error { return w.Close() })
	a.core.Post(state.Restore{Member: previous.Clock, Event: previous.EventClock, Query: previous.QueryClock})
	for _, node := range previous.Alive {
		if node.Name != a.cfg.NodeName {
			a.previous = append(a.previous, node)
		}
	}
	for _, node := range previous.Gone {
		if node.Name != a.cfg.NodeName {
			a.gone = append(a.gone, node)
		}
	}
	if len(a.previous) > 0 {
		a.synced.Store(false)
	}
	return nil
}

// rejoin looks for the members of the last life that were alive, in random order, until one is found. No join intent is
// sent for it: to the others we never left. The search for all the others goes on behind it: see heal.
func (a *Agent) rejoin() {
	defer close(a.rejoined)
	if len(a.previous) == 0 {
		return
	}
	defer a.synced.Store(true)
	rand.Shuffle(len(a.previous), func(i, j int) { a.previous[i], a.previous[j] = a.previous[j], a.previous[i] })
	for _, node := range a.previous {
		a.log.Info("Attempting re-join to previously known node", "member", node.Name, "addr", node.Addr)
		err := a.gossip.Rejoin(a.life, node.Name, node.Addr)
		if err == nil {
			a.log.Info("Re-joined to previously known node", "member", node.Name, "addr", node.Addr)
			return
		}
		if a.life.Err() != nil {
			return
		}
		a.log.Debug("re-join failed", "member", node.Name, "err", err)
	}
	a.log.Warn("Failed to re-join any previously known node")
}
