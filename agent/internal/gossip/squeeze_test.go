package gossip

import (
	"bytes"
	"compress/lzw"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/hashicorp/go-msgpack/v2/codec"
)

// Exchanges of state are compressed as memberlist reads them, and nothing else is touched.
func TestSqueezed(t *testing.T) {
	t.Parallel()
	state := append([]byte{pushPullMessage}, strings.Repeat("a member like any other ", 4000)...)
	for _, msg := range [][]byte{state, state[:1], {244, 4, 'p', 'r', 'o', 'd'}, {8, 'x'}} {
		here, there := net.Pipe()
		got := make(chan []byte)
		go func() {
			data, _ := io.ReadAll(there)
			got <- data
		}()
		if n, err := (squeezed{here}).Write(msg); n != len(msg) || err != nil {
			t.Fatal(n, err)
		}
		_ = here.Close()
		data := <-got
		if msg[0] != pushPullMessage {
			if !bytes.Equal(data, msg) {
				t.Errorf("%q became %q", msg, data)
			}
			continue
		}
		if len(msg) > 1000 && len(data) > len(msg)/10 {
			t.Errorf("%d bytes became %d", len(msg), len(data))
		}
		var c struct {
			Algo uint8
			Buf  []byte
		}
		if data[0] != compressMessage {
			t.Fatalf("type %d", data[0])
		}
		if err := codec.NewDecoderBytes(data[1:], &codec.MsgpackHandle{}).Decode(&c); err != nil || c.Algo != 0 {
			t.Fatal(c.Algo, err)
		}
		plain, err := io.ReadAll(lzw.NewReader(bytes.NewReader(c.Buf), lzw.LSB, 8))
		if err != nil || !bytes.Equal(plain, msg) {
			t.Errorf("%d bytes of %d came back: %v", len(plain), len(msg), err)
		}
	}
}
