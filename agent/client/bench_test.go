package client_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/seed-645ce708/gossip/agent/client"
	"github.com/seed-645ce708/gossip/agent/internal/rpc"
	"github.com/seed-645ce708/gossip/agent/internal/rpc/rpctest"
	"github.com/seed-645ce708/gossip/agent/internal/view"
)

// nodes makes a cluster of n members with the tags of an ordinary one.
func nodes(n int) []*view.Member {
	members := make([]*view.Member, n)
	for i := range members {
		m := rpctest.Member(fmt.Sprintf("node-%05d.dc1.example.net", i), "10.0.0.1", "role", "web", "dc", "dc1", "port", "8080")
		m.Addr = netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		members[i] = m
	}
	return members
}

// One list of 10,000 members from end to end.
func BenchmarkMembers(b *testing.B) {
	s := rpctest.Start(b, rpc.Config{}, rpctest.NewBackend(nodes(10_000)...))
	c, err := client.Dial(b.Context(), client.Config{Dialer: s.Dial})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	b.ReportAllocs()
	for b.Loop() {
		if members, err := c.Members(b.Context()); err != nil || len(members) != 10_000 {
			b.Fatalf("%d members, %v", len(members), err)
		}
	}
}

// A small call: the price of a round trip.
func BenchmarkCall(b *testing.B) {
	s := rpctest.Start(b, rpc.Config{}, rpctest.NewBackend())
	c, err := client.Dial(b.Context(), client.Config{Dialer: s.Dial})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := c.Coordinate(b.Context(), "alpha"); err != nil {
			b.Fatal(err)
		}
	}
}
