package main

import (
	"os"
	"strings"
	"testing"
)

// TestDNSFromSerf serves the zone of a stock Serf agent.
func TestDNSFromSerf(t *testing.T) {
	needSerf(t)
	t.Parallel()
	rpc, bind := startAgent(t, "serf", "alpha", "-tag", "role=web", "-tag", "port=80")
	startAgent(t, "gossip", "beta", "-tag", "role=web", "-tag", "port=81", "-join", bind)

	r, err := startProcess(t.TempDir(), os.Environ(), "gossip", "dns", "-rpc-addr", rpc, "-dns-addr", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.kill)
	var addr []string
	err = within("the address", func() bool { addr = servingAddr.FindStringSubmatch(r.out.String()); return addr != nil })
	if err != nil {
		t.Fatal(err, r.out.String())
	}
	err = within("both members in the answer", func() bool {
		out := runProgram(t, "gossip", "resolve", "-dns-addr", addr[1], "-short", "web.service", "SRV").stdout
		return strings.Contains(out, "80 alpha.node.gossip.") && strings.Contains(out, "81 beta.node.gossip.")
	})
	if err != nil {
		t.Fatal(err, r.out.String())
	}
}
