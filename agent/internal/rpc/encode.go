package rpc

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/view"
)

// Members are encoded by hand and not by reflection: lists of them are the only large messages of the protocol. The
// bytes are those of package frame, which the tests compare.

// appendMembersResponse appends an api.MembersResponse of some members of a snapshot.
func appendMembersResponse(b []byte, snap *view.Snapshot, members []*view.Member) []byte {
	if snap.Confidence == (view.Confidence{}) { // nobody judges
		b = append(b, 0x81)
	} else {
		b = append(b, 0x82)
		b = appendConfidence(appendString(b, "Confidence"), &snap.Confidence)
	}
	return appendMembers(appendString(b, "Members"), members, snap.Marks)
}

// appendConfidence appends an api.Confidence.
func appendConfidence(b []byte, c *view.Confidence) []byte {
	b = append(b, 0x84)
	b = appendString(appendString(b, "Evidence"), c.Evidence)
	b = appendBool(appendString(b, "Isolated"), c.Isolated)
	b = appendBool(appendString(b, "Synced"), c.Synced)
	b = append(appendString(b, "VisibleShare"), 0xcb)
	return binary.BigEndian.AppendUint64(b, math.Float64bits(c.VisibleShare))
}

// appendMemberEvent appends an api.MemberEventRecord.
func appendMemberEvent(b []byte, kind string, members []*view.Member) []byte {
	b = append(b, 0x82)
	b = appendString(appendString(b, "Event"), kind)
	return appendMembers(appendString(b, "Members"), members, nil)
}

func appendMembers(b []byte, members []*view.Member, marks map[string]view.Mark) []byte {
	const typical = 256 // bytes of a member, with some tags
	b = slices.Grow(b, 8+typical*len(members))
	b = appendLength(b, len(members), 0x90, 0xdc)
	for _, m := range members {
		b = appendMember(b, m, marks[m.Name])
	}
	return b
}

// appendMember appends an api.Member: eleven keys in alphabetical order (Serf reference 4.4), and between them what only
// our agents say, as far as there is anything.
func appendMember(b []byte, m *view.Member, mark view.Mark) []byte {
	head := len(b)
	b = append(b, 0x8b)
	b = appendBinary(appendString(b, "Addr"), m.Addr.AsSlice())
	if mark.Suppressed {
		b[head]++
		b = appendBool(appendString(b, "Damped"), true)
	}
	b = appendUint16(appendString(b, "DelegateCur"), uint16(m.DelegateCur))
	b = appendUint16(appendString(b, "DelegateMax"), uint16(m.DelegateMax))
	b = appendUint16(appendString(b, "DelegateMin"), uint16(m.DelegateMin))
	b = appendString(appendString(b, "Name"), m.Name)
	if mark.Reason != "" {
		b[head]++
		b = appendString(appendString(b, "Note"), mark.Reason)
	}
	b = appendUint16(appendString(b, "Port"), m.Port)
	b = appendUint16(appendString(b, "ProtocolCur"), uint16(m.ProtocolCur))
	b = appendUint16(appendString(b, "ProtocolMax"), uint16(m.ProtocolMax))
	b = appendUint16(appendString(b, "ProtocolMin"), uint16(m.ProtocolMin))
	if !mark.Since.IsZero() {
		b[head]++
		b = appendUnix(appendString(b, "Since"), mark.Since)
	}
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
	if mark.Until.IsZero() {
		return b
	}
	b[head]++ // with all four it is a map of fifteen, the largest of the short form
	return appendUnix(appendString(b, "Until"), mark.Until)
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

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 0xc3)
	}
	return append(b, 0xc2)
}

// appendUnix appends a time as unsigned Unix seconds of 32 bits, which last until 2106.
func appendUnix(b []byte, t time.Time) []byte {
	return binary.BigEndian.AppendUint32(append(b, 0xce), uint32(t.Unix()))
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
