// Package telemetry collects the figures of one process under Serf's names (Serf reference 2.15): in memory, to be
// written out on a signal, and for the statsite and statsd servers that the configuration names. Everything in the
// process that counts or measures does so through go-metrics' global functions, which lead nowhere until Start;
// so it is the program that calls Start, once, and not an agent, of which a process may hold several.
//
// go-metrics brings the names and the figures in memory. What talks to servers is ours: go-metrics' own sinks panic
// when a figure arrives after their end, and lose what is buffered then.
package telemetry

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-metrics"
)

const (
	// service is the first component of every name, Serf's, so that dashboards go on working.
	service = "serf-agent"
	// bucket is how long figures are summed up in memory, retain how long they are kept.
	bucket = 10 * time.Second
	retain = time.Minute
	// runtimeInterval is how often the figures of the Go runtime are taken: often enough for each bucket. Serf takes
	// them every second, which is most of what an idle agent does.
	runtimeInterval = bucket / 2
)

// Config says where figures go besides memory.
type Config struct {
	// StatsiteAddr (TCP) and StatsdAddr (UDP) are HOST:PORT, or "" for none. If either is given, gauges have the
	// host's name as the second component of their names, in memory too.
	StatsiteAddr, StatsdAddr string
	// Dump takes the figures of all completed buckets whenever SIGUSR1 arrives (on Windows, BREAK). It must not be nil.
	Dump io.Writer
	// Log is told when a server cannot be reached and when it can be again.
	Log hclog.Logger
}

// Telemetry is the collection of a process's figures.
type Telemetry struct {
	metrics *metrics.Metrics
	memory  *metrics.InmemSink
	remotes []*remote

	stop    chan struct{}
	running sync.WaitGroup
}

// Start collects figures from now on, in place of whatever did before. Servers need not be there: they are tried
// again and again, and nothing ever waits for them.
func Start(cfg Config) (*Telemetry, error) {
	host, _ := os.Hostname() // without a name gauges are told apart by their server
	conf := metrics.DefaultConfig(service)
	conf.HostName = host
	conf.EnableRuntimeMetrics = false // that collector could never be stopped; see watchRuntime
	conf.EnableHostname = cfg.StatsiteAddr != "" || cfg.StatsdAddr != ""

	var remotes []*remote
	for _, server := range []struct {
		what, addr, network string
		limit               int
	}{
		{"statsite", cfg.StatsiteAddr, "tcp", tcpChunk},
		{"statsd", cfg.StatsdAddr, "udp", udpPacket},
	} {
		if server.addr == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(server.addr); err != nil {
			return nil, fmt.Errorf("invalid %s_addr: %w (write HOST:PORT)", server.what, err)
		}
		log := cfg.Log.With("server", server.what, "addr", server.addr)
		remotes = append(remotes, newRemote(dialer(server.network, server.addr), server.limit, log))
	}
	memory := metrics.NewInmemSink(bucket, retain)
	sinks := metrics.FanoutSink{memory}
	for _, r := range remotes {
		sinks = append(sinks, r)
	}
	m, err := metrics.NewGlobal(conf, newGate(sinks))
	if err != nil {
		return nil, fmt.Errorf("set up metrics: %w", err)
	}
	t := &Telemetry{
		metrics: m,
		memory:  memory,
		remotes: remotes,
		stop:    make(chan struct{}),
	}
	for _, r := range remotes {
		t.running.Go(r.run)
	}
	t.running.Go(t.watchRuntime)
	t.running.Go(func() { t.dumpOnSignal(cfg.Dump) })
	return t, nil
}

// watchRuntime takes the figures of the Go runtime until Stop.
func (t *Telemetry) watchRuntime() {
	tick := time.NewTicker(runtimeInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			t.metrics.EmitRuntimeStats()
		case <-t.stop:
			return
		}
	}
}

// Stop ends the collection: later figures are dropped. What servers have not been sent yet they still get, if they
// take it within a second.
func (t *Telemetry) Stop() {
	metrics.Shutdown()
	close(t.stop)
	for _, r := range t.remotes {
		r.end()
	}
	t.running.Wait()
}
