// Package frame is the RPC protocol's form on a connection (Serf reference 4.1): one msgpack value after the other,
// with neither length nor separator between them. Reader takes exactly one value off a connection, checked and
// bounded before anything decodes it; Decode and Append translate between such values and the structs of package
// api. Server and client share it.
package frame

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Errors of Reader.Next besides those of the connection.
var (
	ErrTooLarge  = errors.New("message exceeds the size limit")
	ErrTooDeep   = errors.New("message is nested too deeply")
	ErrMalformed = errors.New("not msgpack")
)

// maxDepth bounds the nesting of maps and arrays. The deepest message is a list of members with their tags, which
// needs four. The bound keeps the decoder, which is recursive, from exhausting the stack.
const maxDepth = 16

// readChunk is how much a string of promised length may grow the buffer ahead of the bytes that really came.
const readChunk = 64 << 10

// Reader splits a byte stream into msgpack values. It is for one goroutine.
type Reader struct{ br *bufio.Reader }

// NewReader returns a Reader that buffers r.
func NewReader(r io.Reader) *Reader { return &Reader{br: bufio.NewReaderSize(r, 16<<10)} }

// Wait blocks until the first byte of a value is there. At the end of the stream it returns io.EOF.
func (r *Reader) Wait() error {
	_, err := r.br.Peek(1)
	return err
}

// Next reads one value of at most limit bytes and returns its bytes, which are those of buf if it has room. The value
// is well-formed: every length in it is backed by bytes, so a decoder may trust them. The stream's end inside a value
// is io.ErrUnexpectedEOF, before it io.EOF.
func (r *Reader) Next(buf []byte, limit int) ([]byte, error) {
	s := scan{r: r.br, buf: buf[:0], limit: limit}
	// left[d] counts the values that are still missing at depth d.
	var left [maxDepth]int
	depth := 0
	left[0] = 1
	for {
		for left[depth] == 0 {
			if depth == 0 {
				return s.buf, nil
			}
			depth--
		}
		left[depth]--
		n, err := s.value()
		if err != nil {
			if errors.Is(err, io.EOF) && len(s.buf) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return s.buf, err
		}
		if n == 0 {
			continue
		}
		if n > limit-len(s.buf) { // each value takes a byte at least
			return s.buf, tooLarge(limit)
		}
		if depth++; depth == maxDepth {
			return s.buf, ErrTooDeep
		}
		left[depth] = n
	}
}

func tooLarge(limit int) error { return fmt.Errorf("%w of %d bytes", ErrTooLarge, limit) }

// scan collects the bytes of one value.
type scan struct {
	r     *bufio.Reader
	buf   []byte
	limit int
}

// value takes one value without its children and returns how many children follow.
func (s *scan) value() (children int, err error) {
	b, err := s.r.ReadByte()
	if err != nil {
		return 0, err
	}
	if len(s.buf) == s.limit {
		return 0, tooLarge(s.limit)
	}
	s.buf = append(s.buf, b)
	switch {
	case b < 0x80 || b >= 0xe0: // small integers
		return 0, nil
	case b < 0x90: // fixmap
		return 2 * int(b&0x0f), nil
	case b < 0xa0: // fixarray
		return int(b & 0x0f), nil
	case b < 0xc0: // fixstr
		return 0, s.take(int(b & 0x1f))
	}
	switch b {
	case 0xc0, 0xc2, 0xc3: // nil, false, true
		return 0, nil
	case 0xcc, 0xd0: // 1-byte integers
		return 0, s.take(1)
	case 0xcd, 0xd1:
		return 0, s.take(2)
	case 0xca, 0xce, 0xd2: // 4-byte integers and floats
		return 0, s.take(4)
	case 0xcb, 0xcf, 0xd3:
		return 0, s.take(8)
	case 0xc4, 0xd9: // bin8, str8
		return 0, s.sized(1, 0)
	case 0xc5, 0xda:
		return 0, s.sized(2, 0)
	case 0xc6, 0xdb:
		return 0, s.sized(4, 0)
	case 0xc7, 0xc8, 0xc9: // ext8 to ext32: a type byte besides the data
		return 0, s.sized(1<<(b-0xc7), 1)
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8: // fixext
		return 0, s.take(1 + 1<<(b-0xd4))
	case 0xdc, 0xdd: // array16, array32
		return s.length(2 << (b - 0xdc))
	case 0xde, 0xdf: // map16, map32
		n, err := s.length(2 << (b - 0xde))
		return 2 * n, err
	}
	return 0, fmt.Errorf("%w: byte 0x%02x begins no value", ErrMalformed, b)
}

// sized takes a length of the given width and as many bytes as it says, plus extra.
func (s *scan) sized(width, extra int) error {
	n, err := s.length(width)
	if err != nil {
		return err
	}
	return s.take(n + extra)
}

// length takes a big-endian length. One that the limit rules out anyway is refused, so that it fits in an int32.
func (s *scan) length(width int) (int, error) {
	at := len(s.buf)
	if err := s.take(width); err != nil {
		return 0, err
	}
	var n uint32
	switch width {
	case 1:
		n = uint32(s.buf[at])
	case 2:
		n = uint32(binary.BigEndian.Uint16(s.buf[at:]))
	default:
		n = binary.BigEndian.Uint32(s.buf[at:])
	}
	if uint64(n) > uint64(s.limit) {
		return 0, tooLarge(s.limit)
	}
	return int(n), nil
}

// take appends n bytes. Memory grows with what arrives, not with what was promised.
func (s *scan) take(n int) error {
	if n > s.limit-len(s.buf) {
		return tooLarge(s.limit)
	}
	for n > 0 {
		step := min(n, readChunk)
		at := len(s.buf)
		s.buf = append(s.buf, make([]byte, step)...)
		if _, err := io.ReadFull(s.r, s.buf[at:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			s.buf = s.buf[:at]
			return err
		}
		n -= step
	}
	return nil
}
