// Package source follows an agent, of gossip or stock Serf, and judges how far its view of the members can be
// trusted. It is the only package here that speaks with an agent.
package source

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/seed-645ce708/gossip/agent/client"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
)

// rest bounds the share of time that is spent on listing members while they change all the time: to a fifth.
const rest = 4

// New returns a watcher of the configured agent. It does nothing before its Run.
func New(cfg config.Source, log *slog.Logger) *client.Watcher {
	return client.NewWatcher(client.WatcherConfig{
		Client: client.Config{Addr: cfg.Address, AuthKey: cfg.Key, Timeout: cfg.Timeout},
		Resync: cfg.Resync,
		Rest:   rest,
		Logger: log,
	})
}

// Trust says why removals must not follow from the view at the moment, as a clause; empty means that they
// may. Until tells when time alone will mend it; zero means that it will not.
//
// Four things make a view doubtful: there is no connection; the connection is
// younger than settle, so that the agent itself may have just started and not yet know everyone; the agent says so
// itself, because it has not joined yet or looks cut off; more than half of the members that did not leave are failed, or
// all but one, so that the agent may be cut off even if it is one that does not say.
func Trust(view client.View, settle time.Duration, now time.Time) (why string, until time.Time) {
	if !view.Connected {
		if view.Err != nil {
			return fmt.Sprintf("the agent is unreachable: %v", view.Err), time.Time{}
		}
		return "the agent is unreachable", time.Time{}
	}
	if until := view.Since.Add(settle); now.Before(until) {
		return fmt.Sprintf("the view is settling for %v after the agent was connected", settle), until
	}
	if why := view.Confidence.Doubt(); why != "" {
		return why, time.Time{}
	}
	alive, failed := 0, 0
	for _, m := range view.Members {
		switch m.Status {
		case "alive":
			alive++
		case "failed":
			failed++
		}
	}
	if failed > alive {
		return fmt.Sprintf("%d of %d members are failed, so the agent may be cut off", failed, alive+failed), time.Time{}
	}
	if alive <= 1 && failed > 0 {
		return "no other member is alive, so the agent may be cut off", time.Time{}
	}
	return "", time.Time{}
}
