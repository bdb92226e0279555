package main

import (
	"fmt"
	"time"

	"github.com/hashicorp/go-metrics"

	"github.com/seed-645ce708/gossip/agent/internal/config"
)

// The in-memory figures (Serf reference 2.15).
const (
	metricsBucket = 10 * time.Second
	metricsRetain = time.Minute
	metricsPrefix = "serf-agent"
)

// startMetrics collects figures for the process: in memory, to be written to standard error on SIGUSR1 (on Windows,
// BREAK), and for the servers that the configuration names.
func startMetrics(cfg config.Config) (stop func(), err error) {
	memory := metrics.NewInmemSink(metricsBucket, metricsRetain)
	conf := metrics.DefaultConfig(metricsPrefix)
	conf.EnableHostname = false
	var remote []interface {
		metrics.MetricSink
		Shutdown()
	}
	if cfg.StatsiteAddr != "" {
		sink, err := metrics.NewStatsiteSink(cfg.StatsiteAddr)
		if err != nil {
			return nil, fmt.Errorf("statsite at %s: %w", cfg.StatsiteAddr, err)
		}
		remote = append(remote, sink)
	}
	if cfg.StatsdAddr != "" {
		sink, err := metrics.NewStatsdSink(cfg.StatsdAddr)
		if err != nil {
			return nil, fmt.Errorf("statsd at %s: %w", cfg.StatsdAddr, err)
		}
		remote = append(remote, sink)
	}
	var sink metrics.MetricSink = memory
	if len(remote) > 0 {
		fanout := metrics.FanoutSink{}
		for _, s := range remote {
			fanout = append(fanout, s)
		}
		sink = append(fanout, memory)
		conf.EnableHostname = true
	}
	signals := metrics.DefaultInmemSignal(memory)
	global, err := metrics.NewGlobal(conf, sink)
	if err != nil {
		signals.Stop()
		return nil, err
	}
	return func() {
		signals.Stop()
		global.Shutdown() // and with it the servers' sinks
	}, nil
}
