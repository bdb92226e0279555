package rpc_test

import (
	"fmt"
	"testing"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/internal/rpc"
	"github.com/seed-645ce708/gossip/agent/internal/rpc/rpctest"
	"github.com/seed-645ce708/gossip/agent/internal/view"
)

// The server's side of lists at 10,000 members: from the cache, of a new snapshot each time, and filtered.
func BenchmarkMembers(b *testing.B) {
	members := make([]*view.Member, 10_000)
	for i := range members {
		members[i] = rpctest.Member(fmt.Sprintf("node-%05d.dc1.example.net", i), "10.0.0.1", "role", "web", "dc", "dc1", "port", "8080")
	}
	for _, bm := range []struct {
		name    string
		command string
		body    any
		renew   bool
	}{
		{"cached", api.CommandMembers, nil, false},
		{"new", api.CommandMembers, nil, true},
		{"filtered", api.CommandMembersFiltered, api.MembersFilteredRequest{Tags: map[string]string{"role": "db"}}, false},
	} {
		b.Run(bm.name, func(b *testing.B) {
			s := rpctest.Start(b, rpc.Config{}, rpctest.NewBackend(members...))
			raw := rawDial(b, s)
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				if bm.renew {
					s.Backend.Store.Publish(members)
				}
				raw.ask(bm.command, bm.body)
				raw.answer()
				var err error
				if buf, err = raw.in.Next(buf, 64<<20); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(int64(len(buf)))
		})
	}
}
