package wire_test

import (
	"bytes"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

func TestLenience(t *testing.T) {
	t.Parallel()
	want := &wire.UserEvent{LTime: 8, Name: "go", Payload: []byte("x")}
	for name, raw := range map[string]string{
		"as written":              "03 84 a24343c2 a54c54696d6508 a44e616d65a2676f a75061796c6f6164a178",
		"any order":               "03 83 a75061796c6f6164a178 a44e616d65a2676f a54c54696d6508",
		"map16":                   "03 de0003 a75061796c6f6164a178 a44e616d65a2676f a54c54696d6508",
		"unknown keys":            "03 85 a3426f6f 82a16193c0c3cb0000000000000000a162c70401aabbccdd a54c54696d6508 a44e616d65a2676f a75061796c6f6164a178 a15ad6ff00000000",
		"case matters":            "03 84 a54c74696d6509 a54c54696d6508 a44e616d65a2676f a75061796c6f6164a178",
		"signed format":           "03 83 a54c54696d65d308 00000000000000",
		"str8 and bin8":           "03 83 a54c54696d65cc08 d9044e616d65 d902676f a75061796c6f6164c40178",
		"str8 for bytes, bin key": "03 83 c4054c54696d65cd0008 c4044e616d65 c402676f a75061796c6f6164d90178",
		"nil value":               "03 84 a24343c0 a54c54696d6508 a44e616d65a2676f a75061796c6f6164a178",
	} {
		if name == "signed format" {
			raw = "03 83 a54c54696d65d30000000000000008 a44e616d65a2676f a75061796c6f6164a178"
		}
		got, err := wire.Decode(unhex(t, raw))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for name, raw := range map[string]string{"missing keys": "0380", "nil for a map": "03c0"} {
		if got, err := wire.Decode(unhex(t, raw)); err != nil || !reflect.DeepEqual(got, &wire.UserEvent{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestNilAndEmptyPayloadStayApart(t *testing.T) {
	t.Parallel()
	for _, payload := range [][]byte{nil, {}, {0}} {
		m, err := wire.Decode(wire.Encode(&wire.UserEvent{Name: "n", Payload: payload}))
		if err != nil {
			t.Fatal(err)
		}
		if got := m.(*wire.UserEvent).Payload; !reflect.DeepEqual(got, payload) {
			t.Errorf("payload %#v came back as %#v", payload, got)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ hex, want string }{
		{"", "empty message"},
		{"02", "received message of unknown type: 2"},
		{"0680", "received message of unknown type: 6"},
		{"2a", "received message of unknown type: 42"},
		{"00", "error decoding leave message: ends too early"},
		{"0093010203", "error decoding leave message: a map expected, not an array"},
		{"0181a54c54696d65ff", `error decoding join message: field "LTime": negative number for an unsigned field`},
		{"0181a54c54696d65d0ff", `error decoding join message: field "LTime": negative number for an unsigned field`},
		{"0181a54c54696d65cb3ff0000000000000", `error decoding join message: field "LTime": a whole number expected, not a fraction`},
		{"0181a44e6f646505", `error decoding join message: field "Node": text or bytes expected, not a number`},
		{"0181a44e6f6465a5", `error decoding join message: field "Node": longer than the message`},
		{"0181a44e6f6465dbffffffff", `error decoding join message: field "Node": longer than the message`},
		{"018105", "error decoding join message: text or bytes expected, not a number"},
		{"0381a24343a0", `error decoding user event message: field "CC": a boolean expected, not text or bytes`},
		{"0481a4506f7274ce00010000", `error decoding query message: field "Port": number out of range`},
		{"0481a754696d656f7574cfffffffffffffffff", `error decoding query message: field "Timeout": number out of range`},
		{"0481a746696c74657273ddffffffff", `error decoding query message: field "Filters": ends too early`},
		{"0581a158c1", `error decoding query response message: field "X": a value expected, not format byte 0xc1`},
		{"0581a158dfffffffff", `error decoding query response message: field "X": ends too early`},
		{"0980", "error decoding relay message: no destination address"},
		{"0981a8446573744164647281a24950a20102", "error decoding relay message: no destination address"},
	} {
		_, err := wire.Decode(unhex(t, tt.hex))
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s:\n got %v\nwant %s", tt.hex, err, tt.want)
		}
	}
	var unknown *wire.UnknownTypeError
	if _, err := wire.Decode([]byte{7}); !errors.As(err, &unknown) || unknown.Type != wire.TypeKeyRequest {
		t.Errorf("unknown type: %v", err)
	}
	var damaged *wire.DecodeError
	if _, err := wire.Decode([]byte{4}); !errors.As(err, &damaged) || damaged.Type != wire.TypeQuery || damaged.Err == nil {
		t.Errorf("damaged: %v", err)
	}
}

func TestErrorsOfOtherDecoders(t *testing.T) {
	t.Parallel()
	_, err := wire.DecodePushPull(nil)
	expectError(t, err, "Remote state is zero bytes")
	_, err = wire.DecodePushPull([]byte{3, 0x80})
	expectError(t, err, "Remote state has bad type prefix: 3")
	_, err = wire.DecodePushPull([]byte{2, 0x90})
	expectError(t, err, "Failed to decode remote state: error decoding push/pull message: a map expected, not an array")
	_, err = wire.DecodeKeyRequest(nil)
	expectError(t, err, "Invalid key request payload")
	_, err = wire.DecodeKeyResponse([]byte{1, 2})
	expectError(t, err, "Invalid key query response type: [1 2]")
	_, err = wire.DecodeKeyResponse(nil)
	expectError(t, err, "Invalid key query response type: []")
	_, err = wire.DecodeKeyResponse([]byte{8, 1})
	expectError(t, err, "Failed to decode key query response: error decoding key response message: a map expected, not a number")
	_, err = wire.DecodeConflict(nil)
	expectError(t, err, "empty message")
	_, err = wire.DecodeConflict([]byte{5})
	expectError(t, err, "received message of unknown type: 5")
	_, err = wire.DecodeConflict([]byte{6, 1})
	expectError(t, err, "error decoding conflict response message: a map expected, not a number")
	if m, err := wire.DecodeKeyRequest([]byte{99, 0x80}); err != nil || m.Key != nil {
		t.Errorf("a key request of another type byte: %+v, %v", m, err)
	}
}

func expectError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

// A kilobyte that claims to hold thousands of millions of things must not be believed.
func TestLengthsClaimNoMemory(t *testing.T) { // not parallel: it measures
	for name, raw := range map[string]string{
		"slots":      "0281a64576656e7473dd00ffffff",
		"left":       "0281ab4c6566744d656d62657273dd00ffffff",
		"times":      "0281ac5374617475734c54696d6573df00ffffff",
		"tags":       "0681a454616773df00ffffff",
		"payload":    "0381a75061796c6f6164db00ffffff",
		"events":     "0281a64576656e74739181a64576656e7473dd00ffffff",
		"deep":       "0381a15a" + strings.Repeat("91", 2000),
		"deep maps":  "0381a15a" + strings.Repeat("81", 2000),
		"many nulls": "0281a64576656e74739181a64576656e7473dc07d0" + strings.Repeat("c0", 1999),
	} {
		b := append(unhex(t, raw), make([]byte, 100)...)
		const rounds = 50
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range rounds {
			_, _ = decode(b) // most of these are errors
		}
		runtime.ReadMemStats(&after)
		if got := (after.TotalAlloc - before.TotalAlloc) / rounds; got > 64<<10+20*uint64(len(b)) {
			t.Errorf("%s: %d bytes allocated for %d", name, got, len(b))
		}
	}
}

func TestDecodeCopies(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		raw := unhex(t, v.hex)
		m, err := decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		for i := range raw {
			raw[i] = 0x55
		}
		if again := wire.Encode(m); !bytes.Equal(again, unhex(t, v.hex)) {
			t.Errorf("%s: changed with the buffer it came from", v.name)
		}
	}
}

func TestTypeNames(t *testing.T) {
	t.Parallel()
	want := []string{
		"leave", "join", "push/pull", "user event", "query", "query response", "conflict response", "key request",
		"key response", "relay", "unknown",
	}
	for i, name := range want {
		if got := wire.Type(i).String(); got != name {
			t.Errorf("type %d is %q, want %q", i, got, name)
		}
	}
}
