package wire_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

func batch(msgs ...[]byte) []byte {
	b := wire.BeginBatch(nil)
	for _, m := range msgs {
		b = wire.AppendToBatch(b, m)
	}
	return b
}

var (
	anEvent = wire.Encode(&wire.UserEvent{LTime: 7, Name: "deploy", Payload: bytes.Repeat([]byte("x"), 300)})
	aJoin   = wire.Encode(&wire.Join{LTime: 8, Node: "a"})
)

func TestBatch(t *testing.T) {
	t.Parallel()
	raw := batch(anEvent, aJoin, anEvent)
	if n := 1 + 2*(len(anEvent)+wire.BatchItemOverhead) + len(aJoin) + wire.BatchItemOverhead; len(raw) > n {
		t.Errorf("%d bytes, more than the %d that the overhead allows for", len(raw), n)
	}
	msgs, err := wire.SplitBatch(raw)
	if err != nil || len(msgs) != 3 {
		t.Fatalf("%d messages, %v", len(msgs), err)
	}
	for i, want := range [][]byte{anEvent, aJoin, anEvent} {
		if !bytes.Equal(msgs[i], want) {
			t.Errorf("message %d is %x, want %x", i, msgs[i], want)
		}
	}
	if _, err := wire.Decode(raw); err == nil {
		t.Error("a batch passes for a single message, and so could be gossiped or relayed")
	}
}

func TestBatchRefusals(t *testing.T) {
	t.Parallel()
	whole := batch(aJoin, anEvent)
	for name, raw := range map[string][]byte{
		"nothing":         {},
		"another type":    anEvent,
		"no message":      batch(),
		"empty message":   batch([]byte{}),
		"nested":          batch(aJoin, batch(aJoin)),
		"response":        batch(wire.Encode(&wire.QueryResponse{From: "a"})),
		"relay":           batch(wire.Encode(&wire.Relay{Inner: aJoin})),
		"push/pull":       batch(wire.Encode(&wire.PushPull{})),
		"unknown type":    batch([]byte{77, 1}),
		"cut off":         whole[:len(whole)-1],
		"a byte too many": append(bytes.Clone(whole), 1),
		"endless length":  append(wire.BeginBatch(nil), bytes.Repeat([]byte{0xff}, 12)...),
		"huge length":     append(wire.BeginBatch(nil), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 3),
	} {
		if msgs, err := wire.SplitBatch(raw); !errors.Is(err, wire.ErrBatch) || msgs != nil {
			t.Errorf("%s: %d messages, %v", name, len(msgs), err)
		}
	}
}

func FuzzBatch(f *testing.F) {
	f.Add(batch(anEvent, aJoin))
	f.Add(batch(aJoin, batch(aJoin)))
	f.Add([]byte{64, 0x80, 0x00})
	f.Fuzz(func(t *testing.T, raw []byte) {
		msgs, err := wire.SplitBatch(raw)
		if err != nil {
			return
		}
		again, err := wire.SplitBatch(batch(msgs...))
		if err != nil || len(again) != len(msgs) {
			t.Fatalf("%d messages came back as %d, %v", len(msgs), len(again), err)
		}
		for i, m := range msgs {
			if len(m) == 0 || !wire.Spreads(wire.Type(m[0])) || !bytes.Equal(m, again[i]) {
				t.Fatalf("message %d: %x, then %x", i, m, again[i])
			}
		}
	})
}
