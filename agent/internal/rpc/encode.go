package rpc

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/seed-645ce708/gossip/agent/internal/view"
)

// Members are encoded by hand and not by reflection: lists of them are the only large messages of the protocol. The
// bytes are those of package frame, which the tests compare.

// appendMembersResponse appends an api.MembersResponse.
func appendMembersResponse(b []byte, members []*view.Member) []byte {
	b = append(b, 0x81)
	return appendMembers(appendString(b, "Members"), members)
}

// appendMemberEvent appends an api.MemberEventRecord.
func appendMemberEvent(b []byte, kind string, members []*view.Member) []byte {
	b = append(b, 0x82)
	b = appendString(appendString(b, "Event"), kind)
	return appendMembers(appendString(b, "Members"), members)
}

func appendMembers(b []byte, members []*view.Member) []byte {
	const typical = 256 // bytes of a member, with some tags
	b = slices.Grow(b, 8+typical*len(members))
	b = appendLength(b, len(members), 0x90, 0xdc)
	for _, m := range members {
		b = appendMember(b, m)
	}
	return b
}

// appendMember appends an api.Member: eleven keys in alphabetical order (Serf reference 4.4).
func appendMember(b []byte, m *view.Member) []byte {
	b = append(b, 0x8b)
	b = appendBinary(appendString(b, "Addr"), m.Addr.AsSlice())
	b = appendUint16(appendString(b, "DelegateCur"), uint16(m.DelegateCur))
	b = appendUint16(appendString(b, "DelegateMax"), uint16(m.DelegateMax))
	b = appendUint16(appendString(b, "DelegateMin"), uint16(m.DelegateMin))
	b = appendString(appendString(b, "Name"), m.Name)
	b = appendUint16(appendString(b, "Port"), m.Port)
	b = appendUint16(appendString(b, "ProtocolCur"), uint16(m.ProtocolCur))
	b = appendUint16(appendString(b, "ProtocolMax"), uint16(m.ProtocolMax))
	b = appendUint16(appendString(b, "ProtocolMin"), uint16(m.ProtocolMin))
	b = appendString(appendString(b, "Status"), m.Status.String())
	b = appendString(b, "Tags")
	b = appendLength(b, len(m.Tags), 0x80, 0xde)
	switch len(m.Tags) {
	case 0, 1:
		for k, v := range m.Tags {
			b = appendString(appendString(b, k), v)
		}
	default:
		var room [16]string
		keys := slices.AppendSeq(room[:0], maps.Keys(m.Tags))
		slices.Sort(keys)
		for _, k := range keys {
			b = appendString(appendString(b, k), m.Tags[k])
		}
	}
	return b
}

// appendLength begins an array or map: fix is the code of the empty short form, wide that of the 16-bit form.
func appendLength(b []byte, n int, fix, wide byte) []byte {
	switch {
	case n < 16:
		return append(b, fix|byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, wide), uint16(n))
	default:
		return binary.BigEndian.AppendUint32(append(b, wide+1), uint32(n))
	}
}

func appendString(b []byte, s string) []byte {
	switch n := len(s); {
	case n < 32:
		b = append(b, 0xa0|byte(n))
	case n < 1<<8:
		b = append(b, 0xd9, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0xda), uint16(n))
	default:
		b = binary.BigEndian.AppendUint32(append(b, 0xdb), uint32(n))
	}
	return append(b, s...)
}

// appendBinary takes fewer than 256 bytes.
func appendBinary(b, data []byte) []byte {
	if data == nil {
		return append(b, 0xc0)
	}
	return append(append(b, 0xc4, byte(len(data))), data...)
}

func appendUint16(b []byte, n uint16) []byte {
	switch {
	case n < 1<<7:
		return append(b, byte(n))
	case n < 1<<8:
		return append(b, 0xcc, byte(n))
	default:
		return binary.BigEndian.AppendUint16(append(b, 0xcd), n)
	}
}
