package rpc_test

import (
	"net"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/api/frame"
	"github.com/seed-645ce708/gossip/agent/internal/rpc/rpctest"
)

// rawClient speaks the protocol byte by byte, in ways in which package client would not.
type rawClient struct {
	t    testing.TB
	conn net.Conn
	in   *frame.Reader
	seq  uint64
}

// rawConnect connects and does nothing more.
func rawConnect(t testing.TB, s *rpctest.Server) *rawClient {
	t.Helper()
	conn, err := s.Dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &rawClient{t: t, conn: conn, in: frame.NewReader(conn)}
}

// rawDial connects and shakes hands.
func rawDial(t testing.TB, s *rpctest.Server) *rawClient {
	t.Helper()
	r := rawConnect(t, s)
	r.ask(api.CommandHandshake, api.HandshakeRequest{Version: 1})
	if h := r.answer(); h != (api.ResponseHeader{Seq: 1}) {
		t.Fatalf("handshake: %+v", h)
	}
	return r
}

// ask writes a request; body may be nil.
func (r *rawClient) ask(command string, body any) {
	r.t.Helper()
	r.seq++
	r.write(encode(r.t, api.RequestHeader{Command: command, Seq: r.seq}, body))
}

func (r *rawClient) write(b []byte) {
	r.t.Helper()
	if _, err := r.conn.Write(b); err != nil {
		r.t.Fatal(err)
	}
}

// answer reads the header of an answer to the last request.
func (r *rawClient) answer() api.ResponseHeader {
	r.t.Helper()
	h := r.header()
	if h.Seq != r.seq {
		r.t.Fatalf("answer to request %d, want %d", h.Seq, r.seq)
	}
	return h
}

func (r *rawClient) header() (h api.ResponseHeader) {
	r.t.Helper()
	r.body(&h)
	return h
}

func (r *rawClient) body(v any) {
	r.t.Helper()
	b, err := r.in.Next(nil, 1<<20)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := frame.Decode(b, v); err != nil {
		r.t.Fatal(err)
	}
}

// hungUp checks that the server ends the connection and sends nothing more.
func (r *rawClient) hungUp() {
	r.t.Helper()
	_ = r.conn.SetReadDeadline(time.Now().Add(time.Minute))
	if b, err := r.in.Next(nil, 1<<20); err == nil {
		r.t.Errorf("got %x, want the end", b)
	} else if ne, ok := err.(net.Error); ok && ne.Timeout() { //nolint:errorlint // comes straight from the connection
		r.t.Error("the connection is still open")
	}
}

func encode(t testing.TB, values ...any) (b []byte) {
	t.Helper()
	for _, v := range values {
		if v == nil {
			continue
		}
		var err error
		if b, err = frame.Append(b, v); err != nil {
			t.Fatal(err)
		}
	}
	return b
}
