package frame

import (
	"fmt"
	"sync"

	"github.com/hashicorp/go-msgpack/v2/codec"
)

// handle is the protocol's flavour of msgpack: strings and byte slices are told apart, map keys are in order.
var handle = newHandle()

func newHandle() *codec.MsgpackHandle {
	h := &codec.MsgpackHandle{WriteExt: true}
	h.Canonical = true
	return h
}

// Coders are reused: making one costs more than a small message.
var (
	encoders = sync.Pool{New: func() any { return codec.NewEncoderBytes(new([]byte), handle) }}
	decoders = sync.Pool{New: func() any { return codec.NewDecoderBytes(nothing, handle) }}
)

// nothing is what an idle coder holds, so that it keeps no message alive.
var nothing = []byte{}

// Append appends v, one of package api's structs, to b.
func Append(b []byte, v any) ([]byte, error) {
	e := encoders.Get().(*codec.Encoder)
	out := b[len(b):] // the room behind b, if that is enough
	e.ResetBytes(&out)
	if err := e.Encode(v); err != nil {
		return b, fmt.Errorf("encoding %T: %w", v, err)
	}
	b = append(b, out...)
	idle := nothing
	e.ResetBytes(&idle)
	encoders.Put(e)
	return b, nil
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
	d := decoders.Get().(*codec.Decoder)
	d.ResetBytes(b)
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("decoding %T: %w", v, err)
	}
	d.ResetBytes(nothing)
	decoders.Put(d) // one that failed is left to the garbage collector
	return nil
}
