package client

import (
	"encoding/hex"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/api/frame"
)

func testMembers() []api.Member {
	tags := make(map[string]string)
	for i := range 40 {
		tags[strings.Repeat("k", i)] = strings.Repeat("v", 8*i)
	}
	return []api.Member{
		{Name: "alpha", Addr: net.IP{10, 0, 0, 1}, Port: 7946, Tags: map[string]string{"role": "web"}, Status: "alive",
			ProtocolMin: 1, ProtocolMax: 5, ProtocolCur: 2, DelegateMin: 2, DelegateMax: 5, DelegateCur: 5},
		{Name: strings.Repeat("n", 300), Addr: net.IPv6loopback, Port: 200, Tags: tags, Status: "left", DelegateMax: 255},
		{Name: strings.Repeat("n", 70000), Addr: net.IP{10, 0, 0, 2}, Tags: map[string]string{}, Status: "failed", Port: 80,
			Damped: true, Note: "flapping", Since: 1_800_000_000, Until: 1<<32 - 1},
	}
}

// The decoder written by hand is used for what agents send, and yields what reflection does.
func TestMembersDecodeByHand(t *testing.T) {
	t.Parallel()
	many := slices.Repeat(testMembers()[:1], 70000)
	for _, want := range [][]api.Member{{}, testMembers(), many[:15], many[:16], many} {
		for _, confidence := range []*api.Confidence{nil, {}, {Evidence: "silence", Isolated: true, Synced: true, VisibleShare: 0.75}} {
			body := encode(t, api.MembersResponse{Members: want, Confidence: confidence})
			p := parser{b: body, same: make(map[string]string)}
			var got members
			p.response(&got)
			if p.strange || len(p.b) != 0 || !reflect.DeepEqual(got, members{want, confidence}) {
				t.Errorf("%d members, %+v: strange is %v, %d bytes left, or the members differ", len(want), confidence, p.strange, len(p.b))
			}
		}
	}
}

// What agents do not send is decoded all the same.
func TestMembersDecodeOtherForms(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][]api.Member{
		"c0":                       nil,
		"80":                       nil,
		"81 a74d656d62657273 c0":   nil,
		"81 a74d656d62657273 9180": {{}},
		"81 a74d656d62657273 91 82 a44e616d65 c0 a178 01":     {{}},           // a nil name and an unknown key
		"81 a74d656d62657273 91 81 a4506f7274 d1 1f0a":        {{Port: 7946}}, // a signed port
		"82 a178 01 a74d656d62657273 91 81 a44e616d65 a161":   {{Name: "a"}},  // an unknown key before
		"81 a74d656d62657273 91 82 a44e616d65 a161 a178 c0":   {{Name: "a"}},  //
		"81 a74d656d62657273 91 81 a441646472 a4 0a000001":    {{Addr: net.IP{10, 0, 0, 1}}},
		"81 c4074d656d62657273 91 81 a44e616d65 c40161":       {{Name: "a"}},
		"81 a74d656d62657273 91 81 a454616773 81 a161 c40162": {{Tags: map[string]string{"a": "b"}}},
	} {
		body, err := hex.DecodeString(strings.ReplaceAll(in, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		var m members
		if err := m.decode(body); err != nil || !reflect.DeepEqual(m.list, want) {
			t.Errorf("%s: got %+v, %v, want %+v", in, m.list, err, want)
		}
	}
	if err := new(members).decode([]byte{0x01}); err == nil {
		t.Error("a number passed for a list of members")
	}
}

// By hand or by reflection, the result is the same.
func FuzzMembers(f *testing.F) {
	f.Add(encode(f, api.MembersResponse{Members: testMembers()[:1]}))
	f.Add(encode(f, api.MembersResponse{Members: []api.Member{}}))
	f.Add(encode(f, api.MembersResponse{Members: testMembers()[2:], Confidence: &api.Confidence{Evidence: "x", VisibleShare: 1}}))
	f.Add([]byte{0x81, 0xa7, 'M', 'e', 'm', 'b', 'e', 'r', 's', 0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, in []byte) {
		p := parser{b: in, same: make(map[string]string)}
		var found members
		p.response(&found)
		got := found.list
		if p.strange || len(p.b) != 0 {
			return
		}
		var want api.MembersResponse
		if err := frame.Decode(in, &want); err != nil || len(got) != len(want.Members) {
			t.Fatalf("%x: %d members by hand, %d by reflection, %v", in, len(got), len(want.Members), err)
		}
		// In words, since a share may be no number.
		if got, want := fmt.Sprintf("%+v", found.confidence), fmt.Sprintf("%+v", want.Confidence); got != want {
			t.Errorf("%x: confidence %s by hand, %s by reflection", in, got, want)
		}
		for i := range got {
			if !sameMember(got[i], want.Members[i]) {
				t.Errorf("%x: %+v by hand, %+v by reflection", in, got[i], want.Members[i])
			}
		}
	})
}
