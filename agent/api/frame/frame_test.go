package frame

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/seed-645ce708/gossip/agent/api"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestNextTakesOneValue(t *testing.T) {
	t.Parallel()
	for _, tc := range []string{
		"00", "7f", "e0", "ff", "c0", "c2", "c3", "cc ff", "d0 80", "cd 1234", "d1 1234", "ce 12345678", "d2 12345678",
		"cf 0123456789abcdef", "d3 0123456789abcdef", "ca 00000000", "cb 0000000000000000",
		"a0", "a3 616263", "d9 02 6162", "da 0002 6162", "db 00000002 6162",
		"c4 02 6162", "c5 0002 6162", "c6 00000002 6162",
		"d4 01 00", "d5 01 0000", "d6 01 00000000", "d7 01 0000000000000000", "d8 01 00000000000000000000000000000000",
		"c7 02 01 0000", "c8 0002 01 0000", "c9 00000002 01 0000",
		"90", "92 01 02", "dc 0002 01 02", "dd 00000002 01 02", "80", "81 a1 61 92 01 90", "de 0001 a0 01", "df 00000001 a0 01",
		"82a54572726f72a0a353657102",
	} {
		want := unhex(t, tc)
		for name, r := range map[string]io.Reader{
			"at once":      bytes.NewReader(append(bytes.Clone(want), want...)),
			"byte by byte": iotest.OneByteReader(bytes.NewReader(append(bytes.Clone(want), want...))),
		} {
			in := NewReader(r)
			for range 2 {
				got, err := in.Next(nil, len(want))
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s, %s: got %x, %v", tc, name, got, err)
				}
			}
			if _, err := in.Next(nil, 100); err != io.EOF { //nolint:errorlint // must be io.EOF itself
				t.Errorf("%s, %s: at the end: %v", tc, name, err)
			}
			if err := in.Wait(); err != io.EOF { //nolint:errorlint // as above
				t.Errorf("%s, %s: Wait at the end: %v", tc, name, err)
			}
		}
	}
}

func TestNextRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		in   string
		want error
	}{
		{"c1", ErrMalformed},
		{"92 01 c1", ErrMalformed},
		{"82 a1", io.ErrUnexpectedEOF},
		{"81", io.ErrUnexpectedEOF},
		{"d9", io.ErrUnexpectedEOF},
		{"d9 05 61", io.ErrUnexpectedEOF},
		{"db ffffffff", ErrTooLarge},
		{"c6 7fffffff 00", ErrTooLarge},
		{"c9 ffffffff", ErrTooLarge},
		{"dd ffffffff", ErrTooLarge},
		{"df ffffffff", ErrTooLarge},
		{"df 00000030", ErrTooLarge}, // 48 pairs do not fit in 64 bytes
		{"dc 0040" + strings.Repeat("00", 64), ErrTooLarge},
		{"92 d9 20" + strings.Repeat("00", 32) + "d9 20" + strings.Repeat("00", 32), ErrTooLarge},
		{strings.Repeat("91", 32) + "00", ErrTooDeep},
	} {
		if got, err := NewReader(bytes.NewReader(unhex(t, tc.in))).Next(nil, 64); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %x, %v, want %v", tc.in, got, err, tc.want)
		}
	}
}

func TestNextAllocatesWhatArrives(t *testing.T) {
	t.Parallel()
	in := NewReader(bytes.NewReader(unhex(t, "c6 0fffffff 00")))
	got, err := in.Next(nil, 1<<30)
	if !errors.Is(err, io.ErrUnexpectedEOF) || cap(got) > 2*readChunk {
		t.Errorf("a promise of 256 MiB: %v, with %d bytes of buffer", err, cap(got))
	}
}

