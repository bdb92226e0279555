package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// What can be wrong with a msgpack value. The messages complete "field LTime: ".
var (
	errShort    = errors.New("ends too early")
	errNegative = errors.New("negative number for an unsigned field")
	errOverflow = errors.New("number out of range")
	errRawRange = errors.New("longer than the message")
)

// reader takes msgpack values off the front of buf. The first error stays, and every later read returns a
// zero value. It reads both the old and the new msgpack format, since encoders of either kind are out there.
type reader struct {
	buf []byte
	key []byte // the map key whose value is being read, for error messages
	err error
}

func (r *reader) fail(err error) {
	if r.err != nil {
		return
	}
	if len(r.key) > 0 {
		err = fmt.Errorf("field %.32q: %w", r.key, err)
	}
	r.err = err
	r.buf = nil
}

func (r *reader) byte() byte {
	if len(r.buf) == 0 {
		r.fail(errShort)
		return 0
	}
	c := r.buf[0]
	r.buf = r.buf[1:]
	return c
}

// take returns the next n bytes without copying them.
func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.buf)) {
		r.fail(errRawRange)
		return nil
	}
	v := r.buf[:n:n]
	r.buf = r.buf[n:]
	return v
}

// number reads a big-endian number of 1, 2, 4 or 8 bytes.
func (r *reader) number(size int) uint64 {
	if len(r.buf) < size {
		r.fail(errShort)
		return 0
	}
	var v uint64
	switch size {
	case 1:
		v = uint64(r.buf[0])
	case 2:
		v = uint64(binary.BigEndian.Uint16(r.buf))
	case 4:
		v = uint64(binary.BigEndian.Uint32(r.buf))
	case 8:
		v = binary.BigEndian.Uint64(r.buf)
	}
	r.buf = r.buf[size:]
	return v
}

// nextNil consumes a nil if one comes next.
func (r *reader) nextNil() bool {
	if len(r.buf) > 0 && r.buf[0] == 0xc0 {
		r.buf = r.buf[1:]
		return true
	}
	return false
}

func (r *reader) wrongKind(c byte, want string) {
	if r.err == nil {
		r.fail(fmt.Errorf("%s expected, not %s", want, kindOf(c)))
	}
}

func kindOf(c byte) string {
	switch {
	case c < 0x80, c >= 0xe0, c >= 0xcc && c <= 0xd3:
		return "a number"
	case c < 0x90, c == 0xde, c == 0xdf:
		return "a map"
	case c < 0xa0, c == 0xdc, c == 0xdd:
		return "an array"
	case c < 0xc0, c >= 0xd9 && c <= 0xdb, c >= 0xc4 && c <= 0xc6:
		return "text or bytes"
	case c == 0xc0:
		return "nil"
	case c == 0xc2, c == 0xc3:
		return "a boolean"
	case c == 0xca, c == 0xcb:
		return "a fraction"
	default:
		return fmt.Sprintf("format byte %#x", c)
	}
}

// mapLen reads the head of a map; nil counts as an empty one.
func (r *reader) mapLen() int {
	c := r.byte()
	switch {
	case c&0xf0 == 0x80:
		return int(c & 0x0f)
	case c == 0xc0:
		return 0
	case c == 0xde:
		return int(r.number(2))
	case c == 0xdf:
		return r.length(r.number(4))
	}
	r.wrongKind(c, "a map")
	return 0
}

// arrayLen reads the head of an array; nil counts as an empty one.
func (r *reader) arrayLen() int {
	c := r.byte()
	switch {
	case c&0xf0 == 0x90:
		return int(c & 0x0f)
	case c == 0xc0:
		return 0
	case c == 0xdc:
		return int(r.number(2))
	case c == 0xdd:
		return r.length(r.number(4))
	}
	r.wrongKind(c, "an array")
	return 0
}

// length refuses more elements than there are bytes left, so that no caller sizes memory by a lie.
func (r *reader) length(n uint64) int {
	if n > uint64(len(r.buf)) {
		r.fail(errShort)
		return 0
	}
	return int(n)
}

// raw reads text or bytes in any format, without copying; ok is false for nil.
func (r *reader) raw() (v []byte, ok bool) {
	c := r.byte()
	switch {
	case c&0xe0 == 0xa0:
		return r.take(uint64(c & 0x1f)), true
	case c == 0xc0:
		return nil, false
	case c == 0xd9, c == 0xc4:
		return r.take(r.number(1)), true
	case c == 0xda, c == 0xc5:
		return r.take(r.number(2)), true
	case c == 0xdb, c == 0xc6:
		return r.take(r.number(4)), true
	}
	r.wrongKind(c, "text or bytes")
	return nil, false
}

