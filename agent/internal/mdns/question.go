package mdns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/net/ipv4"
)

// Where questions go (RFC 6762 section 3).
var (
	groupIPv4 = net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353}
	groupIPv6 = net.UDPAddr{IP: net.ParseIP("ff02::fb"), Port: 5353}
)

// question is a one-shot question (RFC 6762 section 5.1): it comes from a port of its own, so that everybody answers
// directly to it and no multicast need be received.
type question struct {
	service    string // what is asked for, with a dot at the end
	packet     []byte
	ifi        *net.Interface // nil for the system's choice
	ipv4, ipv6 bool
	log        hclog.Logger
}

func newQuestion(cfg Config) (*question, error) {
	service := serviceType(cfg.Cluster) + "." + domain
	name, err := dnsmessage.NewName(service)
	if err == nil {
		q := dnsmessage.Message{Questions: []dnsmessage.Question{
			{Name: name, Type: dnsmessage.TypePTR, Class: dnsmessage.ClassINET},
		}}
		var packet []byte
		if packet, err = q.Pack(); err == nil {
			return &question{
				service: service, packet: packet, ifi: cfg.Interface,
				ipv4: !cfg.DisableIPv4, ipv6: !cfg.DisableIPv6, log: cfg.Log,
			}, nil
		}
	}
	return nil, fmt.Errorf("mDNS cluster name %q cannot be part of a DNS name: %w (choose another with -discover)", cfg.Cluster, err)
}

// ask asks over IPv4 and over IPv6 at the same time and hands over what is found within queryWindow. It is an error
// only if neither could be asked.
func (q *question) ask(ctx context.Context, found chan<- netip.AddrPort) error {
	var wg sync.WaitGroup
	var err4, err6 error
	if q.ipv4 {
		wg.Go(func() { err4 = q.askOver(ctx, "udp4", groupIPv4, found) })
	}
	if q.ipv6 {
		wg.Go(func() { err6 = q.askOver(ctx, "udp6", groupIPv6, found) })
	}
	wg.Wait()
	if (q.ipv4 && err4 == nil) || (q.ipv6 && err6 == nil) {
		return nil
	}
	return errors.Join(err4, err6)
}

// askOver asks over one of the two.
func (q *question) askOver(ctx context.Context, network string, group net.UDPAddr, found chan<- netip.AddrPort) error {
	var local net.ListenConfig
	pc, err := local.ListenPacket(ctx, network, ":0")
	if err != nil {
		return err
	}
	defer pc.Close()
	// Closing it is what ends the reading below before its time.
	defer context.AfterFunc(ctx, func() { _ = pc.Close() })()
	if q.ifi != nil {
		if network == "udp4" {
			if err := ipv4.NewPacketConn(pc).SetMulticastInterface(q.ifi); err != nil {
				return fmt.Errorf("multicast on %s: %w", q.ifi.Name, err)
			}
		} else {
			group.Zone = q.ifi.Name
		}
	}
	if err := pc.SetReadDeadline(time.Now().Add(queryWindow)); err != nil {
		return err
	}
	if _, err := pc.WriteTo(q.packet, &group); err != nil {
		return err
	}
	buf := make([]byte, 9000) // the most that an answer may have (RFC 6762 section 17)
	for {
		n, from, err := pc.ReadFrom(buf)
		if err != nil {
			return nil // the time is up, or the agent stops
		}
		addrs, err := answers(buf[:n], q.service)
		if err != nil {
			q.log.Debug("no answer that can be read", "from", from, "err", err)
		}
		for _, addr := range addrs {
			select {
			case found <- addr:
			case <-ctx.Done():
				return nil
			}
		}
	}
}
