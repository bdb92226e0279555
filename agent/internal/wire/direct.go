package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The types of what one agent of ours asks another: far outside Serf's types, and sent straight to members that
// announce a delegate protocol of at least 6, never gossiped. A request is answered by one answer or not at all.
//
// Their form is type, ID (8 bytes), kind or status (1 byte), flags (1 byte), and then name and body, each after its
// length as a varint. What follows is padding that nobody looks at.
const (
	TypeRequest Type = 80
	TypeAnswer  Type = 81
)

// The bits of Request.Flags.
const (
	// FlagByStream asks for the answer by TCP instead of UDP.
	FlagByStream uint8 = 1
	// FlagSameLength asks for an answer as long as the request, to find out how long packets may be.
	FlagSameLength uint8 = 2
)

// The values of Answer.Status.
const (
	// StatusDone: the body is what was asked for.
	StatusDone uint8 = 0
	// StatusUnknownKind: this agent does not know requests of the kind.
	StatusUnknownKind uint8 = 1
	// StatusTooLong: an answer is never longer than its request, and this one would be. The body is the length that the
	// request must have, as a varint.
	StatusTooLong uint8 = 2
	// StatusRefused: the body says why, for people.
	StatusRefused uint8 = 3
)

// MaxDirectName bounds the names of members in requests and answers.
const MaxDirectName = 512

// ErrDirect says that a request or an answer is damaged.
var ErrDirect = errors.New("damaged message between agents")

// Request is a question to one member.
type Request struct {
	ID    uint64 // hard to guess, so that nobody else can answer
	Kind  uint8
	Flags uint8
	From  string // who asks: answers go to the address under which the receiver knows that member
	Body  []byte
}

// Answer is the answer to a Request.
type Answer struct {
	ID     uint64 // of the request
	Status uint8
	From   string // who answers
	Body   []byte
}

// IsDirect reports whether a message is a request or an answer.
func IsDirect(raw []byte) bool {
	return len(raw) > 0 && (Type(raw[0]) == TypeRequest || Type(raw[0]) == TypeAnswer)
}

// Encode returns the message, padded to length if it is shorter. The padding cannot be compressed.
func (r *Request) Encode(length int) []byte {
	return encodeDirect(TypeRequest, r.ID, r.Kind, r.Flags, r.From, r.Body, length)
}

// Encode returns the message, padded to length if it is shorter. The padding cannot be compressed.
func (a *Answer) Encode(length int) []byte {
	return encodeDirect(TypeAnswer, a.ID, a.Status, 0, a.From, a.Body, length)
}

func encodeDirect(t Type, id uint64, kind, flags uint8, from string, body []byte, length int) []byte {
	b := make([]byte, 0, max(length, directHead+len(from)+len(body)))
	b = append(b, byte(t))
	b = binary.BigEndian.AppendUint64(b, id)
	b = append(b, kind, flags)
	b = append(binary.AppendUvarint(b, uint64(len(from))), from...)
	b = append(binary.AppendUvarint(b, uint64(len(body))), body...)
	for noise := id | 1; len(b) < length; noise ^= noise << 17 { // xorshift
		noise ^= noise << 13
		noise ^= noise >> 7
		b = append(b, byte(noise>>24))
	}
	return b
}

// directHead is the most bytes that a message has besides name and body: type, ID, kind, flags and two lengths.
const directHead = 1 + 8 + 1 + 1 + 2*binary.MaxVarintLen16

// DirectOverhead is how many bytes a message is longer than the sender's name and the body, at most.
const DirectOverhead = directHead

// DecodeRequest decodes a request, whose body shares memory with raw.
func DecodeRequest(raw []byte) (Request, error) {
	d, err := decodeDirect(TypeRequest, raw)
	return Request{ID: d.id, Kind: d.kind, Flags: d.flags, From: d.from, Body: d.body}, err
}

// DecodeAnswer decodes an answer, whose body shares memory with raw.
func DecodeAnswer(raw []byte) (Answer, error) {
	d, err := decodeDirect(TypeAnswer, raw)
	return Answer{ID: d.id, Status: d.kind, From: d.from, Body: d.body}, err
}

type direct struct {
	id          uint64
	kind, flags uint8
	from        string
	body        []byte
}

func decodeDirect(want Type, raw []byte) (direct, error) {
	const fixed = 1 + 8 + 1 + 1
	switch {
	case len(raw) < fixed:
		return direct{}, fmt.Errorf("%w: %d bytes are too few", ErrDirect, len(raw))
	case Type(raw[0]) != want:
		return direct{}, fmt.Errorf("%w: it is of type %d", ErrDirect, raw[0])
	}
	d := direct{id: binary.BigEndian.Uint64(raw[1:]), kind: raw[9], flags: raw[10]}
	from, rest, ok := cutCounted(raw[fixed:])
	if !ok || len(from) > MaxDirectName {
		return direct{}, fmt.Errorf("%w: bad name", ErrDirect)
	}
	d.from = string(from)
	if d.body, _, ok = cutCounted(rest); !ok {
		return direct{}, fmt.Errorf("%w: bad body", ErrDirect)
	}
	return d, nil
}

// cutCounted takes bytes off the front that follow their length.
func cutCounted(b []byte) (head, rest []byte, ok bool) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return nil, nil, false
	}
	b = b[n:]
	return b[:size:size], b[size:], true
}
