package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-metrics"

	"github.com/seed-645ce708/gossip/agent/internal/config"
	"github.com/seed-645ce708/gossip/agent/internal/core"
	"github.com/seed-645ce708/gossip/agent/internal/dnsbridge"
	"github.com/seed-645ce708/gossip/agent/internal/event"
	"github.com/seed-645ce708/gossip/agent/internal/gossip"
	"github.com/seed-645ce708/gossip/agent/internal/handler"
	"github.com/seed-645ce708/gossip/agent/internal/rpc"
	"github.com/seed-645ce708/gossip/agent/internal/state"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// Two seconds of user events at the rate that an agent may send them. Packets overtake each other by as much when an
// agent gets no processor time for a moment, and streams fall as much behind.
const (
	eventTimes = 8192 // Lamport times by which an event may come late
	eventLog   = 8192 // events by which a stream may be behind
)

// startEvents starts the way of events: pipeline, log, handlers.
func (a *Agent) startEvents() error {
	specs, err := handler.ParseAll(a.cfg.EventHandlers)
	if err != nil {
		return err
	}
	a.events = event.NewLog(eventLog)
	a.pipeline = event.StartPipeline(event.PipelineConfig{Out: a.events, Coalesce: event.DefaultCoalesceConfig()})
	a.handlers = handler.Start(handler.Config{
		Events:     a.events,
		Self:       func() handler.Self { return handler.Self{Name: a.cfg.NodeName, Tags: a.Tags()} },
		Logger:     a.log,
		Concurrent: a.cfg.HandlerConcurrency,
		Timeout:    a.cfg.HandlerTimeout,
		Watch:      a.receipts,
		Ran: func(command string, took time.Duration, _ error) {
			metrics.AddSample([]string{"agent", "invoke", command}, float32(took.Seconds()*1000))
		},
	}, specs)
	a.onStop("handlers", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, handlerGrace)
		defer cancel()
		if err := a.handlers.Stop(ctx); err != nil {
			a.log.Warn("event handlers are still running; they are left alone")
		}
		return nil
	})
	a.onStop("events", func(context.Context) error {
		a.pipeline.Stop()
		a.events.Close()
		return nil
	})
	return nil
}

// startGossip starts the core and the gossip under it. Members are known from here on.
func (a *Agent) startGossip() error {
	interval, err := gossip.QueryInterval(a.cfg.Profile)
	if err != nil {
		return err
	}
	meta, err := wire.EncodeTags(a.Tags(), uint8(a.cfg.Protocol))
	if err != nil {
		return err
	}
	cfg := a.stateConfig(interval)
	if err := cfg.Validate(); err != nil {
		return err
	}
	a.core = core.New(core.Config{
		State:     state.New(cfg, state.Node{Name: a.cfg.NodeName}),
		View:      a.view,
		Emit:      a.emit,
		Internal:  a.answerKeyQuery,
		Reconnect: a.reconnect,
		Reaped:    a.forget,
		Quit:      a.loseName,
		Probe:     a.probe,
		Metric:    recordMetric,
		Log:       a.logs.Logger("serf"),
	})
	if err := a.openSnapshot(); err != nil {
		return err
	}
	ping := witness{judge: a.judge}
	if a.coordinates != nil {
		ping.Pinger = pinger{a.coordinates, a.logs.Logger("serf")}
	}
	var checkName func(string) error
	if a.cfg.ValidateNodeNames {
		checkName = config.CheckNodeName
	}
	a.openPeers()
	a.gossip, err = gossip.Start(gossip.Config{
		Name:          a.cfg.NodeName,
		BindAddr:      a.addrs.Bind.Addr().String(),
		BindPort:      int(a.addrs.Bind.Port()),
		AdvertiseAddr: advertiseAddr(a),
		AdvertisePort: int(a.addrs.Advertise.Port()),
		Profile:       a.cfg.Profile,
		Protocol:      uint8(a.cfg.Protocol),
		Cluster:       a.cfg.Cluster,
		ReclaimTime:   a.cfg.ReclaimTimeout,
		Keyring:       a.keyring,
		Compression:   a.cfg.EnableCompression,
		Meta:          meta,
		Transport:     a.transport,
		CheckName:     checkName,
		Ping:          ping,
		Dialed:        a.judge.dialed,
		Direct:        a.peers.Receive,
		Inbox:         notedInbox{a.core, a.trail},
		Log:           a.logs.Logger("gossip"),
		Std:           a.memberlistLog(),
	})
	if err != nil {
		return err
	}
	a.onStop("gossip", func(context.Context) error { return a.gossip.Stop() })
	a.peers.Start(a.gossip)
	a.core.Start(notedNetwork{a.gossip, a.trail})
	a.spawn(a.followTrust)
	a.onStop("core", func(context.Context) error {
		a.core.Stop()
		return nil
	})
	a.spawn(a.rejoin)
	return nil
}

// advertiseAddr is "" unless an address was asked for.
func advertiseAddr(a *Agent) string {
	if !a.addrs.Advertise.IsValid() {
		return ""
	}
	return a.addrs.Advertise.Addr().String()
}

// probation is how long a member that left must be seen alive to be taken back although it does not say that it is: no
// profile takes as long to find out that it is dead.
const probation = time.Minute

