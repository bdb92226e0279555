// Package mdns finds the members of a cluster on the local network by multicast DNS, and lets itself be found, as
// Serf does (Serf reference 3.9): the agent is a service of the type _serf_CLUSTER._tcp, and asks for others of that
// type every minute. What it finds it hands to its owner to join; it knows nothing else of clusters. It is the only
// importer of hashicorp/mdns.
package mdns

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/mdns"
)

const (
	pollInterval = time.Minute     // between questions
	queryWindow  = time.Second     // how long answers to one question are taken
	maxAnswers   = 1024            // answers to one question that are kept; more are dropped until the next one
	maxTried     = 16 * maxAnswers // addresses remembered as tried; beyond that nothing new is tried
)

// Config sets up a Discovery.
type Config struct {
	Cluster string         // name of the cluster, -discover
	Node    string         // name of this node
	Addr    netip.AddrPort // where others reach our gossip
	// Interface to use; nil leaves it to the system.
	Interface                *net.Interface
	DisableIPv4, DisableIPv6 bool // leave out one of the two
	// Join is called with addresses that were not there before, HOST:PORT, each once. It runs on the goroutine of
	// Run, so the next question waits for it.
	Join func(ctx context.Context, addrs []string)
	// Log takes what the library has to say about questions to us; Failed why our own could not be asked.
	Log    *log.Logger
	Failed func(error)
}

// Discovery answers for this agent and looks for others.
type Discovery struct {
	cfg    Config
	server *mdns.Server
	query  func(ctx context.Context, answers chan<- *mdns.ServiceEntry) error
	tried  map[string]bool
}

// Start begins to answer. Run looks for others; Stop ends the answering.
func Start(cfg Config) (*Discovery, error) {
	if cfg.DisableIPv4 && cfg.DisableIPv6 {
		return nil, errors.New("both IPv4 and IPv6 are disabled")
	}
	service, err := mdns.NewMDNSService(cfg.Node, serviceType(cfg.Cluster), "", "", int(cfg.Addr.Port()),
		[]net.IP{cfg.Addr.Addr().Unmap().AsSlice()}, []string{fmt.Sprintf("Serf '%s' cluster", cfg.Cluster)})
	if err != nil {
		return nil, fmt.Errorf("mDNS service %s: %w", serviceType(cfg.Cluster), err)
	}
	server, err := mdns.NewServer(&mdns.Config{Zone: service, Iface: cfg.Interface, Logger: cfg.Log})
	if err != nil {
		return nil, fmt.Errorf("mDNS on this network: %w (does the interface do multicast? name one with -mdns-iface)", err)
	}
	d := &Discovery{cfg: cfg, server: server, tried: map[string]bool{}}
	d.query = d.ask
	return d, nil
}

// Stop ends the answering.
func (d *Discovery) Stop() error { return d.server.Shutdown() }

// Run asks who is there, at once and then every minute, until ctx ends.
func (d *Discovery) Run(ctx context.Context) {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		if found := d.find(ctx); len(found) > 0 && ctx.Err() == nil {
			d.cfg.Join(ctx, found)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// find asks once and returns the addresses that are new, sorted.
func (d *Discovery) find(ctx context.Context) []string {
	answers := make(chan *mdns.ServiceEntry, maxAnswers) // the library drops what does not fit
	if err := d.query(ctx, answers); err != nil && ctx.Err() == nil {
		d.cfg.Failed(fmt.Errorf("mDNS question: %w", err))
	}
	found := map[string]bool{}
	for {
		select {
		case e := <-answers:
			if addr, ok := address(e); ok && !d.tried[addr] && len(d.tried) < maxTried {
				d.tried[addr], found[addr] = true, true
			}
		default:
			return slices.Sorted(maps.Keys(found))
		}
	}
}

// ask asks over IPv4 and over IPv6 at the same time. Each is a question of its own, since to the library a host
// without one of the two is a failure of both. It is an error only if nothing could be asked.
func (d *Discovery) ask(ctx context.Context, answers chan<- *mdns.ServiceEntry) error {
	var wg sync.WaitGroup
	var err4, err6 error
	if !d.cfg.DisableIPv4 {
		wg.Go(func() { err4 = d.askOver(ctx, answers, false) })
	}
	if !d.cfg.DisableIPv6 {
		wg.Go(func() { err6 = d.askOver(ctx, answers, true) })
	}
	wg.Wait()
	if (d.cfg.DisableIPv4 || err4 != nil) && (d.cfg.DisableIPv6 || err6 != nil) {
		return errors.Join(err4, err6)
	}
	return nil
}

func (d *Discovery) askOver(ctx context.Context, answers chan<- *mdns.ServiceEntry, v6 bool) error {
	return mdns.QueryContext(ctx, &mdns.QueryParam{
		Service:     serviceType(d.cfg.Cluster),
		Timeout:     queryWindow,
		Interface:   d.cfg.Interface,
		Entries:     answers,
		DisableIPv4: v6,
		DisableIPv6: !v6,
		// What matters comes back as an error; all else is one line a minute about the family left out.
		Logger: log.New(io.Discard, "", 0),
	})
}

func serviceType(cluster string) string { return "_serf_" + cluster + "._tcp" }

// address returns where an answer says that gossip is to be found, IPv4 if it says both.
func address(e *mdns.ServiceEntry) (string, bool) {
	ip, ok := netip.AddrFromSlice(e.AddrV4)
	if !ok && e.AddrV6IPAddr != nil {
		if ip, ok = netip.AddrFromSlice(e.AddrV6IPAddr.IP); ok && ip.IsLinkLocalUnicast() {
			ip = ip.WithZone(e.AddrV6IPAddr.Zone)
		}
	}
	if !ok || e.Port < 1 || e.Port > 65535 {
		return "", false
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(e.Port)).String(), true
}