func TestVectors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		v    any
		want string
	}{
		{api.ResponseHeader{Seq: 2}, "82a54572726f72a0a353657102"},
		{api.MembersResponse{Members: []api.Member{}}, "81a74d656d6265727390"},
		{api.QueryRecord{Type: api.QueryRecordAck, From: "beta"}, "83a446726f6da462657461a75061796c6f6164c0a454797065a361636b"},
		{api.RequestHeader{Command: api.CommandHandshake}, "82a7436f6d6d616e64a968616e647368616b65a353657100"},
		{api.EventRequest{Name: strings.Repeat("n", 32), Payload: []byte{1}, Coalesce: true},
			"83a8436f616c65736365c3a44e616d65d920" + strings.Repeat("6e", 32) + "a75061796c6f6164c40101"},
		{map[string]string{"b": "2", "a": "1", "c": "3"}, "83a161a131a162a132a163a133"},
	} {
		got, err := Append([]byte{0xc0}, tc.v)
		if err != nil || hex.EncodeToString(got) != "c0"+tc.want {
			t.Errorf("%+v: got %x, %v\nwant c0%s", tc.v, got, err, tc.want)
		}
	}
}

// What Serf's server takes, ours takes too (Serf reference 4.1).
func TestDecodeIsLenient(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, in string
		want     any
	}{
		{"other order and unknown keys", "83 a3536571 02 a1 78 92 01 02 a7436f6d6d616e64 a1 6d", &api.RequestHeader{Command: "m", Seq: 2}},
		{"missing keys", "80", &api.RequestHeader{}},
		{"nil", "c0", &api.RequestHeader{}},
		{"bin for string", "81 a7436f6d6d616e64 c4 01 6d", &api.RequestHeader{Command: "m"}},
		{"str for bytes", "81 a75061796c6f6164 a1 70", &api.EventRequest{Payload: []byte("p")}},
		{"number for bool", "81 a8436f616c65736365 01", &api.EventRequest{Coalesce: true}},
		{"other case of letters", "81 a46e616d65 a1 6e", &api.EventRequest{}},
		{"signed duration", "81 a754696d656f7574 d2 5f5e1000", &api.QueryRequest{Timeout: 1600000000}},
		{"unsigned duration", "81 a754696d656f7574 ce 5f5e1000", &api.QueryRequest{Timeout: 1600000000}},
	} {
		got := reflect.New(reflect.TypeOf(tc.want).Elem()).Interface()
		if err := Decode(unhex(t, tc.in), got); err != nil || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: got %+v, %v, want %+v", tc.name, got, err, tc.want)
		}
	}
	for _, in := range []string{"01", "81 a3536571 a1 78", "81 a3536571 ff"} {
		if err := Decode(unhex(t, in), new(api.RequestHeader)); err == nil {
			t.Errorf("%s: decoded as a header", in)
		}
	}
}

func TestDecodeCopies(t *testing.T) {
	t.Parallel()
	b, err := Append(nil, api.QueryRecord{Type: "response", From: "beta", Payload: []byte("payload")})
	if err != nil {
		t.Fatal(err)
	}
	var got api.QueryRecord
	if err := Decode(b, &got); err != nil {
		t.Fatal(err)
	}
	clear(b)
	if got.From != "beta" || string(got.Payload) != "payload" {
		t.Errorf("shares memory with its input: %+v", got)
	}
}

func FuzzNextAndDecode(f *testing.F) {
	for _, s := range []string{
		"82a54572726f72a0a353657102", "81a74d656d6265727390", "83a446726f6da462657461a75061796c6f6164c0a454797065a361636b",
		"ddffffffff", "9191919191919191919191919191919191919191", "c7ff0100", "d40100",
	} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		const limit = 1 << 12
		r := NewReader(bytes.NewReader(in))
		rest := in
		for {
			v, err := r.Next(nil, limit)
			if err != nil {
				return
			}
			if len(v) == 0 || len(v) > limit || !bytes.HasPrefix(rest, v) {
				t.Fatalf("took %x off %x", v, rest)
			}
			rest = rest[len(v):]
			for _, into := range []any{
				new(api.RequestHeader), new(api.ResponseHeader), new(api.MembersResponse), new(api.QueryRequest),
				new(api.KeyResponse), new(api.CoordinateResponse), new(api.Stats), new(api.TagsRequest),
			} {
				_ = Decode(v, into) // any error, but no panic
			}
		}
	})
}
