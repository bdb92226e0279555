package main

import (
	"errors"

	"github.com/seed-645ce708/gossip/agent"
	"github.com/seed-645ce708/gossip/agent/internal/config"
)

// startSyslog refuses: Windows has no syslog.
func startSyslog(cfg config.Config, _ *agent.Agent) (stop func(), err error) {
	if cfg.EnableSyslog {
		return nil, errors.New("there is no syslog on Windows (drop enable_syslog)")
	}
	return func() {}, nil
}
