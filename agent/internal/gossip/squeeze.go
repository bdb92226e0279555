package gossip

import (
	"bytes"
	"compress/lzw"
	"encoding/binary"
	"net"
	"sync"
)

// memberlist's types of messages that squeezed knows (Serf reference 1.2).
const (
	pushPullMessage = 6
	compressMessage = 9
)

// squeezed is a stream whose exchanges of state are compressed as memberlist compresses them. memberlist can only be told
// to do that to everything or nothing, and a packet of its is seldom shorter for it, though each that it tries costs a
// hundred kilobytes of tables, in a storm of packets half of all the agent's time.
type squeezed struct{ net.Conn }

// Write sends one message of memberlist's, or its cluster's name.
func (s squeezed) Write(p []byte) (int, error) {
	if len(p) == 0 || p[0] != pushPullMessage {
		return s.Conn.Write(p)
	}
	if _, err := s.Conn.Write(compress(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

var lzwWriters = sync.Pool{New: func() any { return lzw.NewWriter(nil, lzw.LSB, 8) }}

// compress encodes {"Algo": 0, "Buf": msg} as memberlist does, with msg compressed.
func compress(msg []byte) []byte {
	const head = "\x82\xa4Algo\x00\xa3Buf\xdb" // a map of two; the last byte begins text with a length of 32 bits
	var out bytes.Buffer
	out.Grow(len(msg) / 2)
	out.WriteByte(compressMessage)
	out.WriteString(head)
	out.Write(make([]byte, 4))
	w := lzwWriters.Get().(*lzw.Writer)
	defer lzwWriters.Put(w)
	w.Reset(&out, lzw.LSB, 8)
	_, _ = w.Write(msg) // a buffer takes everything
	_ = w.Close()
	start := 1 + len(head)
	binary.BigEndian.PutUint32(out.Bytes()[start:], uint32(out.Len()-start-4)) //nolint:gosec // far below 4 GiB
	return out.Bytes()
}
