package dnsserver

import (
	"errors"
	"net"
	"net/netip"
	"runtime"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// maxReaders bounds the goroutines that read one UDP socket; each answers what it reads before it reads on.
const maxReaders = 8

// maxQuery is more than any query needs; what is longer is cut, and then malformed.
const maxQuery = 4096

// maxFailures is how many reads may fail in a row before the next one waits.
const maxFailures = 16

// udpServer reads and answers the packets of an address.
type udpServer interface {
	// start begins to serve, in goroutines that the server waits for.
	start(s *Server)
	// Close makes them end.
	Close() error
}

// packetServer serves any connection, by the means of package net.
type packetServer struct{ net.PacketConn }

func (p packetServer) start(s *Server) {
	conn := newPacketIO(p.PacketConn)
	for range min(runtime.GOMAXPROCS(0), maxReaders) {
		s.wg.Go(func() { s.serveUDP(conn) })
	}
}

func (s *Server) serveUDP(conn packetIO) {
	stats := s.tally.counters()
	r := s.responder(stats)
	packet := make([]byte, maxQuery)
	var from peer
	for failures := 0; ; {
		n, err := conn.read(packet, &from)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// A packet that is too long, or a client that is gone, is an error on some systems: one such must
			// not hold up the next packet.
			stats.errors.Add(1)
			if failures++; failures > maxFailures && !s.pause() {
				return
			}
			continue
		}
		failures = 0
		stats.udp.Add(1)
		limit := s.cfg.UDPSize
		if from.addr.Addr().Unmap().IsLoopback() {
			limit = maxLoopback
		}
		reply := r.respond(packet[:n], path{client: from.addr.Addr().Unmap(), udpLimit: limit})
		if reply == nil {
			continue
		}
		if err := conn.write(reply, &from); err != nil {
			stats.errors.Add(1) // it is the client's to ask again
		}
	}
}

// maxLoopback is the most that a UDP packet holds beside the headers of IPv4.
const maxLoopback = 65535 - 20 - 8

// peer is who sent a packet and which of our addresses it was sent to.
type peer struct {
	addr netip.AddrPort
	raw  net.Addr // of connections that are not UDP sockets
	oob  []byte   // control message for the reply; nil if the kernel may choose our address
	buf  []byte
}

// packetIO reads and writes packets. It is safe for use by several goroutines.
type packetIO interface {
	read(b []byte, from *peer) (int, error)
	write(b []byte, to *peer) error
}

func newPacketIO(conn net.PacketConn) packetIO {
	udp, ok := conn.(*net.UDPConn)
	if !ok {
		return anyConn{conn}
	}
	local, ok := udp.LocalAddr().(*net.UDPAddr)
	return &udpConn{conn: udp, wildcard: ok && local.IP.IsUnspecified() && askDestination(udp)}
}

// anyConn is a connection that is not a UDP socket, such as one in memory.
type anyConn struct{ net.PacketConn }

func (c anyConn) read(b []byte, from *peer) (int, error) {
	n, addr, err := c.ReadFrom(b)
	from.raw, from.addr = addr, netip.AddrPort{}
	if udp, ok := addr.(*net.UDPAddr); ok {
		from.addr = udp.AddrPort()
	}
	return n, err
}

func (c anyConn) write(b []byte, to *peer) error {
	_, err := c.WriteTo(b, to.raw)
	return err
}

// udpConn is a UDP socket. One that is bound to all addresses must send each reply from the address that was
// asked, or clients drop it (RFC 2181 section 4.1); the kernel alone would choose by route.
type udpConn struct {
	conn     *net.UDPConn
	wildcard bool
}

// askDestination has the kernel tell which address a packet was sent to. A socket for both IP versions needs both
// settings; systems without them (Windows) refuse.
func askDestination(conn *net.UDPConn) bool {
	err6 := ipv6.NewPacketConn(conn).SetControlMessage(ipv6.FlagDst|ipv6.FlagInterface, true)
	err4 := ipv4.NewPacketConn(conn).SetControlMessage(ipv4.FlagDst|ipv4.FlagInterface, true)
	return err6 == nil || err4 == nil
}

const controlRoom = 256 // octets; a control message of either version is far smaller

func (c *udpConn) read(b []byte, from *peer) (n int, err error) {
	if !c.wildcard {
		n, from.addr, err = c.conn.ReadFromUDPAddrPort(b)
		return n, err
	}
	if from.buf == nil {
		from.buf = make([]byte, controlRoom)
	}
	var oobn int
	n, oobn, _, from.addr, err = c.conn.ReadMsgUDPAddrPort(b, from.buf)
	from.oob = replySource(from.buf[:oobn])
	return n, err
}

func (c *udpConn) write(b []byte, to *peer) error {
	_, _, err := c.conn.WriteMsgUDPAddrPort(b, to.oob, to.addr)
	return err
}

// replySource turns the control message of a query into that of its reply.
func replySource(oob []byte) []byte {
	var cm6 ipv6.ControlMessage
	if cm6.Parse(oob) == nil && cm6.Dst != nil {
		if cm6.Dst.To4() != nil {
			return (&ipv4.ControlMessage{Src: cm6.Dst}).Marshal()
		}
		reply := ipv6.ControlMessage{Src: cm6.Dst}
		if cm6.Dst.IsLinkLocalUnicast() {
			reply.IfIndex = cm6.IfIndex // such an address means nothing without its link
		}
		return reply.Marshal()
	}
	var cm4 ipv4.ControlMessage
	if cm4.Parse(oob) == nil && cm4.Dst != nil {
		return (&ipv4.ControlMessage{Src: cm4.Dst}).Marshal()
	}
	return nil
}
