package wire_test

import (
	"bytes"
	"compress/flate"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

func TestDirectMessages(t *testing.T) {
	t.Parallel()
	req := wire.Request{ID: 1<<63 + 5, Kind: 3, Flags: wire.FlagByStream | wire.FlagSameLength, From: "a/b", Body: []byte("what")}
	ans := wire.Answer{ID: req.ID, Status: wire.StatusRefused, From: "c", Body: []byte{}}
	for _, length := range []int{0, 40, 1200} {
		raw := req.Encode(length)
		if length > 0 && len(raw) != length || !wire.IsDirect(raw) {
			t.Errorf("the request has %d bytes, not %d", len(raw), length)
		}
		if got, err := wire.DecodeRequest(raw); err != nil || !reflect.DeepEqual(got, req) {
			t.Errorf("got %+v, %v", got, err)
		}
		raw = ans.Encode(length)
		if got, err := wire.DecodeAnswer(raw); err != nil || !reflect.DeepEqual(got, ans) {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	if n := len(req.Encode(0)); n > wire.DirectOverhead+len(req.From)+len(req.Body) {
		t.Errorf("%d bytes are more than was promised", n)
	}
}

// Padding that were compressed away would tell nothing of how long a packet may be.
func TestDirectPaddingIsNoise(t *testing.T) {
	t.Parallel()
	for _, id := range []uint64{0, 1, 1 << 40} {
		var b bytes.Buffer
		w, err := flate.NewWriter(&b, flate.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		raw := (&wire.Request{ID: id}).Encode(1400)
		if _, err := w.Write(raw); err != nil || w.Close() != nil {
			t.Fatal(err)
		}
		if b.Len() < 1350 {
			t.Errorf("ID %d: 1400 bytes shrink to %d", id, b.Len())
		}
	}
}

func TestDamagedDirectMessages(t *testing.T) {
	t.Parallel()
	good := (&wire.Request{ID: 7, From: "a", Body: []byte("body")}).Encode(0)
	for n := range good {
		if _, err := wire.DecodeRequest(good[:n]); !errors.Is(err, wire.ErrDirect) {
			t.Errorf("%d bytes of %d: got %v", n, len(good), err)
		}
	}
	if _, err := wire.DecodeAnswer(good); !errors.Is(err, wire.ErrDirect) {
		t.Errorf("a request taken for an answer: %v", err)
	}
	long := (&wire.Request{From: strings.Repeat("x", wire.MaxDirectName+1)}).Encode(0)
	if _, err := wire.DecodeRequest(long); !errors.Is(err, wire.ErrDirect) {
		t.Errorf("too long a name: %v", err)
	}
	if wire.IsDirect(nil) || wire.IsDirect([]byte{byte(wire.TypeBatch)}) || wire.IsDirect([]byte{9}) {
		t.Error("what is no request was taken for one")
	}
}

func FuzzDirect(f *testing.F) {
	f.Add((&wire.Request{ID: 7, Kind: 1, From: "a", Body: []byte("body")}).Encode(0))
	f.Add((&wire.Answer{ID: 7, Status: 2, From: "a", Body: []byte{0x80, 0x01}}).Encode(100))
	f.Add([]byte{80})
	f.Add([]byte("\x50\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if req, err := wire.DecodeRequest(raw); err == nil {
			if again, err := wire.DecodeRequest(req.Encode(0)); err != nil || !reflect.DeepEqual(again, req) {
				t.Errorf("%+v came back as %+v, %v", req, again, err)
			}
		}
		if ans, err := wire.DecodeAnswer(raw); err == nil {
			if again, err := wire.DecodeAnswer(ans.Encode(0)); err != nil || !reflect.DeepEqual(again, ans) {
				t.Errorf("%+v came back as %+v, %v", ans, again, err)
			}
		}
	})
}
