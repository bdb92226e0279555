package frame

import (
	"fmt"

	"github.com/hashicorp/go-msgpack/v2/codec"
)

// handle is the protocol's flavour of msgpack: strings and byte slices are told apart, map keys are in order.
var handle = newHandle()

func newHandle() *codec.MsgpackHandle {
	h := &codec.MsgpackHandle{WriteExt: true}
	h.Canonical = true
	return h
}

// Append appends v, one of package api's structs, to b.
func Append(b []byte, v any) ([]byte, error) {
	var out []byte
	if err := codec.NewEncoderBytes(&out, handle).Encode(v); err != nil {
		return b, fmt.Errorf("encoding %T: %w", v, err)
	}
	return append(b, out...), nil
}

// Decode fills v, a pointer to one of package api's structs, from a value that Reader.Next returned. Nothing in v
// shares memory with b. Unknown keys are ignored and missing ones leave their field alone, as Serf does.
func Decode(b []byte, v any) (err error) {
	// The library turns its own panics into errors; one that it overlooks must not let a peer end the process.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("decoding %T: %v", v, p)
		}
	}()
	if err := codec.NewDecoderBytes(b, handle).Decode(v); err != nil {
		return fmt.Errorf("decoding %T: %w", v, err)
	}
	return nil
}