func (a *Agent) stateConfig(gossipInterval time.Duration) state.Config {
	cfg := state.DefaultConfig()
	cfg.Protocol = uint8(a.cfg.Protocol)
	cfg.Tags = a.Tags()
	cfg.EventSizeLimit = a.cfg.UserEventSizeLimit
	cfg.QuerySizeLimit = a.cfg.QuerySizeLimit
	cfg.QueryResponseSizeLimit = a.cfg.QueryResponseSizeLimit
	cfg.GossipInterval = gossipInterval
	cfg.EventBuffer = eventTimes
	cfg.ReconnectInterval = a.cfg.ReconnectInterval
	cfg.ReconnectTimeout = a.cfg.ReconnectTimeout
	cfg.TombstoneTimeout = a.cfg.TombstoneTimeout
	cfg.PruneDelay = a.cfg.BroadcastTimeout + leavePropagateDelay
	cfg.ResolveConflicts = !a.cfg.DisableNameResolution
	cfg.ProbeConflicts = true
	cfg.Probation = probation
	return cfg
}

// emit hands an event on to the snapshot and, coalesced, to handlers and streams.
func (a *Agent) emit(e event.Event) {
	a.healer.observe(e, a.cfg.ReconnectTimeout)
	if a.snapshot != nil {
		a.snapshot.Record(e)
	}
	user, _ := e.(*event.User)
	if user != nil {
		a.receipts.Heard(user)
	}
	if m, ok := e.(*event.Member); ok {
		a.trail.Event(time.Now(), m)
	}
	if !a.pipeline.Emit(e) {
		metrics.IncrCounter([]string{"gossip", "events", "dropped"}, 1)
		if user != nil {
			a.receipts.Gone(user)
		}
	}
}

// loseName ends the agent after a vote gave its name to another node.
func (a *Agent) loseName(reason string) {
	a.log.Warn("shutting down: " + reason)
	a.quit(nil)
}

// recordMetric counts or measures under Serf's names (Serf reference 2.15).
func recordMetric(m state.Metric) {
	key := strings.Split(m.Name, ".")
	if m.Detail != "" {
		key = append(key, m.Detail)
	}
	switch m.Kind {
	case state.Counter:
		metrics.IncrCounter(key, float32(m.Value))
	case state.Gauge:
		metrics.SetGauge(key, float32(m.Value))
	case state.Sample:
		metrics.AddSample(key, float32(m.Value))
	}
}

// startDNS answers DNS, unless it is off. An address that was asked for must be free; without the default one
// the agent goes on, since several may run on one host.
func (a *Agent) startDNS() error {
	if a.addrs.DNS == "" {
		return nil
	}
	log := a.logs.Logger("dns")
	cfg, err := dnsbridge.Settings(a.cfg, a.opts.Version)
	if err != nil {
		return err
	}
	cfg.Addr, cfg.Server.TLSAddr, cfg.Ready, cfg.Log = a.addrs.DNS, a.addrs.DNSTLS, a.synced.Load, log
	cfg.Confidence = a.judge.confidence
	if a.coordinates != nil {
		cfg.RTT = a.coordinates.Distances
	}
	bridge, err := dnsbridge.New(cfg, a.view)
	if err != nil {
		return err
	}
	err = bridge.Start()
	if errors.Is(err, syscall.EADDRINUSE) && !a.cfg.DNSAddrSet && a.addrs.DNSTLS == "" {
		log.Warn("no DNS: the default address is taken, perhaps by another agent; choose one with -dns-addr",
			"addr", a.addrs.DNS)
		return nil
	}
	if err != nil {
		return err
	}
	a.dns = bridge
	a.onStop("DNS", func(context.Context) error { return bridge.Close() })
	return nil
}

func isLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// startRPC listens for RPC clients. What one of them asks for may end the agent.
func (a *Agent) startRPC() error {
	log := a.logs.Logger("agent.ipc")
	l, err := net.Listen("tcp", a.addrs.RPC)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("cannot listen for RPC on %s: the address is taken (%w); choose another with -rpc-addr", a.addrs.RPC, err)
	}
	if err != nil {
		return fmt.Errorf("cannot listen for RPC: %w; choose another address with -rpc-addr", err)
	}
	a.rpcAddr = l.Addr().String()
	if a.cfg.RPCAuth == "" && !isLoopback(l.Addr()) {
		log.Warn("RPC is open to the network: whoever reaches this address controls the agent; set rpc_auth, or listen on 127.0.0.1",
			"addr", a.rpcAddr)
	}
	a.rpc = rpc.New(rpc.Config{AuthKey: string(a.cfg.RPCAuth), Logger: log}, a, a.events, a.logs.Ring())
	a.spawn(func() {
		if err := a.rpc.Serve(l); err != nil {
			a.quit(fmt.Errorf("RPC listener failed: %w", err))
		}
	})
	a.spawn(func() {
		select {
		case <-a.rpc.Left():
			a.quit(nil)
		case <-a.life.Done():
		}
	})
	a.onStop("RPC", func(context.Context) error {
		a.rpc.Close()
		return nil
	})
	return nil
}
