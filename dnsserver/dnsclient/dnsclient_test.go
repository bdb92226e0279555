package dnsclient_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/dnsserver"
	"github.com/seed-645ce708/gossip/dnsserver/dnsclient"
	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

func server(t *testing.T, members int) string {
	t.Helper()
	z, err := zone.New(zone.Config{Origin: "gossip.", Self: "n000", NodeTTL: 5 * time.Second, NegativeTTL: 2 * time.Second, Order: zone.OrderStable, Serial: 7})
	if err != nil {
		t.Fatal(err)
	}
	for i := range members {
		name := fmt.Sprintf("n%03d", i)
		z = z.Update([]zone.Change{{Name: name, Member: &zone.Member{
			Live: true, Addrs: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})},
			Services: []zone.Service{{Name: "web", Port: 80, Weight: 1}}, Tags: map[string]string{"dc": "eu"}}}})
	}
	s, err := dnsserver.New(dnsserver.Config{Addr: "127.0.0.1:0", Source: func() *zone.Zone {
		if members == 0 {
			return nil
		}
		return z
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s.Addr()
}

func TestLookup(t *testing.T) {
	t.Parallel()
	addr := server(t, 2)
	tests := []struct{ name, qtype, want string }{
		{"n001.node.gossip", "", "NOERROR udp [n001.node.gossip.\t5\tIN\tA\t10.0.0.1] [] []"},
		{"n001.node.gossip.", "txt", "NOERROR udp [n001.node.gossip.\t5\tIN\tTXT\t\"dc=eu\"] [] []"},
		{"web.service.gossip", "A", "NOERROR udp [web.service.gossip.\t0\tIN\tA\t10.0.0.0 web.service.gossip.\t0\tIN\tA\t10.0.0.1] [] []"},
		{"_web._tcp.service.gossip", "SRV", "NOERROR udp " +
			"[_web._tcp.service.gossip.\t0\tIN\tSRV\t0 256 80 n000.node.gossip. _web._tcp.service.gossip.\t0\tIN\tSRV\t0 256 80 n001.node.gossip.] " +
			"[] [n000.node.gossip.\t5\tIN\tA\t10.0.0.0 n001.node.gossip.\t5\tIN\tA\t10.0.0.1]"},
		{"n001.node.gossip", "AAAA", "NOERROR udp [] [gossip.\t2\tIN\tSOA\tns-n000.gossip. hostmaster.gossip. 9 60 10 86400 2] []"},
		{"nope.gossip", "A", "NXDOMAIN udp [] [gossip.\t2\tIN\tSOA\tns-n000.gossip. hostmaster.gossip. 9 60 10 86400 2] []"},
		{"my app.service.gossip", "A", "NXDOMAIN udp [] [gossip.\t2\tIN\tSOA\tns-n000.gossip. hostmaster.gossip. 9 60 10 86400 2] []"},
		{"example.com", "A", "REFUSED udp [] [] [] Not Authoritative"},
	}
	for _, tt := range tests {
		a, err := dnsclient.Lookup(t.Context(), addr, tt.name, tt.qtype)
		if err != nil {
			t.Errorf("%s %s: %v", tt.name, tt.qtype, err)
			continue
		}
		got := strings.TrimSpace(fmt.Sprint(a.Rcode, " ", a.Proto, " ", a.Records, " ", a.Authority, " ", a.Additional, " ", a.Reason))
		if got != tt.want {
			t.Errorf("%s %s:\ngot  %q\nwant %q", tt.name, tt.qtype, got, tt.want)
		}
	}
}

func TestLookupGoesOnOverTCP(t *testing.T) {
	t.Parallel()
	a, err := dnsclient.Lookup(t.Context(), server(t, 200), "web.service.gossip", "SRV")
	if err != nil {
		t.Fatal(err)
	}
	if a.Proto != "tcp" || len(a.Records) != 200 || a.Truncated || !a.Authoritative {
		t.Errorf("%s, %d records, TC %v", a.Proto, len(a.Records), a.Truncated)
	}
}

func TestLookupOfAServerThatIsNotReady(t *testing.T) {
	t.Parallel()
	a, err := dnsclient.Lookup(t.Context(), server(t, 0), "web.service.gossip", "A")
	if err != nil {
		t.Fatal(err)
	}
	if a.Rcode != "SERVFAIL" || !strings.HasPrefix(a.Reason, "Not Ready: ") {
		t.Errorf("got %s, %q", a.Rcode, a.Reason)
	}
}

func TestLookupErrors(t *testing.T) {
	t.Parallel()
	nobody, err := net.ListenPacket("udp", "127.0.0.1:0") // takes packets and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = nobody.Close() }()
	silent := nobody.LocalAddr().String()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		ctx                       context.Context
		server, name, qtype, want string
	}{
		{t.Context(), silent, "a.gossip", "NOPE", `dns type "NOPE"`},
		{t.Context(), silent, "a..gossip", "A", "not a domain name"},
		{t.Context(), silent, "", "A", "not a domain name"},
		{t.Context(), "127.0.0.1", "a.gossip", "A", "dns server 127.0.0.1 did not answer"},
		{ended, silent, "a.gossip", "A", "dns server " + silent + " did not answer"},
	}
	for _, tt := range tests {
		if _, err := dnsclient.Lookup(tt.ctx, tt.server, tt.name, tt.qtype); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %s at %s: got %v, want an error with %q", tt.name, tt.qtype, tt.server, err, tt.want)
		}
	}
}
