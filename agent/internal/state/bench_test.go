package state_test

import (
	"fmt"
	"testing"

	"github.com/seed-645ce708/gossip/agent/internal/state"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

func crowd(b *testing.B, n int) []state.Node {
	b.Helper()
	nodes := make([]state.Node, n)
	meta, err := wire.EncodeTags(map[string]string{"role": "web", "port": "8080"}, 5)
	if err != nil {
		b.Fatal(err)
	}
	for i := range nodes {
		nodes[i] = node(fmt.Sprintf("node-%05d", (i*7919)%n))
		nodes[i].Meta = meta
	}
	return nodes
}

// BenchmarkJoin10000 joins ten thousand members, publishing once at the end, and then after each of them.
func BenchmarkJoin10000(b *testing.B) {
	nodes := crowd(b, 10000)
	for _, each := range []bool{false, true} {
		b.Run(fmt.Sprintf("publish each %v", each), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := newRig(b)
				for _, n := range nodes {
					r.step(state.NodeJoin{Node: n})
					if each {
						r.s.Members()
					}
				}
				if len(r.s.Members()) != 10001 {
					b.Fatal("members are missing")
				}
			}
		})
	}
}

// BenchmarkUpdate changes one of ten thousand members and publishes.
func BenchmarkUpdate(b *testing.B) {
	nodes := crowd(b, 10000)
	r := newRig(b)
	for _, n := range nodes {
		r.step(state.NodeJoin{Node: n})
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.step(state.NodeUpdate{Node: nodes[i%len(nodes)]})
		r.s.Members()
	}
}

func BenchmarkUserEvent(b *testing.B) {
	r := newRig(b)
	m := &wire.UserEvent{Name: "deploy", Payload: []byte("v1")}
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			next := *m
			next.LTime = r.s.Clocks().Event
			r.step(state.Receive{Msg: &next})
		}
	})
	b.Run("duplicate", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.step(state.Receive{Msg: m})
		}
	})
}

func BenchmarkQuery(b *testing.B) {
	r := newRig(b)
	b.ReportAllocs()
	for b.Loop() {
		q := question(uint64(r.s.Clocks().Query), 1)
		q.Timeout = 0
		q.Flags = wire.FlagAck
		r.step(state.Receive{Msg: q})
	}
}

// BenchmarkPushPull10000 merges the state of a peer that knows the same ten thousand members.
func BenchmarkPushPull10000(b *testing.B) {
	r := newRig(b)
	for _, n := range crowd(b, 10000) {
		r.step(state.NodeJoin{Node: n})
	}
	b.Run("local", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.s.LocalState()
		}
	})
	b.Run("merge", func(b *testing.B) {
		pp := r.s.LocalState()
		b.ReportAllocs()
		for b.Loop() {
			r.step(state.RemoteState{State: pp})
		}
	})
}
