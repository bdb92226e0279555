package dnsserver

import (
	"net"
	"testing"

	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/dnssec"
	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

var benchQueries = []struct {
	name, qname string
	qtype       uint16
}{
	{"A", "web1.node.gossip.", dns.TypeA},
	{"service20", "many.service.gossip.", dns.TypeA},
	{"srv20", "_many._tcp.service.gossip.", dns.TypeSRV},
	{"nxdomain", "nope.service.gossip.", dns.TypeA},
}

// BenchmarkRespond is the work of one query without the sockets.
func BenchmarkRespond(b *testing.B) {
	r := newResponder(testZone(b, 20, zone.OrderRandom))
	for _, q := range benchQueries {
		packet := benchQuery(b, q.qname, q.qtype)
		b.Run(q.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.respond(packet, overUDP)
			}
		})
	}
}

// BenchmarkUDP is one query and its reply over the loopback interface, one at a time.
func BenchmarkUDP(b *testing.B) {
	z := testZone(b, 20, zone.OrderRandom)
	s := start(b, Config{Addr: "127.0.0.1:0", Source: func() *zone.Zone { return z }})
	conn, err := net.Dial("udp", s.Addr())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	buf := make([]byte, maxMessage)
	for _, q := range benchQueries {
		packet := benchQuery(b, q.qname, q.qtype)
		b.Run(q.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := conn.Write(packet); err != nil {
					b.Fatal(err)
				}
				if _, err := conn.Read(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func benchQuery(b *testing.B, qname string, qtype uint16) []byte {
	b.Helper()
	packet, err := new(dns.Msg).SetQuestion(qname, qtype).SetEdns0(DefaultUDPSize, false).Pack()
	if err != nil {
		b.Fatal(err)
	}
	return packet
}

// BenchmarkSigned is what a signed answer costs: from the cache, and where each name is another.
func BenchmarkSigned(b *testing.B) {
	z := testZone(b, 20, zone.OrderRandom)
	k, err := dnssec.Generate("gossip", dnssec.ECDSAP256)
	if err != nil {
		b.Fatal(err)
	}
	r := newResponder(z)
	signer, err := dnssec.NewSigner([]*dnssec.Key{k})
	if err != nil {
		b.Fatal(err)
	}
	r.signWith(signer)
	for name, qname := range map[string]string{"A": "web1.node.gossip.", "service": "many.service.gossip.", "NXDOMAIN": "nope.gossip."} {
		packet, err := secureQuery(qname, dns.TypeA).Pack()
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.respond(packet, overTCP)
			}
		})
	}
}
