package rpc

import (
	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/internal/logs"
)

// startMonitor subscribes to log lines: those in the ring, then what comes.
func (c *conn) startMonitor(seq uint64, req api.MonitorRequest) answer {
	level, err := logs.ParseLevel(req.LogLevel)
	if err != nil {
		return answer{err: err} // Serf's text
	}
	ctx, st, err := c.addStream(seq, true)
	if err != nil {
		return answer{err: err}
	}
	lines := c.srv.logs.Subscribe(level)
	return answer{then: func() {
		c.tasks.Go(func() {
			defer c.removeStream(seq, st)
			defer lines.Close()
			told := overflow{conn: c, what: "logs"}
			for {
				select {
				case line := <-lines.C():
					if !c.record(seq, api.LogRecord{Log: line}) {
						return
					}
					told.add(lines.Dropped() - told.lost)
				case <-ctx.Done():
					return
				}
			}
		})
	}}
}
