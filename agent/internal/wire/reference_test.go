package wire_test

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"

	"github.com/seed-645ce708/gossip/agent/internal/lamport"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// The types below are the messages as Serf's codec sees them; the tests compare our bytes with those of that
// codec (a zero-value MsgpackHandle, Serf reference 1.3) over values at every boundary of the format.
type (
	refLeave struct {
		LTime lamport.Time
		Node  string
		Prune bool
	}
	refSlotEvent struct {
		Name    string
		Payload []byte
	}
	refSlot struct {
		LTime  lamport.Time
		Events []refSlotEvent
	}
	refPushPull struct {
		LTime        lamport.Time
		StatusLTimes map[string]lamport.Time
		LeftMembers  []string
		EventLTime   lamport.Time
		Events       []*refSlot
		QueryLTime   lamport.Time
	}
	refUserEvent struct {
		LTime   lamport.Time
		Name    string
		Payload []byte
		CC      bool
	}
	refQuery struct {
		LTime       lamport.Time
		ID          uint32
		Addr        []byte
		Port        uint16
		SourceNode  string
		Filters     [][]byte
		Flags       uint32
		RelayFactor uint8
		Timeout     time.Duration
		Name        string
		Payload     []byte
	}
	refQueryResponse struct {
		LTime   lamport.Time
		ID      uint32
		From    string
		Flags   uint32
		Payload []byte
	}
	refKeyResponse struct {
		Result     bool
		Message    string
		Keys       []string
		PrimaryKey string
	}
)

