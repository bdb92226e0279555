package dnsserver

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// FuzzStream: whatever arrives on a connection, in whatever pieces, what goes back is whole messages that parse, one at most
// for each that came, and the connection ends.
func FuzzStream(f *testing.F) {
	m := new(dns.Msg).SetQuestion("web.service.gossip.", dns.TypeSRV).SetEdns0(1232, true)
	packet, err := m.Pack()
	if err != nil {
		f.Fatal(err)
	}
	one := framed(packet)
	f.Add(one, uint8(0))
	f.Add(append(append([]byte{}, one...), one...), uint8(1))
	f.Add(append(append([]byte{}, one...), one[:7]...), uint8(5))
	f.Add([]byte{0, 0, 0, 3, 1, 2, 3}, uint8(2))
	z := testZone(f, 5, zone.OrderRandom)
	s, err := New(Config{Addr: "127.0.0.1:0", Source: func() *zone.Zone { return z }})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, sent []byte, piece uint8) {
		client, server := net.Pipe()
		session, _ := s.conns.add(server, clientKey(addrOf(server)), time.Now())
		if session == nil {
			t.Fatal("no room")
		}
		go func() {
			rest := sent
			for len(rest) > 0 {
				n := min(len(rest), 1+int(piece))
				if _, err := client.Write(rest[:n]); err != nil {
					return // the server has had enough
				}
				rest = rest[n:]
			}
		}()
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.serveConn(&stream{server: s, session: session, conn: server, stats: new(counters)}, nil)
			_ = server.Close()
			s.conns.remove(session)
		}()
		most := 0
		for rest := sent; len(rest) >= prefixSize; most++ {
			size := prefixSize + int(binary.BigEndian.Uint16(rest))
			if size > len(rest) {
				break
			}
			rest = rest[size:]
		}
		replies := 0
		for ; replies < most; replies++ {
			var prefix [prefixSize]byte
			if _, err := io.ReadFull(client, prefix[:]); err != nil {
				break // it was no query
			}
			reply := make([]byte, binary.BigEndian.Uint16(prefix[:]))
			if _, err := io.ReadFull(client, reply); err != nil {
				t.Fatalf("a part of a message: %v", err)
			}
			if err := new(dns.Msg).Unpack(reply); err != nil {
				t.Fatalf("does not parse: %v", err)
			}
		}
		_ = client.Close()
		<-done
	})
}