// fields ranges over the keys of a map, up to the first error; whoever ranges reads, or skips, the value of each.
func (r *reader) fields(yield func(key []byte) bool) {
	for n := r.mapLen(); n > 0 && r.err == nil && yield(r.nextKey()); n-- {
	}
}

// nextKey reads a map key and remembers it for error messages.
func (r *reader) nextKey() []byte {
	r.key = nil
	k, _ := r.raw()
	r.key = k
	return k
}

func (r *reader) string() string {
	v, _ := r.raw()
	return string(v)
}

// bytes copies; nil stays nil and empty stays empty.
func (r *reader) bytes() []byte {
	v, ok := r.raw()
	if !ok || r.err != nil {
		return nil
	}
	return append(make([]byte, 0, len(v)), v...)
}

func (r *reader) bool() bool {
	c := r.byte()
	switch c {
	case 0xc2, 0xc0:
		return false
	case 0xc3:
		return true
	}
	r.wrongKind(c, "a boolean")
	return false
}

// integer reads any integer as its 64 bits and whether it is below zero.
func (r *reader) integer() (bits uint64, negative bool) {
	c := r.byte()
	switch {
	case c < 0x80:
		return uint64(c), false
	case c >= 0xe0:
		return uint64(int64(int8(c))), true
	}
	var v int64
	switch c {
	case 0xc0:
		return 0, false
	case 0xcc:
		return r.number(1), false
	case 0xcd:
		return r.number(2), false
	case 0xce:
		return r.number(4), false
	case 0xcf:
		return r.number(8), false
	case 0xd0:
		v = int64(int8(r.number(1)))
	case 0xd1:
		v = int64(int16(r.number(2)))
	case 0xd2:
		v = int64(int32(r.number(4)))
	case 0xd3:
		v = int64(r.number(8))
	default:
		r.wrongKind(c, "a whole number")
	}
	return uint64(v), v < 0
}

// uint reads an unsigned number of at most limit.
func (r *reader) uint(limit uint64) uint64 {
	v, negative := r.integer()
	switch {
	case negative:
		r.fail(errNegative)
		return 0
	case v > limit:
		r.fail(errOverflow)
		return 0
	}
	return v
}

func (r *reader) uint8() uint8   { return uint8(r.uint(math.MaxUint8)) }
func (r *reader) uint16() uint16 { return uint16(r.uint(math.MaxUint16)) }
func (r *reader) uint32() uint32 { return uint32(r.uint(math.MaxUint32)) }
func (r *reader) uint64() uint64 { return r.uint(math.MaxUint64) }

func (r *reader) int64() int64 {
	v, negative := r.integer()
	if !negative && v > math.MaxInt64 {
		r.fail(errOverflow)
		return 0
	}
	return int64(v)
}

// skip passes over one value of any kind. It counts instead of recursing: nesting costs a sender nothing.
func (r *reader) skip() {
	for todo := uint64(1); todo > 0 && r.err == nil; todo-- {
		c := r.byte()
		switch {
		case c < 0x80, c >= 0xe0, c == 0xc0, c == 0xc2, c == 0xc3:
		case c < 0x90:
			todo += 2 * uint64(c&0x0f)
		case c < 0xa0:
			todo += uint64(c & 0x0f)
		case c < 0xc0:
			r.take(uint64(c & 0x1f))
		case c >= 0xc4 && c <= 0xc6: // bin8, 16, 32
			r.take(r.number(1 << (c - 0xc4)))
		case c >= 0xc7 && c <= 0xc9: // ext8, 16, 32: one more byte for the type
			r.take(r.number(1<<(c-0xc7)) + 1)
		case c == 0xca:
			r.take(4)
		case c == 0xcb:
			r.take(8)
		case c >= 0xcc && c <= 0xcf: // uint8 to uint64
			r.take(1 << (c - 0xcc))
		case c >= 0xd0 && c <= 0xd3: // int8 to int64
			r.take(1 << (c - 0xd0))
		case c >= 0xd4 && c <= 0xd8: // fixext1 to 16
			r.take(1<<(c-0xd4) + 1)
		case c >= 0xd9 && c <= 0xdb: // str8, 16, 32
			r.take(r.number(1 << (c - 0xd9)))
		case c == 0xdc:
			todo += r.number(2)
		case c == 0xdd:
			todo += r.number(4)
		case c == 0xde:
			todo += 2 * r.number(2)
		case c == 0xdf:
			todo += 2 * r.number(4)
		default:
			r.wrongKind(c, "a value")
		}
	}
}
