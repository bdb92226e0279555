package wire

import (
	"maps"
	"net/netip"
	"slices"
)

// Encode returns the whole message: its type byte and its msgpack value.
func Encode(m Message) []byte {
	return AppendMessage(make([]byte, 0, 128), m)
}

// AppendMessage appends the whole message to b.
func AppendMessage(b []byte, m Message) []byte {
	return m.append(append(b, byte(m.Type())))
}

// The methods below write fields in the alphabetical order of their names, as Serf does.

func (m *Leave) append(b []byte) []byte {
	b = appendMapLen(b, 3)
	b = appendUint(appendString(b, "LTime"), uint64(m.LTime))
	b = appendString(appendString(b, "Node"), m.Node)
	return appendBool(appendString(b, "Prune"), m.Prune)
}

func (m *Join) append(b []byte) []byte {
	b = appendMapLen(b, 2)
	b = appendUint(appendString(b, "LTime"), uint64(m.LTime))
	return appendString(appendString(b, "Node"), m.Node)
}

func (m *PushPull) append(b []byte) []byte {
	b = appendMapLen(b, 6)
	b = appendUint(appendString(b, "EventLTime"), uint64(m.EventLTime))
	b = appendString(b, "Events")
	if m.Events == nil {
		b = appendNil(b)
	} else {
		b = appendArrayLen(b, len(m.Events))
		for _, slot := range m.Events {
			b = slot.append(b)
		}
	}
	b = appendUint(appendString(b, "LTime"), uint64(m.LTime))
	b = appendStrings(appendString(b, "LeftMembers"), m.LeftMembers)
	b = appendUint(appendString(b, "QueryLTime"), uint64(m.QueryLTime))
	b = appendString(b, "StatusLTimes")
	if m.StatusLTimes == nil {
		return appendNil(b)
	}
	b = appendMapLen(b, len(m.StatusLTimes))
	for _, name := range slices.Sorted(maps.Keys(m.StatusLTimes)) {
		b = appendUint(appendString(b, name), uint64(m.StatusLTimes[name]))
	}
	return b
}

func (s *EventSlot) append(b []byte) []byte {
	if s == nil {
		return appendNil(b)
	}
	b = appendMapLen(b, 2)
	b = appendString(b, "Events")
	if s.Events == nil {
		b = appendNil(b)
	} else {
		b = appendArrayLen(b, len(s.Events))
		for _, e := range s.Events {
			b = appendMapLen(b, 2)
			b = appendString(appendString(b, "Name"), e.Name)
			b = appendBytes(appendString(b, "Payload"), e.Payload)
		}
	}
	return appendUint(appendString(b, "LTime"), uint64(s.LTime))
}

func (m *UserEvent) append(b []byte) []byte {
	b = appendMapLen(b, 4)
	b = appendBool(appendString(b, "CC"), m.Coalesce)
	b = appendUint(appendString(b, "LTime"), uint64(m.LTime))
	b = appendString(appendString(b, "Name"), m.Name)
	return appendBytes(appendString(b, "Payload"), m.Payload)
}

func (m *Query) append(b []byte) []byte {
	b = appendMapLen(b, 11)
	b = appendAddr(appendString(b, "Addr"), m.Addr)
	b = appendString(b, "Filters")
	if m.Filters == nil {
		b = appendNil(b)
	} else {
		b = appendArrayLen(b, len(m.Filters))
		for _, f := range m.Filters {
			b = appendBytes(b, f)
		}
	}
	b = appendUint(appendString(b, "Flags"), uint64(m.Flags))
	b = appendUint(appendString(b, "ID"), uint64(m.ID))
	b = appendUint(appendString(b, "LTime"), uint64(m.LTime))
	b = appendString(appendString(b, "Name"), m.Name)
	b = appendBytes(appendString(b, "Payload"), m.Payload)
	b = appendUint(appendString(b, "Port"), uint64(m.Port))
	b = appendUint(appendString(b, "RelayFactor"), uint64(m.RelayFactor))
	b = appendString(appendString(b, "SourceNode"), m.SourceNode)
	return appendInt(appendString(b, "Timeout"), int64(m.Timeout))
}

func (m *QueryResponse) append(b []byte) []byte {
	b = appendMapLen(b, 5)
	b = appendUint(appendString(b, "Flags"), uint64(m.Flags))
	b = appendString(appendString(b, "From"), m.From)
	b = appendUint(appendString(b, "ID"), uint64(m.ID))
	b = appendUint(appendString(b, "LTime"), uint64(m.LTime))
	return appendBytes(appendString(b, "Payload"), m.Payload)
}

func (m *Member) append(b []byte) []byte {
	if m == nil {
		return appendNil(b)
	}
	b = appendMapLen(b, 11)
	b = appendAddr(appendString(b, "Addr"), m.Addr)
	b = appendUint(appendString(b, "DelegateCur"), uint64(m.DelegateCur))
	b = appendUint(appendString(b, "DelegateMax"), uint64(m.DelegateMax))
	b = appendUint(appendString(b, "DelegateMin"), uint64(m.DelegateMin))
	b = appendString(appendString(b, "Name"), m.Name)
	b = appendUint(appendString(b, "Port"), uint64(m.Port))
	b = appendUint(appendString(b, "ProtocolCur"), uint64(m.ProtocolCur))
	b = appendUint(appendString(b, "ProtocolMax"), uint64(m.ProtocolMax))
	b = appendUint(appendString(b, "ProtocolMin"), uint64(m.ProtocolMin))
	b = appendInt(appendString(b, "Status"), m.Status)
	return appendStringMap(appendString(b, "Tags"), m.Tags)
}

func (m *KeyRequest) append(b []byte) []byte {
	b = appendMapLen(b, 1)
	b = appendString(b, "Key")
	if len(m.Key) == 0 {
		return append(b, 0xa0) // a list request carries an empty key, not nil (reference 7)
	}
	return appendBytes(b, m.Key)
}

func (m *KeyResponse) append(b []byte) []byte {
	b = appendMapLen(b, 4)
	b = appendStrings(appendString(b, "Keys"), m.Keys)
	b = appendString(appendString(b, "Message"), m.Message)
	b = appendString(appendString(b, "PrimaryKey"), m.PrimaryKey)
	return appendBool(appendString(b, "Result"), m.Result)
}

func (m *Relay) append(b []byte) []byte {
	b = appendMapLen(b, 2)
	b = appendMapLen(appendString(b, "DestAddr"), 3)
	b = appendAddr(appendString(b, "IP"), m.DestAddr.Addr())
	b = appendInt(appendString(b, "Port"), int64(m.DestAddr.Port()))
	b = appendString(appendString(b, "Zone"), m.DestAddr.Addr().Zone())
	b = appendString(appendString(b, "DestName"), m.DestName)
	return append(b, m.Inner...)
}

func appendAddr(b []byte, a netip.Addr) []byte {
	if !a.IsValid() {
		return appendNil(b)
	}
	return appendBytes(b, a.AsSlice())
}

func appendStrings(b []byte, list []string) []byte {
	if list == nil {
		return appendNil(b)
	}
	b = appendArrayLen(b, len(list))
	for _, s := range list {
		b = appendString(b, s)
	}
	return b
}

func appendStringMap(b []byte, m map[string]string) []byte {
	if m == nil {
		return appendNil(b)
	}
	b = appendMapLen(b, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		b = appendString(appendString(b, k), m[k])
	}
	return b
}
