package wire

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/lamport"
)

// ErrEmpty says that a message has no bytes at all. Serf ignores those silently.
var ErrEmpty = errors.New("empty message")

// UnknownTypeError says that a message is of a type that has no business where it arrived.
type UnknownTypeError struct{ Type Type }

func (e *UnknownTypeError) Error() string {
	return fmt.Sprintf("received message of unknown type: %d", uint8(e.Type))
}

// DecodeError says that a message of the given type is damaged, and how.
type DecodeError struct {
	Type Type
	Err  error
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("error decoding %s message: %v", e.Type, e.Err)
}

// Unwrap returns the cause.
func (e *DecodeError) Unwrap() error { return e.Err }

// Decode decodes a message that came as a memberlist user message: a *Leave, *Join, *UserEvent, *Query,
// *QueryResponse or *Relay, which shares no memory with raw. The error is ErrEmpty, an *UnknownTypeError or a
// *DecodeError.
func Decode(raw []byte) (Message, error) {
	if len(raw) == 0 {
		return nil, ErrEmpty
	}
	t := Type(raw[0])
	r := reader{buf: raw[1:]}
	var m Message
	switch t {
	case TypeLeave:
		m = r.leave()
	case TypeJoin:
		m = r.join()
	case TypeUserEvent:
		m = r.userEvent()
	case TypeQuery:
		m = r.query()
	case TypeQueryResponse:
		m = r.queryResponse()
	case TypeRelay:
		m = r.relay()
	default:
		return nil, &UnknownTypeError{t}
	}
	if r.err != nil {
		return nil, &DecodeError{t, r.err}
	}
	return m, nil
}

// DecodePushPull decodes the user state of a push/pull. Its errors have Serf's words, for the log.
func DecodePushPull(raw []byte) (*PushPull, error) {
	switch {
	case len(raw) == 0:
		return nil, errors.New("Remote state is zero bytes") //nolint:staticcheck // Serf's words
	case Type(raw[0]) != TypePushPull:
		return nil, fmt.Errorf("Remote state has bad type prefix: %d", raw[0]) //nolint:staticcheck // Serf's words
	}
	r := reader{buf: raw[1:]}
	m := r.pushPull()
	if r.err != nil {
		return nil, fmt.Errorf("Failed to decode remote state: %w", &DecodeError{TypePushPull, r.err}) //nolint:staticcheck // Serf's words
	}
	return m, nil
}

// DecodeConflict decodes the payload of an answer to a _serf_conflict query. A member that the answering node
// does not know is nil.
func DecodeConflict(payload []byte) (*Member, error) {
	if len(payload) == 0 {
		return nil, ErrEmpty
	}
	if t := Type(payload[0]); t != TypeConflict {
		return nil, &UnknownTypeError{t}
	}
	r := reader{buf: payload[1:]}
	m := r.member()
	if r.err != nil {
		return nil, &DecodeError{TypeConflict, r.err}
	}
	return m, nil
}

// DecodeKeyRequest decodes the payload of a _serf_*-key query. Like Serf it does not look at the type byte.
func DecodeKeyRequest(payload []byte) (*KeyRequest, error) {
	if len(payload) == 0 {
		return nil, errors.New("Invalid key request payload") //nolint:staticcheck // Serf's words
	}
	m := &KeyRequest{}
	r := reader{buf: payload[1:]}
	for key := range r.fields {
		switch string(key) {
		case "Key":
			m.Key = r.bytes()
		default:
			r.skip()
		}
	}
	if r.err != nil {
		return nil, &DecodeError{TypeKeyRequest, r.err}
	}
	return m, nil
}

