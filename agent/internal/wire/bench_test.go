package wire_test

import (
	"fmt"
	"testing"

	"github.com/seed-645ce708/gossip/agent/internal/lamport"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

func BenchmarkMessages(b *testing.B) {
	for _, v := range vectors {
		b.Run("encode/"+v.name, func(b *testing.B) {
			b.ReportAllocs()
			buf := make([]byte, 0, 1024)
			for b.Loop() {
				buf = wire.AppendMessage(buf[:0], v.msg)
			}
		})
		b.Run("decode/"+v.name, func(b *testing.B) {
			raw := unhex(b, v.hex)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := decode(raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPushPull10000(b *testing.B) {
	m := &wire.PushPull{LTime: 1, StatusLTimes: make(map[string]lamport.Time)}
	for i := range 10000 {
		m.StatusLTimes[fmt.Sprintf("node-%05d.example", i)] = lamport.Time(i)
	}
	raw := wire.Encode(m)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			wire.Encode(m)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := wire.DecodePushPull(raw); err != nil {
				b.Fatal(err)
			}
		}
	})
}
