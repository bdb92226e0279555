package dnsserver

import (
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/transfer"
	"github.com/seed-645ce708/gossip/dnsserver/tsig"
	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// A signed query is answered as any other, and the answer signed; with a wrong key it is refused. Transfers go to those who
// are listed, in as many messages as it takes.
func TestSigned(t *testing.T) {
	t.Parallel()
	newKey := func(name, secret string) *tsig.Key {
		key, err := tsig.NewKey(name, "hmac-sha256", secret)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	good := newKey("good", "c2VjcmV0IG9mIHRoaXJ0eS10d28gb2N0ZXRzISE/Pz8=")
	forged := newKey("good", "b3RoZXIgb2YgdGhpcnR5LXR3byBvY3RldHMhISEhPz8=")
	keys, err := tsig.NewKeyring(good)
	if err != nil {
		t.Fatal(err)
	}
	z := testZone(t, 3000, zone.OrderRandom)
	source := func() *zone.Zone { return z }
	rule, err := transfer.ParseRule("192.0.2.0/24 key=good")
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{
		Addr: "127.0.0.1:0", Source: source, Keys: keys, Transfers: transfer.New(transfer.Config{Source: source, Allow: []transfer.Rule{rule}}),
	})
	if err != nil {
		t.Fatal(err)
	}
	r := s.responder(s.tally.counters())
	for name, tt := range map[string]struct {
		query  *dns.Msg
		key    *tsig.Key
		from   string
		tcp    bool
		rcode  int
		signed bool
		many   bool
	}{
		"signed":                     {new(dns.Msg).SetQuestion("gossip.", dns.TypeSOA), good, "198.51.100.1", false, dns.RcodeSuccess, true, false},
		"signed, cut":                {new(dns.Msg).SetQuestion("web.service.gossip.", dns.TypeA), good, "198.51.100.1", false, dns.RcodeSuccess, true, false},
		"forged":                     {new(dns.Msg).SetQuestion("gossip.", dns.TypeSOA), forged, "192.0.2.1", false, dns.RcodeNotAuth, false, false},
		"transfer":                   {new(dns.Msg).SetAxfr("gossip."), good, "192.0.2.1", true, dns.RcodeSuccess, true, true},
		"transfer, not signed":       {new(dns.Msg).SetAxfr("gossip."), nil, "192.0.2.1", true, dns.RcodeRefused, false, false},
		"transfer, from elsewhere":   {new(dns.Msg).SetAxfr("gossip."), good, "198.51.100.1", true, dns.RcodeRefused, true, false},
		"transfer, forged":           {new(dns.Msg).SetAxfr("gossip."), forged, "192.0.2.1", true, dns.RcodeNotAuth, false, false},
		"update, signed by a reader": {new(dns.Msg).SetUpdate("gossip."), good, "192.0.2.1", true, dns.RcodeRefused, true, false},
	} {
		packet, err := tt.query.Pack()
		if err != nil {
			t.Fatal(err)
		}
		var exchange *tsig.Exchange
		if tt.key != nil {
			exchange = tsig.NewExchange(tt.key)
			packet = exchange.Seal(packet, time.Now())
		}
		var messages [][]byte
		last := r.respond(packet, path{
			tcp: tt.tcp, client: netip.MustParseAddr(tt.from), udpLimit: 1232, now: time.Now(),
			send: func(b []byte) error { messages = append(messages, append([]byte(nil), b...)); return nil },
		})
		messages = append(messages, last)
		if (len(messages) > 1) != tt.many {
			t.Errorf("%s: %d messages", name, len(messages))
		}
		for i, b := range messages {
			m := new(dns.Msg)
			if err := m.Unpack(b); err != nil {
				t.Fatalf("%s: message %d: %v", name, i, err)
			}
			if m.Rcode != tt.rcode || !tt.tcp && len(b) > minUDP {
				t.Errorf("%s: message %d has %d octets and code %s", name, i, len(b), dns.RcodeToString[m.Rcode])
			}
			if exchange == nil {
				continue
			}
			if _, err := exchange.Verify(b, time.Now()); (err == nil) != tt.signed {
				t.Errorf("%s: message %d: %v", name, i, err)
			}
		}
	}
}
