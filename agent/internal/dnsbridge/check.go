package dnsbridge

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/seed-645ce708/gossip/dnsserver/dnsclient"
)

// ErrNotReady tells that DNS answers, but not with what the members are: the agent has not joined its cluster yet.
var ErrNotReady = errors.New("it refuses to answer until the agent has joined its cluster")

// Check asks our own server for the zone's SOA record, and tells what is wrong if that does not come.
func (b *Bridge) Check(ctx context.Context) error {
	host, port, err := net.SplitHostPort(b.Addr())
	if err != nil {
		return fmt.Errorf("it listens nowhere: %w", err)
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip.To4() == nil {
			host = "::1"
		}
	}
	a, err := dnsclient.Lookup(ctx, net.JoinHostPort(host, port), b.zone.Load().Origin(), "SOA")
	switch {
	case err != nil:
		return err
	case a.Rcode == "SERVFAIL" && !b.ready():
		return ErrNotReady
	case a.Rcode != "NOERROR" || len(a.Records) == 0:
		return fmt.Errorf("the answer about the zone itself was %s", a.Rcode)
	}
	return nil
}
