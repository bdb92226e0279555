//go:build !linux

package dnsserver

import "net"

func listenUDP(addr string) (udpServer, error) {
	conn, err := net.ListenPacket("udp", addr)
	if err != nil {
		return nil, err
	}
	return packetServer{conn}, nil
}