func reference(t testing.TB, typ wire.Type, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	b.WriteByte(byte(typ))
	if err := codec.NewEncoder(&b, &codec.MsgpackHandle{}).Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// gen makes values around the boundaries where the format changes.
type gen struct{ *rand.Rand }

func (g gen) number() uint64 {
	edges := []uint64{0, 1, 31, 127, 128, 255, 256, 1<<15 - 1, 1 << 15, 1<<16 - 1, 1 << 16, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<63 - 1, 1 << 63, 1<<64 - 1}
	if g.IntN(4) == 0 {
		return g.Uint64() >> g.IntN(64)
	}
	return edges[g.IntN(len(edges))]
}

func (g gen) time() lamport.Time { return lamport.Time(g.number()) }

func (g gen) bool() bool { return g.IntN(2) == 0 }

func (g gen) text() string {
	sizes := []int{0, 1, 31, 32, 255, 256, 300}
	if g.IntN(50) == 0 {
		sizes = []int{65535, 65536}
	}
	return strings.Repeat("ä"[:1+g.IntN(2)], sizes[g.IntN(len(sizes))]) // also text that is not UTF-8
}

func (g gen) bytes() []byte {
	if g.bool() {
		return nil
	}
	return []byte(g.text())
}

func (g gen) addr() netip.Addr {
	return []netip.Addr{{}, netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("::ffff:10.1.2.3"), netip.MustParseAddr("fe80::1")}[g.IntN(4)]
}

func slice[T any](g gen, f func() T) []T {
	if g.bool() {
		return nil
	}
	list := make([]T, g.IntN(20))
	for i := range list {
		list[i] = f()
	}
	return list
}

func TestAgainstReferenceCodec(t *testing.T) {
	t.Parallel()
	g := gen{rand.New(rand.NewPCG(1, 2))}
	for range 3000 {
		var msg wire.Message
		var ref any
		switch g.IntN(6) {
		case 0:
			m := &wire.Leave{LTime: g.time(), Node: g.text(), Prune: g.bool()}
			msg, ref = m, refLeave(*m)
		case 1:
			m := &wire.UserEvent{LTime: g.time(), Name: g.text(), Payload: g.bytes(), Coalesce: g.bool()}
			msg, ref = m, refUserEvent{m.LTime, m.Name, m.Payload, m.Coalesce}
		case 2:
			m := &wire.Query{
				LTime: g.time(), ID: uint32(g.number()), Addr: g.addr(), Port: uint16(g.number()), SourceNode: g.text(),
				Filters: slice(g, g.bytes), Flags: uint32(g.number()), RelayFactor: uint8(g.number()),
				Timeout: time.Duration(g.number()), Name: g.text(), Payload: g.bytes(),
			}
			msg, ref = m, refQuery{
				m.LTime, m.ID, m.Addr.AsSlice(), m.Port, m.SourceNode, m.Filters, m.Flags, m.RelayFactor, m.Timeout, m.Name, m.Payload,
			}
		case 3:
			m := &wire.QueryResponse{LTime: g.time(), ID: uint32(g.number()), From: g.text(), Flags: uint32(g.number()), Payload: g.bytes()}
			msg, ref = m, refQueryResponse(*m)
		case 4:
			m := &wire.KeyResponse{Result: g.bool(), Message: g.text(), Keys: slice(g, g.text), PrimaryKey: g.text()}
			msg, ref = m, refKeyResponse(*m)
		case 5:
			m := &wire.PushPull{LTime: g.time(), EventLTime: g.time(), QueryLTime: g.time(), LeftMembers: slice(g, g.text)}
			r := refPushPull{LTime: m.LTime, EventLTime: m.EventLTime, QueryLTime: m.QueryLTime, LeftMembers: m.LeftMembers}
			if g.bool() {
				m.StatusLTimes = map[string]lamport.Time{}
				if g.bool() { // the reference codec does not sort, so one at most
					m.StatusLTimes[g.text()] = g.time()
				}
				r.StatusLTimes = m.StatusLTimes
			}
			m.Events = slice(g, func() *wire.EventSlot {
				if g.bool() {
					return nil
				}
				return &wire.EventSlot{LTime: g.time(), Events: slice(g, func() wire.SlotEvent {
					return wire.SlotEvent{Name: g.text(), Payload: g.bytes()}
				})}
			})
			if m.Events != nil {
				r.Events = make([]*refSlot, 0, len(m.Events))
			}
			for _, slot := range m.Events {
				var rs *refSlot
				if slot != nil {
					rs = &refSlot{LTime: slot.LTime}
					if slot.Events != nil {
						rs.Events = []refSlotEvent{}
					}
					for _, e := range slot.Events {
						rs.Events = append(rs.Events, refSlotEvent(e))
					}
				}
				r.Events = append(r.Events, rs)
			}
			msg, ref = m, r
		}
		raw := wire.Encode(msg)
		if want := reference(t, msg.Type(), ref); !bytes.Equal(raw, want) {
			t.Fatalf("%s: bytes differ from the reference codec's\n got %x\nwant %x", msg.Type(), head(raw), head(want))
		}
		back, err := decode(raw)
		if err != nil {
			t.Fatalf("%s: %v in %x", msg.Type(), err, head(raw))
		}
		if !reflect.DeepEqual(back, msg) {
			t.Fatalf("%s came back different\n got %+v\nwant %+v", msg.Type(), back, msg)
		}
	}
}

// Whatever the reference codec writes in its newer format, we read.
func TestReadsNewerFormat(t *testing.T) {
	t.Parallel()
	g := gen{rand.New(rand.NewPCG(3, 4))}
	h := &codec.MsgpackHandle{}
	h.WriteExt = true
	for range 500 {
		want := &wire.QueryResponse{LTime: g.time(), ID: uint32(g.number()), From: g.text(), Flags: uint32(g.number()), Payload: g.bytes()}
		b := bytes.NewBuffer([]byte{byte(wire.TypeQueryResponse)})
		if err := codec.NewEncoder(b, h).Encode(refQueryResponse(*want)); err != nil {
			t.Fatal(err)
		}
		got, err := wire.Decode(b.Bytes())
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%x: %+v, %v", head(b.Bytes()), got, err)
		}
	}
}

func head(b []byte) []byte { return b[:min(len(b), 200)] }
