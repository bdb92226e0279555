package dnsserver

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"
)

func (s *Server) serveTCP() {
	for {
		conn, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.stats.errors.Add(1)
			if !s.pause() {
				return
			}
			continue
		}
		if !s.admit(conn) {
			_ = conn.Close() // too many already, or we are closing; nothing was said on it yet
		}
	}
}

// admit starts to serve a connection, unless there are as many as may be.
func (s *Server) admit(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if len(s.conns) >= s.cfg.MaxTCP {
		s.stats.tcpRefused.Add(1)
		return false
	}
	s.conns[conn] = struct{}{}
	s.wg.Go(func() {
		s.serveConn(conn)
		_ = conn.Close() // whatever it says, we are done with it
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, conn)
	})
	return true
}

// serveConn answers the queries of one connection in the order in which they come, until the client ends it, falls
// silent or breaks the framing (RFC 7766). Queries may be pipelined: as answers come from memory, none waits for
// another.
func (s *Server) serveConn(conn net.Conn) {
	r := s.responder()
	in := bufio.NewReader(conn)
	var packet, out []byte
	for {
		var prefix [2]byte
		if !s.readFull(conn, in, prefix[:1], s.cfg.IdleTimeout) || !s.readFull(conn, in, prefix[1:], s.cfg.ReadTimeout) {
			return
		}
		size := int(binary.BigEndian.Uint16(prefix[:]))
		if cap(packet) < size {
			packet = make([]byte, size)
		}
		packet = packet[:size]
		if !s.readFull(conn, in, packet, s.cfg.ReadTimeout) {
			return
		}
		s.stats.tcp.Add(1)
		reply := r.respond(packet, path{tcp: true})
		if reply == nil {
			return // no client of ours: it sent something that is not a query
		}
		out = binary.BigEndian.AppendUint16(out[:0], uint16(len(reply)))
		out = append(out, reply...) // in one write, so that it leaves in one segment
		if conn.SetWriteDeadline(time.Now().Add(s.cfg.ReadTimeout)) != nil {
			return
		}
		if _, err := conn.Write(out); err != nil {
			s.stats.errors.Add(1)
			return
		}
	}
}

// readFull fills b within the time limit. What is in the buffer already costs no system call.
func (s *Server) readFull(conn net.Conn, in *bufio.Reader, b []byte, limit time.Duration) bool {
	if in.Buffered() < len(b) && conn.SetReadDeadline(time.Now().Add(limit)) != nil {
		return false
	}
	_, err := io.ReadFull(in, b)
	return err == nil
}
