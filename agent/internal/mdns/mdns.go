// Package mdns finds the members of a cluster on the local network by multicast DNS, and lets itself be found, as
// Serf does (Serf reference 3.9): the agent is a service of the type _serf_CLUSTER._tcp, and asks for others of that
// type every minute. What it finds it hands to its owner to join; it knows nothing else of clusters.
//
// hashicorp/mdns answers for us, so that our answers are Serf's. The questions are ours: that library fails where one
// of IPv4 and IPv6 is missing or no route leads to the multicast group, and takes what any device on the network
// says for an answer.
package mdns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/mdns"
)

const (
	// pollInterval is between two questions.
	pollInterval = time.Minute
	// queryWindow is how long answers to one question are taken.
	queryWindow = time.Second
	// gatherQuiet is how long nothing new must come in before what came is joined.
	gatherQuiet = 100 * time.Millisecond
	// minRetry is the first pause after a question that could not be asked; it doubles up to pollInterval. A network
	// that is only just coming up is no reason to wait a minute.
	minRetry = time.Second
	// maxTried bounds the addresses that are remembered as tried; beyond it nothing new is tried.
	maxTried = 16384
	// maxWaiting bounds the answers that wait while others are joined.
	maxWaiting = 256
)

// Config sets up a Discovery.
type Config struct {
	Cluster string         // name of the cluster, -discover
	Node    string         // name of this node
	Addr    netip.AddrPort // where others reach our gossip
	// Interface to use; nil leaves it to the system.
	Interface *net.Interface
	// DisableIPv4 and DisableIPv6 leave out one of the two when asking. We answer on both.
	DisableIPv4, DisableIPv6 bool
	// Join is called with addresses that were not there before, HOST:PORT, each once and never our own. It runs on
	// the goroutine of Run, so the next question waits for it.
	Join func(ctx context.Context, addrs []string)
	Log  hclog.Logger
}

// Discovery answers for this agent and looks for others.
type Discovery struct {
	cfg    Config
	server *mdns.Server
	// query asks once and hands over what is found until it returns. It is an error only if nothing could be asked.
	query func(ctx context.Context, found chan<- netip.AddrPort) error
	tried map[netip.AddrPort]bool
}

// Start begins to answer. Run looks for others; Stop ends the answering.
func Start(cfg Config) (*Discovery, error) {
	if cfg.DisableIPv4 && cfg.DisableIPv6 {
		return nil, errors.New("both IPv4 and IPv6 are disabled")
	}
	q, err := newQuestion(cfg)
	if err != nil {
		return nil, err
	}
	service, err := mdns.NewMDNSService(instance(cfg.Node), escape(serviceType(cfg.Cluster)), domain, "",
		int(cfg.Addr.Port()), []net.IP{cfg.Addr.Addr().Unmap().AsSlice()},
		[]string{fmt.Sprintf("Serf '%s' cluster", cfg.Cluster)})
	if err != nil {
		return nil, fmt.Errorf("mDNS service %s: %w", serviceType(cfg.Cluster), err)
	}
	server, err := mdns.NewServer(&mdns.Config{
		Zone:  service,
		Iface: cfg.Interface,
		// It complains of every question on the network that it does not understand.
		Logger: cfg.Log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	})
	if err != nil {
		return nil, fmt.Errorf("mDNS on this network: %w (does the interface do multicast? name one with -mdns-iface)", err)
	}
	return &Discovery{cfg: cfg, server: server, query: q.ask, tried: map[netip.AddrPort]bool{}}, nil
}

// Stop ends the answering.
func (d *Discovery) Stop() error { return d.server.Shutdown() }

// Run asks who is there, at once and then every minute, until ctx ends.
func (d *Discovery) Run(ctx context.Context) {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	retry := minRetry
	for {
		var again <-chan time.Time
		if err := d.round(ctx); err == nil {
			retry = minRetry
		} else if ctx.Err() == nil {
			if retry == minRetry {
				d.cfg.Log.Error("failed to poll for new hosts", "err", err)
			}
			again = time.After(retry)
			retry = min(2*retry, pollInterval)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-again:
		}
	}
}

// round asks once and joins what is new, as soon as nothing more has come for a moment.
func (d *Discovery) round(ctx context.Context) error {
	found := make(chan netip.AddrPort, maxWaiting)
	asked := make(chan error, 1)
	go func() {
		asked <- d.query(ctx, found)
		close(found)
	}()
	var fresh []string
	join := func() {
		if len(fresh) > 0 && ctx.Err() == nil {
			d.cfg.Join(ctx, fresh)
		}
		fresh = nil
	}
	var quiet <-chan time.Time
	for {
		select {
		case addr, open := <-found:
			if !open {
				join()
				return <-asked
			}
			if d.isNew(addr) {
				fresh = append(fresh, addr.String())
				quiet = time.After(gatherQuiet)
			}
		case <-quiet:
			quiet = nil
			join()
		}
	}
}

// isNew tells whether addr is to be tried, and notes that it was.
func (d *Discovery) isNew(addr netip.AddrPort) bool {
	if addr == d.cfg.Addr || d.tried[addr] || len(d.tried) >= maxTried {
		return false
	}
	d.tried[addr] = true
	if len(d.tried) == maxTried {
		d.cfg.Log.Warn("too many addresses were found: no more are tried until a restart", "limit", maxTried)
	}
	return true
}
