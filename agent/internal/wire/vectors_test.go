package wire_test

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/lamport"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// decode decodes any message, whichever way it travels.
func decode(raw []byte) (wire.Message, error) {
	if len(raw) == 0 {
		return nil, wire.ErrEmpty
	}
	switch wire.Type(raw[0]) {
	case wire.TypePushPull:
		return wire.DecodePushPull(raw)
	case wire.TypeConflict:
		return wire.DecodeConflict(raw)
	case wire.TypeKeyRequest:
		return wire.DecodeKeyRequest(raw)
	case wire.TypeKeyResponse:
		return wire.DecodeKeyResponse(raw)
	default:
		return wire.Decode(raw)
	}
}

// Bytes captured from real agents (Serf reference 7), both ways.
var vectors = []struct {
	name string
	hex  string
	msg  wire.Message
}{
	{"join", "0182a54c54696d6505a44e6f6465a26e31", &wire.Join{LTime: 5, Node: "n1"}},
	{
		"leave", "0083a54c54696d65cd012ca44e6f6465a26e31a55072756e65c3",
		&wire.Leave{LTime: 300, Node: "n1", Prune: true},
	},
	{
		"user event", "0384a24343c2a54c54696d6508a44e616d65a86465706c6f793130a75061796c6f6164c0",
		&wire.UserEvent{LTime: 8, Name: "deploy10"},
	},
	{
		"query", `048ba441646472a47f000003a746696c74657273c0a5466c61677300a24944ce0465e438a54c54696d650ea44e616d65a46c6f6164
			a75061796c6f6164c0a4506f7274cd1f0bab52656c6179466163746f7200aa536f757263654e6f6465a567616d6d61a754696d656f7574d25f5e1000`,
		&wire.Query{
			LTime: 14, ID: 0x0465e438, Addr: netip.MustParseAddr("127.0.0.3"), Port: 7947, SourceNode: "gamma",
			Timeout: 1600 * time.Millisecond, Name: "load",
		},
	},
	{
		"ack", "0585a5466c61677301a446726f6da5616c706861a24944cd04d2a54c54696d651ea75061796c6f6164c0",
		&wire.QueryResponse{LTime: 30, ID: 1234, From: "alpha", Flags: wire.FlagAck},
	},
	{
		"conflict, known", `068ba441646472a47f000002ab44656c656761746543757205ab44656c65676174654d617805ab44656c65676174654d696e02
			a44e616d65a462657461a4506f7274cd1f0aab50726f746f636f6c43757202ab50726f746f636f6c4d617805
			ab50726f746f636f6c4d696e01a653746174757301a45461677381a4726f6c65a26462`,
		&wire.Member{
			Name: "beta", Addr: netip.MustParseAddr("127.0.0.2"), Port: 7946, Tags: map[string]string{"role": "db"}, Status: 1,
			ProtocolMin: 1, ProtocolMax: 5, ProtocolCur: 2, DelegateMin: 2, DelegateMax: 5, DelegateCur: 5,
		},
	},
	{"conflict, unknown", "06c0", (*wire.Member)(nil)},
	{
		"relay", `0982a8446573744164647283a24950a47f000002a4506f7274d11f0aa45a6f6e65a0a8446573744e616d65a462657461
			0585a5466c61677300a446726f6da5616c706861a24944ce316736daa54c54696d650da75061796c6f6164aa68656c6c6f0a6572720a`,
		&wire.Relay{
			DestAddr: netip.MustParseAddrPort("127.0.0.2:7946"), DestName: "beta",
			Inner: wire.Encode(&wire.QueryResponse{LTime: 13, ID: 0x316736da, From: "alpha", Payload: []byte("hello\nerr\n")}),
		},
	},
	{"list-keys", "0781a34b6579a0", &wire.KeyRequest{Key: []byte{}}},
	{
		"install-key", "0781a34b6579b030313233343536373839616263646566",
		&wire.KeyRequest{Key: []byte("0123456789abcdef")},
	},
	{
		"key response", "0884a44b65797391a26b31a74d657373616765a0aa5072696d6172794b6579a26b31a6526573756c74c3",
		&wire.KeyResponse{Result: true, Keys: []string{"k1"}, PrimaryKey: "k1"},
	},
	{
		"push/pull", `0286aa4576656e744c54696d6504a64576656e747392c082a64576656e74739182a44e616d65a3646570a75061796c6f6164c0
			a54c54696d6501a54c54696d6503ab4c6566744d656d6265727391a36f6c64aa51756572794c54696d6505ac5374617475734c54696d657381a26e3102`,
		&wire.PushPull{
			LTime: 3, StatusLTimes: map[string]lamport.Time{"n1": 2}, LeftMembers: []string{"old"}, EventLTime: 4, QueryLTime: 5,
			Events: []*wire.EventSlot{nil, {LTime: 1, Events: []wire.SlotEvent{{Name: "dep"}}}},
		},
	},
}

func TestVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			want := unhex(t, v.hex)
			if got := wire.Encode(v.msg); !bytes.Equal(got, want) {
				t.Errorf("encoded\n got %x\nwant %x", got, want)
			}
			got, err := decode(want)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, v.msg) {
				t.Errorf("decoded\n got %+v\nwant %+v", got, v.msg)
			}
			// What follows a message is ignored, except behind a relay header.
			if v.msg.Type() != wire.TypeRelay {
				if again, err := decode(append(bytes.Clone(want), 1, 2, 3)); err != nil || !reflect.DeepEqual(again, v.msg) {
					t.Errorf("with trailing bytes: %+v, %v", again, err)
				}
			}
			// Cut anywhere, it is an error and no panic; only the relay's inner message may be cut unnoticed.
			if v.msg.Type() != wire.TypeRelay {
				for i := 1; i < len(want); i++ {
					if m, err := decode(want[:i]); err == nil {
						t.Fatalf("cut to %d bytes: decoded %+v without an error", i, m)
					}
				}
			}
		})
	}
}

// The older codec writes positive signed numbers in unsigned formats (Serf reference 0).
func TestOlderCodec(t *testing.T) {
	t.Parallel()
	raw := unhex(t, "0982a8446573744164647283a24950a47f000002a4506f7274cd1f0aa45a6f6e65a0a8446573744e616d65a46265746106c0")
	m, err := wire.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	if r := m.(*wire.Relay); r.DestAddr.String() != "127.0.0.2:7946" || !bytes.Equal(r.Inner, []byte{6, 0xc0}) {
		t.Errorf("got %+v", r)
	}
	raw = unhex(t, "0481a754696d656f7574ce5f5e1000")
	m, err = wire.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	if q := m.(*wire.Query); q.Timeout != 1600*time.Millisecond {
		t.Errorf("timeout %v", q.Timeout)
	}
}

func TestFilterVectors(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		hex  string
		enc  []byte
		want wire.Filter
	}{
		{"0092a161a162", wire.EncodeNodeFilter([]string{"a", "b"}), &wire.NodeFilter{Names: []string{"a", "b"}}},
		{
			"0182a445787072a57765622e2aa3546167a4726f6c65", wire.EncodeTagFilter("role", "web.*"),
			&wire.TagFilter{Tag: "role", Expr: "web.*"},
		},
	} {
		raw := unhex(t, v.hex)
		if !bytes.Equal(v.enc, raw) {
			t.Errorf("encoded\n got %x\nwant %x", v.enc, raw)
		}
		if got, err := wire.DecodeFilter(raw); err != nil || !reflect.DeepEqual(got, v.want) {
			t.Errorf("decoded %+v, %v, want %+v", got, err, v.want)
		}
	}
	for raw, want := range map[string]string{
		"":       "query has an empty filter",
		"07":     "query has unrecognized filter type: 7",
		"00":     "failed to decode query filter: ends too early",
		"0005":   "failed to decode query filter: an array expected, not a number",
		"0190":   "failed to decode query filter: a map expected, not an array",
		"0181a3": "failed to decode query filter: longer than the message",
	} {
		if _, err := wire.DecodeFilter(unhex(t, raw)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", raw, err, want)
		}
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		tags     map[string]string
		protocol uint8
		hex      string
		back     map[string]string
	}{
		{nil, 5, "ff80", map[string]string{}},
		{map[string]string{}, 5, "ff80", map[string]string{}},
		{map[string]string{"role": "db"}, 5, "ff81a4726f6c65a26462", map[string]string{"role": "db"}},
		{map[string]string{"role": "db"}, 3, "ff81a4726f6c65a26462", map[string]string{"role": "db"}},
		{map[string]string{"b": "2", "a": "1"}, 4, "ff82a161a131a162a132", map[string]string{"b": "2", "a": "1"}},
		{map[string]string{"role": "db", "x": "lost"}, 2, "6462", map[string]string{"role": "db"}},
		{map[string]string{"x": "lost"}, 2, "", map[string]string{"role": ""}},
	} {
		meta, err := wire.EncodeTags(v.tags, v.protocol)
		if err != nil || hex.EncodeToString(meta) != v.hex {
			t.Errorf("%v in version %d: %x, %v, want %s", v.tags, v.protocol, meta, err, v.hex)
		}
		if back, err := wire.DecodeTags(meta); err != nil || !reflect.DeepEqual(back, v.back) {
			t.Errorf("%x: %v, %v, want %v", meta, back, err, v.back)
		}
	}
	if tags, err := wire.DecodeTags([]byte{0xff, 0x81, 0xa1}); err == nil || tags == nil || len(tags) != 0 {
		t.Errorf("damaged: %v, %v", tags, err)
	}
	if tags, err := wire.DecodeTags([]byte{0xff, 0xc0}); err != nil || tags == nil || len(tags) != 0 {
		t.Errorf("nil map: %v, %v", tags, err)
	}
}

func TestTagsLimit(t *testing.T) {
	t.Parallel()
	// One byte for the magic, one for the map, two for the key, three for the value's head.
	room := wire.TagsLimit - 7
	if meta, err := wire.EncodeTags(map[string]string{"k": strings.Repeat("x", room)}, 5); err != nil || len(meta) != wire.TagsLimit {
		t.Errorf("at the limit: %d bytes, %v", len(meta), err)
	}
	_, err := wire.EncodeTags(map[string]string{"k": strings.Repeat("x", room+1)}, 5)
	if err == nil || err.Error() != "Encoded length of tags exceeds limit of 512 bytes" {
		t.Errorf("above the limit: %v", err)
	}
	if _, err := wire.EncodeTags(map[string]string{"role": strings.Repeat("x", 513)}, 2); err == nil {
		t.Error("above the limit in version 2: no error")
	}
}