// DecodeKeyResponse decodes the payload of an answer to a _serf_*-key query. Its errors have Serf's words,
// since users see them as the answering node's message.
func DecodeKeyResponse(payload []byte) (*KeyResponse, error) {
	if len(payload) == 0 || Type(payload[0]) != TypeKeyResponse {
		return nil, fmt.Errorf("Invalid key query response type: %v", payload[:min(len(payload), 32)]) //nolint:staticcheck // Serf's words
	}
	m := &KeyResponse{}
	r := reader{buf: payload[1:]}
	for key := range r.fields {
		switch string(key) {
		case "Keys":
			m.Keys = r.strings()
		case "Message":
			m.Message = r.string()
		case "PrimaryKey":
			m.PrimaryKey = r.string()
		case "Result":
			m.Result = r.bool()
		default:
			r.skip()
		}
	}
	if r.err != nil {
		return nil, fmt.Errorf("Failed to decode key query response: %w", &DecodeError{TypeKeyResponse, r.err}) //nolint:staticcheck // Serf's words
	}
	return m, nil
}

func (r *reader) time() lamport.Time { return lamport.Time(r.uint64()) }

func (r *reader) leave() *Leave {
	m := &Leave{}
	for key := range r.fields {
		switch string(key) {
		case "LTime":
			m.LTime = r.time()
		case "Node":
			m.Node = r.string()
		case "Prune":
			m.Prune = r.bool()
		default:
			r.skip()
		}
	}
	return m
}

func (r *reader) join() *Join {
	m := &Join{}
	for key := range r.fields {
		switch string(key) {
		case "LTime":
			m.LTime = r.time()
		case "Node":
			m.Node = r.string()
		default:
			r.skip()
		}
	}
	return m
}

func (r *reader) userEvent() *UserEvent {
	m := &UserEvent{}
	for key := range r.fields {
		switch string(key) {
		case "CC":
			m.Coalesce = r.bool()
		case "LTime":
			m.LTime = r.time()
		case "Name":
			m.Name = r.string()
		case "Payload":
			m.Payload = r.bytes()
		default:
			r.skip()
		}
	}
	return m
}

func (r *reader) query() *Query {
	m := &Query{}
	for key := range r.fields {
		switch string(key) {
		case "Addr":
			m.Addr = r.addr()
		case "Filters":
			m.Filters = r.blobs()
		case "Flags":
			m.Flags = r.uint32()
		case "ID":
			m.ID = r.uint32()
		case "LTime":
			m.LTime = r.time()
		case "Name":
			m.Name = r.string()
		case "Payload":
			m.Payload = r.bytes()
		case "Port":
			m.Port = r.uint16()
		case "RelayFactor":
			m.RelayFactor = r.uint8()
		case "SourceNode":
			m.SourceNode = r.string()
		case "Timeout":
			m.Timeout = time.Duration(r.int64())
		default:
			r.skip()
		}
	}
	return m
}

func (r *reader) queryResponse() *QueryResponse {
	m := &QueryResponse{}
	for key := range r.fields {
		switch string(key) {
		case "Flags":
			m.Flags = r.uint32()
		case "From":
			m.From = r.string()
		case "ID":
			m.ID = r.uint32()
		case "LTime":
			m.LTime = r.time()
		case "Payload":
			m.Payload = r.bytes()
		default:
			r.skip()
		}
	}
	return m
}

func (r *reader) member() *Member {
	if r.nextNil() {
		return nil
	}
	m := &Member{}
	for key := range r.fields {
		switch string(key) {
		case "Addr":
			m.Addr = r.addr()
		case "DelegateCur":
			m.DelegateCur = r.uint8()
		case "DelegateMax":
			m.DelegateMax = r.uint8()
		case "DelegateMin":
			m.DelegateMin = r.uint8()
		case "Name":
			m.Name = r.string()
		case "Port":
			m.Port = r.uint16()
		case "ProtocolCur":
			m.ProtocolCur = r.uint8()
		case "ProtocolMax":
			m.ProtocolMax = r.uint8()
		case "ProtocolMin":
			m.ProtocolMin = r.uint8()
		case "Status":
			m.Status = r.int64()
		case "Tags":
			m.Tags = r.stringMap()
		default:
			r.skip()
		}
	}
	return m
}

