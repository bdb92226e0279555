package wire_test

import (
	"bytes"
	"testing"

	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// fuzz checks what holds for any bytes: no panic, and what was decoded encodes to something that decodes to
// the same.
func fuzz(f *testing.F, types []wire.Type, decode func([]byte) (wire.Message, error)) {
	for _, v := range vectors {
		for _, typ := range types {
			if v.msg.Type() == typ {
				f.Add(unhex(f, v.hex))
			}
		}
	}
	for _, typ := range types {
		f.Add([]byte{byte(typ)})
		f.Add([]byte{byte(typ), 0xc0})
		f.Add([]byte{byte(typ), 0xdf, 0xff, 0xff, 0xff, 0xff})
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := decode(raw)
		if err != nil {
			if err.Error() == "" {
				t.Fatal("an error without words")
			}
			return
		}
		first := wire.Encode(m)
		again, err := decode(first)
		if err != nil {
			t.Fatalf("own encoding %x does not decode: %v", first, err)
		}
		if second := wire.Encode(again); !bytes.Equal(first, second) {
			t.Fatalf("encodings differ:\n%x\n%x", first, second)
		}
	})
}

func FuzzDecode(f *testing.F) {
	fuzz(f, []wire.Type{wire.TypeLeave, wire.TypeJoin, wire.TypeUserEvent, wire.TypeQuery, wire.TypeQueryResponse, wire.TypeRelay}, wire.Decode)
}

func FuzzPushPull(f *testing.F) {
	fuzz(f, []wire.Type{wire.TypePushPull}, func(b []byte) (wire.Message, error) { return wire.DecodePushPull(b) })
}

func FuzzConflict(f *testing.F) {
	fuzz(f, []wire.Type{wire.TypeConflict}, func(b []byte) (wire.Message, error) { return wire.DecodeConflict(b) })
}

func FuzzKeys(f *testing.F) {
	fuzz(f, []wire.Type{wire.TypeKeyRequest, wire.TypeKeyResponse}, func(b []byte) (wire.Message, error) {
		if len(b) > 0 && wire.Type(b[0]) == wire.TypeKeyResponse {
			return wire.DecodeKeyResponse(b)
		}
		return wire.DecodeKeyRequest(b)
	})
}

func FuzzTags(f *testing.F) {
	f.Add([]byte{0xff, 0x80})
	f.Add([]byte("db"))
	f.Add(unhex(f, "ff81a4726f6c65a26462"))
	f.Fuzz(func(t *testing.T, meta []byte) {
		tags, err := wire.DecodeTags(meta)
		if tags == nil {
			t.Fatal("tags are nil")
		}
		if err != nil && len(tags) > 0 {
			t.Fatalf("damaged, yet there are tags: %v", tags)
		}
		again, err := wire.EncodeTags(tags, 5)
		if err != nil {
			return // shorter forms can hold more than fits
		}
		back, err := wire.DecodeTags(again)
		if err != nil || len(back) != len(tags) {
			t.Fatalf("%v came back as %v, %v", tags, back, err)
		}
	})
}

func FuzzFilter(f *testing.F) {
	f.Add(wire.EncodeNodeFilter([]string{"a", "b"}))
	f.Add(wire.EncodeTagFilter("role", "web.*"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		filter, err := wire.DecodeFilter(raw)
		if (filter == nil) == (err == nil) {
			t.Fatalf("filter %v with error %v", filter, err)
		}
	})
}
