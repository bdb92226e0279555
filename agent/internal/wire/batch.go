package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// TypeBatch is the first byte of several messages in one, which only agents of ours understand: it lies far outside
// Serf's types. It is sent straight to members that announce a delegate protocol of at least 6, never gossiped,
// since gossip passes through everyone's hands.
const TypeBatch Type = 64

// BatchItemOverhead is the most bytes that a message of up to 16383 bytes takes in a batch beyond its own.
const BatchItemOverhead = 2

// ErrBatch says that a batch is damaged or holds what no batch may hold.
var ErrBatch = errors.New("damaged batch")

// BeginBatch appends the head of a batch, one byte, to b. AppendToBatch adds messages behind it.
func BeginBatch(b []byte) []byte { return append(b, byte(TypeBatch)) }

// AppendToBatch appends a whole message, with its type byte, to a batch.
func AppendToBatch(b, msg []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(msg)))
	return append(b, msg...)
}

// SplitBatch returns the messages in a batch, which share its memory. It accepts leaves, joins, user events and
// queries: what spreads to everyone. Anything else, batches in batches included, and any byte too few or too many
// makes the whole batch invalid.
func SplitBatch(raw []byte) ([][]byte, error) {
	if len(raw) == 0 || Type(raw[0]) != TypeBatch {
		return nil, fmt.Errorf("%w: no batch", ErrBatch)
	}
	var msgs [][]byte
	for rest := raw[1:]; len(rest) > 0; {
		size, n := binary.Uvarint(rest)
		switch {
		case n <= 0:
			return nil, fmt.Errorf("%w: bad length of message %d", ErrBatch, len(msgs))
		case size == 0:
			return nil, fmt.Errorf("%w: message %d is empty", ErrBatch, len(msgs))
		case size > uint64(len(rest)-n):
			return nil, fmt.Errorf("%w: message %d of %d bytes is cut off", ErrBatch, len(msgs), size)
		}
		msg := rest[n : n+int(size)]
		if t := Type(msg[0]); !Spreads(t) {
			return nil, fmt.Errorf("%w: message %d is of type %d", ErrBatch, len(msgs), uint8(t))
		}
		msgs = append(msgs, msg[:len(msg):len(msg)])
		rest = rest[n+int(size):]
	}
	if len(msgs) == 0 {
		return nil, fmt.Errorf("%w: no message", ErrBatch)
	}
	return msgs, nil
}

// Spreads reports whether messages of the type are passed on to everyone.
func Spreads(t Type) bool {
	switch t {
	case TypeLeave, TypeJoin, TypeUserEvent, TypeQuery:
		return true
	default:
		return false
	}
}