func (r *reader) relay() *Relay {
	m := &Relay{}
	for key := range r.fields {
		switch string(key) {
		case "DestAddr":
			m.DestAddr = r.destAddr()
		case "DestName":
			m.DestName = r.string()
		default:
			r.skip()
		}
	}
	if r.err == nil && !m.DestAddr.Addr().IsValid() {
		r.key = nil
		r.fail(errors.New("no destination address"))
	}
	// What follows the header is the inner message, whatever it may be.
	m.Inner = append([]byte(nil), r.buf...)
	return m
}

func (r *reader) destAddr() netip.AddrPort {
	var (
		ip   netip.Addr
		port uint16
		zone string
	)
	for key := range r.fields {
		switch string(key) {
		case "IP":
			ip = r.addr()
		case "Port":
			port = r.uint16()
		case "Zone":
			zone = r.string()
		default:
			r.skip()
		}
	}
	return netip.AddrPortFrom(ip.WithZone(zone), port)
}

func (r *reader) pushPull() *PushPull {
	m := &PushPull{}
	for key := range r.fields {
		switch string(key) {
		case "EventLTime":
			m.EventLTime = r.time()
		case "Events":
			m.Events = r.slots()
		case "LTime":
			m.LTime = r.time()
		case "LeftMembers":
			m.LeftMembers = r.strings()
		case "QueryLTime":
			m.QueryLTime = r.time()
		case "StatusLTimes":
			m.StatusLTimes = r.timeMap()
		default:
			r.skip()
		}
	}
	return m
}

func (r *reader) slots() []*EventSlot {
	if r.nextNil() {
		return nil
	}
	n := r.arrayLen()
	list := make([]*EventSlot, 0, min(n, sizeHint))
	for ; n > 0 && r.err == nil; n-- {
		if r.nextNil() {
			list = append(list, nil)
			continue
		}
		slot := &EventSlot{}
		for key := range r.fields {
			switch string(key) {
			case "Events":
				slot.Events = r.slotEvents()
			case "LTime":
				slot.LTime = r.time()
			default:
				r.skip()
			}
		}
		list = append(list, slot)
	}
	return list
}

func (r *reader) slotEvents() []SlotEvent {
	if r.nextNil() {
		return nil
	}
	n := r.arrayLen()
	list := make([]SlotEvent, 0, min(n, 4))
	for ; n > 0 && r.err == nil; n-- {
		var e SlotEvent
		empty := true
		for key := range r.fields {
			empty = false
			switch string(key) {
			case "Name":
				e.Name = r.string()
			case "Payload":
				e.Payload = r.bytes()
			default:
				r.skip()
			}
		}
		if !empty { // nil or empty: no event, and one byte must not claim a whole SlotEvent
			list = append(list, e)
		}
	}
	return list
}

// sizeHint bounds how much memory a length alone may claim; what is really there makes lists grow past it.
const sizeHint = 1024

// addr is the zero Addr if the bytes are no IP address: the message may still matter without one.
func (r *reader) addr() netip.Addr {
	v, _ := r.raw()
	a, _ := netip.AddrFromSlice(v)
	return a
}

func (r *reader) strings() []string {
	if r.nextNil() {
		return nil
	}
	n := r.arrayLen()
	list := make([]string, 0, min(n, sizeHint))
	for ; n > 0 && r.err == nil; n-- {
		list = append(list, r.string())
	}
	return list
}

func (r *reader) blobs() [][]byte {
	if r.nextNil() {
		return nil
	}
	n := r.arrayLen()
	list := make([][]byte, 0, min(n, sizeHint))
	for ; n > 0 && r.err == nil; n-- {
		list = append(list, r.bytes())
	}
	return list
}

func (r *reader) stringMap() map[string]string {
	if r.nextNil() {
		return nil
	}
	n := r.mapLen()
	m := make(map[string]string, min(n, sizeHint))
	for ; n > 0 && r.err == nil; n-- {
		k := string(r.nextKey())
		m[k] = r.string()
	}
	return m
}

func (r *reader) timeMap() map[string]lamport.Time {
	if r.nextNil() {
		return nil
	}
	n := r.mapLen()
	m := make(map[string]lamport.Time, min(n, sizeHint))
	for ; n > 0 && r.err == nil; n-- {
		k := string(r.nextKey())
		m[k] = r.time()
	}
	return m
}
